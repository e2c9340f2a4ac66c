"""The embedded digits: scikit-learn's own, read without importing it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from sklearn.datasets import load_digits

from compressor.data import digits
from compressor.data.pictures import PixelPictures


def test_the_pictures_are_scikit_learns() -> None:
    data = digits.load()
    assert isinstance(data.train, PixelPictures)
    assert isinstance(data.test, PixelPictures)
    ours = np.concatenate([data.train.pixels, data.test.pixels])[..., 0]
    labels = np.concatenate([data.train.targets, data.test.targets])
    theirs = load_digits()
    expected = {
        (np.rint(image * 255 / 16).astype(np.uint8).tobytes(), int(y))
        for image, y in zip(theirs.images, theirs.target, strict=True)
    }
    assert {(image.tobytes(), int(y)) for image, y in zip(ours, labels, strict=True)} == expected
    assert (len(data.train.targets), len(data.test.targets)) == (1437, 360)


def test_every_digit_is_tested_in_its_proportion() -> None:
    data = digits.load()
    assert np.bincount(data.test.targets).tolist() == [36, 37, 35, 37, 36, 36, 36, 36, 35, 36]


def test_grey_values_fill_the_byte() -> None:
    values = np.unique(digits.load().train.arrays())
    assert values.tolist() == [0, 16, 32, 48, 64, 80, 96, 112, 128, 143, 159, 175, 191, 207, 223, 239, 255]


def test_the_default_mean_and_deviation_are_those_of_training() -> None:
    pixels = digits.load().train.arrays()
    assert pixels is not None
    assert round(float((pixels / 255).mean()), 4) == digits.PREPROCESS[1]["mean"][0]
    assert round(float((pixels / 255).std()), 4) == digits.PREPROCESS[2]["std"][0]


def test_loading_needs_neither_scikit_learn_nor_torch() -> None:
    code = (
        "import sys; from compressor.data import digits; digits.load(); print({'sklearn', 'torch'} & set(sys.modules))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        == "set()"
    )
