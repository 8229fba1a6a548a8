"""Files that a stranger may have written: each format's reader, beside what writes it.

Reading order: `document.py` (bytes of bounded size, strict JSON, what a configuration may ask for), `safetensors.py`
(the model file), `checkpoint.py` (all of a training run), `zip_archive.py`, `read_hdf5.py` and `write_hdf5.py` (the
containers of Keras's files).

This room knows JSON values and named arrays.  It knows no layers, and it runs nothing that stands in a file.
"""
