"""Ranges of activations: seen a batch at a time, and chosen as the words say, by cases computed by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from compressor.quantization import calibration
from compressor.quantization.calibration import Histogram, mse_range, percentile_range


@pytest.fixture
def doubling(tmp_path: Path) -> Path:
    """y = (x + x) relu, of [batch, 2]."""
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in ("x", "y")]
    nodes = [helper.make_node("Add", ["x", "x"], ["a"]), helper.make_node("Relu", ["a"], ["y"])]
    made = helper.make_graph(nodes, "g", ports[:1], ports[1:])
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), tmp_path / "g.onnx")
    return tmp_path / "g.onnx"


def test_extremes_of_every_tensor_always_with_zero(doubling: Path) -> None:
    batches = [np.array([[1, 2], [3, 4]], np.float32), np.array([[0.5, 7]], np.float32)]
    found = calibration.activation_ranges(doubling, lambda size: batches, "minmax", 1)
    assert found == {"x": (0, 7), "a": (0, 14), "y": (0, 14)}
    negative = [-values for values in batches]
    found = calibration.activation_ranges(doubling, lambda size: negative, "minmax", 1)
    assert found == {"x": (-7, 0), "a": (-14, 0), "y": (0, 0)}


def test_a_number_that_is_none_is_not_swallowed(doubling: Path) -> None:
    batches = [np.array([[np.nan, 1]], np.float32), np.array([[1, 2]], np.float32)]
    low, high = calibration.activation_ranges(doubling, lambda size: batches, "minmax", 1)["x"]
    assert np.isnan(low)
    assert np.isnan(high)


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
def test_the_batch_size_changes_nothing(
    method: calibration.Method, core: Path, samples: np.ndarray, feed: Callable[[int], list[np.ndarray]]
) -> None:
    once = calibration.activation_ranges(core, lambda size: [samples], method, 1)
    assert calibration.activation_ranges(core, lambda size: feed(7), method, 1) == once


def test_batches_are_as_large_as_the_memory_allows() -> None:
    huge = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2**24])
    small = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 10])
    model = helper.make_model(helper.make_graph([], "g", [huge], [small]))
    assert calibration.batch_size(model, ["x", "y"]) == 3  # 64 MB a sample and a little, within 256 MB
    assert calibration.batch_size(model, ["y"]) == 64


def test_percentile_leaves_half_of_the_rest_out_at_either_end() -> None:
    histogram = Histogram(-1.0, 1.0, np.zeros(4, np.int64))
    histogram.counts[:] = [1, 49, 49, 1]
    assert percentile_range(histogram, 98) == (-0.5, 0.5)
    assert percentile_range(histogram, 100) == (-1, 1)
    histogram.counts[:] = [0, 0, 99, 1]
    assert percentile_range(histogram, 98) == (0, 0.5)


def test_zeros_weigh_in_the_percentile() -> None:
    histogram = Histogram(0.0, 4.0, np.zeros(4, np.int64))
    histogram.add(np.array([0, 0, 0, 0, 0, 0, 0, 0, 0.5, 3.5]))
    assert histogram.zeros == 8
    assert percentile_range(histogram, 70) == (0, 1)


def test_mse_cuts_a_lonely_outlier_off_where_the_many_gain_by_it() -> None:
    histogram = Histogram(0.0, 100.0)
    histogram.add(np.random.default_rng(0).uniform(0, 50, 1_000_000))
    histogram.add(np.array([100.0]))
    low, high = mse_range(histogram)
    assert low == 0
    assert 45 < high < 60

    def error(top: float) -> float:
        values = np.append(np.random.default_rng(0).uniform(0, 50, 1_000_000), 100.0)
        step = top / 255
        return float(np.mean((np.clip(np.round(values / step), 0, 255) * step - values) ** 2))

    assert error(high) < error(100.0)


def test_mse_keeps_the_extremes_of_a_flat_distribution() -> None:
    histogram = Histogram(-1.0, 3.0)
    histogram.add(np.linspace(-1, 3, 100_001))
    low, high = mse_range(histogram)
    assert low == pytest.approx(-1, abs=0.03)
    assert high == pytest.approx(3, abs=0.06)


def test_nothing_seen_but_zeros_is_no_range() -> None:
    histogram = Histogram(0.0, 0.0)
    histogram.add(np.zeros(5))
    assert percentile_range(histogram) == (0, 0)
    assert mse_range(histogram) == (0, 0)
