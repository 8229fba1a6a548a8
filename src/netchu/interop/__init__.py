"""Files of other programs: Keras's, read and written, and ONNX, written.

This room translates documents and arrays.  It builds no model, which is the business of `netchu.models.loading`, and
knows one by its description in `model.py` alone.

Reading order for Keras: `keras.py` (what is in a `.keras` and in a `.weights.h5`), `keras_config.py` (a layer's
settings in Keras's words and in netchu's); the containers, read without trust, stand in `netchu.formats`.  For ONNX:
`onnx.py`, `onnx_layers.py`, `onnx_activations.py`, `onnx_graph.py`.
"""
