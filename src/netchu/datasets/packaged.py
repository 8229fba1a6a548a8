"""The sample in the package: 10,000 real MNIST digits, so that the main job runs anywhere at once.

8,004 digits for training and 1,996 for test, all from MNIST's training images, under CC BY-SA 3.0; `sample/LICENSE.md`
says who made them and how they were chosen.  Limits: the same writers wrote both halves, so an accuracy on its test
half flatters; figures to compare with others' need MNIST itself.
"""

from __future__ import annotations

import gzip

from netchu.datasets.dataset import Dataset
from netchu.datasets.idx import parse_idx
from netchu.datasets.mirrors import MNIST

SAMPLE_NAME = "mnist-sample"


def read_sample() -> Dataset:
    """The packaged sample: uint8 `(8004, 28, 28)` and `(1996, 28, 28)`, 0 background to 255 ink; labels 0 to 9."""
    from importlib.resources import files

    folder = files(__package__).joinpath("sample")
    arrays = [
        parse_idx(bytearray(gzip.decompress(folder.joinpath(f"{file.name}.gz").read_bytes())), file.name)
        for file in MNIST.files
    ]
    return Dataset(SAMPLE_NAME, "package sample", *arrays)
