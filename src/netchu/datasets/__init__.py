"""Data sets: MNIST, its packaged sample, and the user's own images, always with a word on where they came from.

    (x_train, y_train), (x_test, y_test) = netchu.datasets.mnist.load_data()
    data = netchu.datasets.load("my-digits")     # Dataset: name, source, sha256, the four arrays
    x = netchu.datasets.scale_pixels(data.x_train)

Reading order: `mnist` (where data is looked for), `dataset` (what a data set is), `idx` and `npz` (the two file
formats), `folders` (the user's own), `mirrors`, `download` and `cache` (the network), `packaged` (the sample),
`catalog` (`load`).
Importing this loads NumPy and nothing else heavy; network and locking libraries come when they are first needed.
"""

from netchu.datasets import idx, mnist
from netchu.datasets.catalog import load
from netchu.datasets.dataset import Dataset, scale_pixels
from netchu.left_to_keras import missing_names

__all__ = ["Dataset", "idx", "load", "mnist", "scale_pixels"]

__getattr__ = missing_names("datasets")
