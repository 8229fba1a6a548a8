"""Files of other programs: Keras's, read and written, and ONNX, written.

Reading order for Keras: `keras_files.py` (what is in a `.keras` and in a `.weights.h5`), `keras_config.py` (a layer's
settings in Keras's words and in netchu's), then the containers, read without trust: `archive.py` (zip), `read_hdf5.py`
and `write_hdf5.py`.  For ONNX: `onnx.py`, `onnx_layers.py`, `onnx_activations.py`, `onnx_graph.py`.
"""
