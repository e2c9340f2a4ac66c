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


def test_zeros_are_in_the_bin_that_begins_with_them() -> None:
    """Of 40 bins of 0.05 the one from 0 on."""
    histogram = Histogram(-1.0, 1.0, np.zeros(40, np.int64))
    histogram.add(np.zeros(10))
    assert percentile_range(histogram, 100) == pytest.approx((0, 0.05))


def test_one_value_alone_is_the_range() -> None:
    histogram = Histogram(2.0, 2.0, np.zeros(4, np.int64))
    histogram.add(np.array([2.0, 2.0]))
    assert histogram.counts.sum() == 0
    assert percentile_range(histogram) == (2, 2)


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


@pytest.mark.parametrize("far", [2, 3])
def test_percentile_leaves_the_twenty_thousandth_at_either_end_out(doubling: Path, far: int) -> None:
    """Of 40,000 values two at either end stay outside. The rest is 1/2, in the 9th of 2048 bins of 128 / 2048 = 1/16:
    it ends at 9/16. A third value of 128 stays inside. `a` and `y` are twice that.
    """
    values = np.full(40_000, 0.5, np.float32)
    values[:far] = 128
    batches = [values[:30_000].reshape(-1, 2), values[30_000:].reshape(-1, 2)]
    seen: list[int] = []
    found = calibration.activation_ranges(doubling, lambda size: batches, "percentile", 1, seen.append)
    top = 9 / 16 if far == 2 else 128
    assert found == {"x": (0, top), "a": (0, 2 * top), "y": (0, 2 * top)}
    assert seen == [15_000, 5_000] * 2


def test_mse_is_the_range_that_loses_least_of_a_hundred_at_either_end(doubling: Path) -> None:
    """Many small values and three far ones at either end: both ends are cut, and neither could be cut better."""
    made = np.random.default_rng(4)
    values = np.concatenate([made.normal(0, 1, 20_000), [-20, -22, -24, 30, 36, 40]]).astype(np.float32)
    found = calibration.activation_ranges(doubling, lambda size: [values.reshape(-1, 2)], "mse", 1)
    low, high = found["x"]
    counts, edges = np.histogram(values, 2048, (-24.0, 40.0))
    centres = (edges[1:] + edges[:-1]) / 2

    def error(low: float, high: float) -> float:
        step = (high - low) / 255
        zero = round(-low / step)
        levels = [min(255, max(0, round(value / step) + zero)) - zero for value in centres]
        return float(sum(n * (v - q * step) ** 2 for n, v, q in zip(counts, centres, levels, strict=True)))

    highs, lows = [40 * n / 100 for n in range(1, 101)], [-24 * n / 100 for n in range(1, 101)]
    assert high == pytest.approx(min(highs, key=lambda one: error(low, one)))
    assert low == pytest.approx(min(lows, key=lambda one: error(one, high)))
    assert (0 < -low < 24) and (0 < high < 40)
    assert found["a"] == pytest.approx((2 * low, 2 * high))


def test_zeros_count_where_zero_lies() -> None:
    """One value in each of four bins and six zeros: 10 values, of which one at either end stays outside 80 %."""
    for low, high, values, wanted in (
        (0.0, 4.0, [0.5, 1.5, 2.5, 3.5], (0.0, 3.0)),  # 7 1 1 1
        (-4.0, 0.0, [-0.5, -1.5, -2.5, -3.5], (-3.0, 0.0)),  # 1 1 1 7
        (-2.0, 2.0, [-1.5, -0.5, 0.5, 1.5], (-1.0, 1.0)),  # 1 1 7 1
    ):
        histogram = Histogram(low, high, np.zeros(4, np.int64))
        histogram.add(np.array(values))
        histogram.add(np.zeros(6))
        assert percentile_range(histogram, 80) == wanted
        assert (histogram.edges.tolist(), histogram.zeros) == (np.arange(low, high + 1).tolist(), 6)


def test_a_batch_fills_256_mb_and_is_never_empty() -> None:
    def size(*numbers: int) -> int:
        ports = [helper.make_tensor_value_info(f"t{n}", TensorProto.FLOAT, ["batch", n]) for n in numbers]
        model = helper.make_model(helper.make_graph([], "g", ports[:1], ports[1:]))
        return calibration.batch_size(model, [f"t{n}" for n in numbers])

    million = 2**20  # 4 MB of floats
    assert [size(n * million) for n in (1, 2, 16, 32, 33, 64, 65)] == [64, 32, 4, 2, 1, 1, 1]
    assert size(million, 3 * million) == 16
    assert calibration.batch_size(helper.make_model(helper.make_graph([], "g", [], [])), []) == 64


def test_only_floats_that_depend_on_the_input_are_watched_and_each_once() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])
    shape = helper.make_tensor_value_info("shape", TensorProto.INT64, [2])
    middle = helper.make_tensor_value_info("m", TensorProto.FLOAT, [1, 2])
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Add", ["x", "w"], ["m"]),
        helper.make_node("Relu", ["m"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "g", [x], [y], [weight], value_info=[shape, middle])
    model = helper.make_model(graph)
    names = calibration.activations(model)
    assert names == ["x", "m", "y"]
    assert [value.name for value in calibration.watch(model, names).graph.output] == ["y", "x", "m"]
    assert [value.name for value in model.graph.output] == ["y"]


def test_two_values_that_fit_into_256_levels_are_kept_exactly() -> None:
    """Bins of 0 to 510 have the middles 127.5 and 382.5. A range of k hundredths has steps of k / 50: 6375 / k and
    19125 / k of them are whole, and at most 255, where k is 75 or 85.
    """
    low, high = mse_range(Histogram(0.0, 510.0, np.array([1, 1])))
    assert low == 0
    assert round(high / 5.1, 6) in (75, 85)
    low, high = mse_range(Histogram(-510.0, 0.0, np.array([1, 1])))
    assert high == 0
    assert round(low / 5.1, 6) in (-75, -85)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_range_is_not_wider_than_what_was_seen_and_zero(doubling: Path, sign: int) -> None:
    batches = [np.full((2, 2), sign * 0.25, np.float32)]
    found = calibration.activation_ranges(doubling, lambda size: batches, "minmax", 1)
    assert found["x"] == ((0, 0.25) if sign > 0 else (-0.25, 0))


def test_where_all_lies_at_an_end_the_whole_range_loses_least() -> None:
    for low, high in ((0.0, 1.0), (-1.0, 0.0)):
        histogram = Histogram(low, high)
        histogram.add(np.array([low or high] * 10))
        assert mse_range(histogram) == (low, high)


def test_zeros_at_the_upper_end_lie_in_the_last_bin() -> None:
    """One value in each of four bins and sixteen zeros: the three values that stay outside 70 % end at -1."""
    histogram = Histogram(-4.0, 0.0, np.zeros(4, np.int64))
    histogram.add(np.array([-3.5, -2.5, -1.5, -0.5, *[0.0] * 16]))
    assert percentile_range(histogram, 70) == (-1.0, 0.0)
