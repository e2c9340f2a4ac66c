"""Scikit-learn's handwritten digits: 1,797 real 8x8 grey pictures that come with the package.

The file is read as it is, without importing scikit-learn, which takes longer than everything else here.
"""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compressor.errors import InputError

if TYPE_CHECKING:
    from compressor.data.pictures import DataSet

CLASSES = tuple("0123456789")
TEST_SAMPLES = 360
SIZE = (8, 8)
PREPROCESS: tuple[dict[str, Any], ...] = ({"scale": 255}, {"mean": [0.3049]}, {"std": [0.3756]})


def path() -> Path:
    """The file of the digits inside the installed scikit-learn."""
    found = importlib.util.find_spec("sklearn")
    file = Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz" if found and found.origin else None
    if file is None or not file.is_file():
        what = "the digits are not there: they come with scikit-learn"
        raise InputError("task.data", what, "install scikit-learn again")
    return file


def load() -> DataSet:
    """Both splits: 1,437 to train, 360 to test, each digit in its proportion; the same for everybody.

    The file's grey values 0..16 become pixels 0..255 (`round(value * 255 / 16)`, half to even).
    """
    import numpy as np

    from compressor.data.pictures import DataSet, PixelPictures
    from compressor.data.splits import hold_out

    with gzip.open(path(), "rt", encoding="ascii") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=np.int64)
    pixels = np.rint(table[:, :-1] * 255 / 16).astype(np.uint8).reshape(-1, *SIZE, 1)
    targets = table[:, -1]
    test = hold_out(targets, TEST_SAMPLES, "digits/test")
    return DataSet(PixelPictures(pixels[~test], targets[~test]), PixelPictures(pixels[test], targets[test]), CLASSES)
