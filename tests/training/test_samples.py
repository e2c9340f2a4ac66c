"""The samples that networks and files are tried with: within the data, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from compressor.problem.batch import Batch
from compressor.problem.task import Form
from compressor.training import samples
from tests.toy import ToyTask


class _Given(ToyTask):
    """Two samples of two channels, [2, 1, 2], that begin every split."""

    def __init__(self, values: list[float], kind: type = np.float32) -> None:
        super().__init__((2, 1, 2))
        self.values = np.array(values, kind).reshape(2, 2, 1, 2)

    def batches(self, split: Any, size: int, order: Any = None, *, form: Form = "network", **_: Any) -> Any:
        values = self.values.transpose(0, 2, 3, 1) if form == "pixels_nhwc" else self.values
        yield Batch({"input": torch.from_numpy(np.ascontiguousarray(values))}, {}, torch.arange(2))


def test_every_second_sample_is_a_darker_mirror_image_within_what_its_channel_holds() -> None:
    task = _Given([0.5, 1.5, -2.5, 2.5, 0.5, 3.0, 7.5, -2.5])
    # Channel 0 begins at 0.5, channel 1 at -2.5: 0.5 + 0.6 * (1.5 - 0.5) = 1.1, -2.5 + 0.6 * (2.5 + 2.5) = 0.5.
    expected = [[0.5, 1.5, -2.5, 2.5], [1.1, 0.5, 0.5, -2.5], [0.5, 3.0, 7.5, -2.5], [2.0, 0.5, -2.5, 3.5]]
    for found in (samples.few(task, 4)["input"].numpy(), samples.of_file(task, 4)["input"]):
        assert np.allclose(found.reshape(4, 4), expected)


def test_whole_numbers_and_pixels_stay_whole() -> None:
    task = _Given([0, 10, 4, 4, 0, 255, 5, 6])
    # 0.6 * 10 = 6, 0.6 * 255 = 153; 4 + 0.6 * (6 - 4) = 5.2 -> 5, 4 + 0.6 * 1 = 4.6 -> 5.
    expected = [[0, 10, 4, 4], [6, 0, 4, 4], [0, 255, 5, 6], [153, 0, 5, 5]]
    assert samples.few(task, 4)["input"].reshape(4, 4).tolist() == expected
    pixels = samples.of_file(_Given([0, 10, 4, 4, 0, 255, 5, 6], np.uint8), 4, "pixels_nchw")["input"]
    assert pixels.dtype == np.uint8
    assert pixels.reshape(4, 4).tolist() == expected
    last = samples.of_file(_Given([0, 10, 4, 4, 0, 255, 5, 6], np.uint8), 4, "pixels_nhwc")["input"]
    assert np.array_equal(last.transpose(0, 3, 1, 2), pixels)


def test_a_task_without_samples_is_tried_with_noise() -> None:
    task = ToyTask(train=0, validation=0, test=0)
    assert samples.few(task, 5)["input"].std() > 0.5
    assert samples.of_file(task, 5, "pixels_nhwc")["input"].shape == (5, 8, 8, 1)
