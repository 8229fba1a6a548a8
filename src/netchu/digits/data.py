"""The digits to learn from and to test with, and a sentence on where they came from."""

from __future__ import annotations

from collections.abc import Callable

from netchu import datasets
from netchu.datasets import Dataset
from netchu.datasets.packaged import SAMPLE_NAME


def load_data(name_or_path: str | None, say: Callable[[str], None]) -> Dataset:
    """The data set, after a sentence on where it came from.

    Args:
        name_or_path: see `netchu.datasets.load`.
        say: gets the sentence.
    """
    data = datasets.load(name_or_path)
    shape = " x ".join(map(str, data.x_train.shape[1:]))
    counts = f"{len(data.x_train):,} images to learn from and {len(data.x_test):,} to test with, {shape} pixels"
    say(f"Data: {data.name} from {data.source}, {counts}.")
    return data


def is_sample(data: Dataset) -> bool:
    """Whether these are the digits in the package."""
    return data.name == SAMPLE_NAME
