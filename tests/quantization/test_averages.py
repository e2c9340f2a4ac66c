"""Scales around averages, products and functions: moved a little where that keeps results off ties, else left alone."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from compressor.onnx_graph import ties
from compressor.onnx_graph.ties import Grid
from compressor.quantization import averages
from compressor.quantization.averages import Grids, Rounding


def grids(**scales: float) -> dict[str, Grid]:
    return {name: Grid(float(np.float32(scale)), 0) for name, scale in scales.items()}


def mean(given: str, out: str, count: int) -> Rounding:
    return Rounding(
        (given,), out,
        lambda held: ties.mean(held[given], held[out], count, exact_sum=False),
        lambda held: held[given].scale / held[out].scale / count,
    )  # fmt: skip


def product(a: str, b: str, out: str) -> Rounding:
    return Rounding(
        (a, b), out,
        lambda held: ties.multiplication(held[a], held[b], held[out]),
        lambda held: held[a].scale * held[b].scale / held[out].scale,
    )  # fmt: skip


def halves(given: str, out: str) -> Rounding:
    """x -> x / 2 as a function, which ties at every odd byte between equal scales."""
    return Rounding((given,), out, lambda held: ties.table(held[given], held[out], lambda x: x / 2, 1e-6))


def after(given: Grids, moved: dict[str, float]) -> dict[str, Grid]:
    return {name: Grid(moved.get(name, grid.scale), grid.zero) for name, grid in given.items()}


@pytest.mark.parametrize("one", [mean("x", "y", 4), product("x", "x2", "y"), halves("x", "y")])
def test_the_output_moves_a_little_until_nothing_ties(one: Rounding) -> None:
    given = grids(x=0.5, x2=0.5, y=0.5)
    assert not one.margin(given).proven
    moved = averages.settle([one], given, fixed=[])
    assert set(moved) == {"y"}
    assert one.margin(after(given, moved)).proven
    assert abs(moved["y"] / 0.5 - 1) <= averages.FURTHEST


def test_a_fixed_output_stays_and_the_input_moves() -> None:
    given, one = grids(x=0.5, y=0.5), mean("x", "y", 4)
    moved = averages.settle([one], given, fixed=["y"])
    assert set(moved) == {"x"}
    assert one.margin(after(given, moved)).proven


def test_nothing_moves_where_nothing_helps_or_nothing_is_wrong() -> None:
    given = grids(x=0.5, y=0.5, third=0.375)
    assert averages.settle([mean("x", "y", 4)], given, fixed=["x", "y"]) == {}
    assert averages.settle([mean("x", "third", 4)], given, fixed=[]) == {}
    # Float sums of 4,096 numbers err by more than the ties of any fraction near that ratio are away.
    assert averages.settle([mean("x", "y", 4096)], given, fixed=[]) == {}


def test_what_was_settled_stays_settled() -> None:
    """The gate's scale is wanted by the function that makes it and by the product that takes it."""
    given = grids(x=0.25, gate=0.25, wide=0.11, out=0.0275)
    chain = [halves("x", "gate"), product("wide", "gate", "out")]
    moved = averages.settle(chain, given, fixed=["out", "wide", "x"])
    found = after(given, moved)
    assert "gate" in moved
    assert all(one.margin(found).proven for one in chain)


def test_a_function_moves_by_the_smallest_nudge_that_is_enough() -> None:
    """One byte is half a step, a tie. A nudge of n · 2e-5 moves it by n · 1e-5; the error there is six roundings of 256
    (9.16e-5) and 1e-6 of one, which is two half steps: 9.36e-5 in all, so that ten nudges are enough.
    """
    given = grids(x=0.5, y=0.5)
    assert averages.settle([halves("x", "y")], given, fixed=[]) == {"y": float(np.float32(0.5 / 1.0002))}
    assert averages.settle([halves("x", "y")], given, fixed=["y"]) == {"x": float(np.float32(0.5 * 1.0002))}
    assert averages.settle([halves("x", "y")], given, fixed=["x", "y"]) == {}


def test_a_product_gets_the_smallest_odd_denominator_that_nobody_notices() -> None:
    """Beside 1/2 lie k / (2k + 1) and (k + 1) / (2k + 1), a share of 1 / (2k + 1) from it: at most 3e-4 from 3335 on.
    Of 1667 and 1668, which are as near, the even one is taken.
    """
    given = grids(a=1.0, b=0.5, out=1.0)
    moved = averages.settle([product("a", "b", "out")], given, fixed=[])
    assert set(moved) == {"out"}
    assert given["b"].scale / moved["out"] == pytest.approx(1668 / 3335, rel=1e-7)
    moved = averages.settle([product("a", "b", "out")], given, fixed=["out"])
    assert set(moved) == {"b"}
    assert moved["b"] == pytest.approx(1668 / 3335, rel=1e-7)
    moved = averages.settle([product("a", "b", "out")], given, fixed=["out", "b"])
    assert moved["a"] * given["b"].scale == pytest.approx(1668 / 3335, rel=1e-7)


def test_a_square_moves_its_output_alone_and_strangers_are_left_alone() -> None:
    given = grids(a=1.0, out=2.0)
    assert set(averages.settle([product("a", "a", "out")], given, fixed=[])) == {"out"}
    assert averages.settle([product("a", "a", "out")], given, fixed=["out"]) == {}
    assert averages.settle([product("a", "nobody", "out")], given, fixed=[]) == {}


def test_roundings_of_a_graph_are_those_between_bytes() -> None:
    def node(operator: str, given: str, made: str, name: str = "") -> onnx.NodeProto:
        return helper.make_node(operator, given.split(), [made], name=name)

    nodes = [
        node("DequantizeLinear", "qa sa za", "a"),
        node("DequantizeLinear", "qb sb zb", "b"),
        node("Mul", "a b", "p"), node("Reshape", "p shape", "r"), node("Transpose", "r", "t"), node("QuantizeLinear", "t sp z", "1"),
        node("ReduceMean", "a axes", "m", "mean"), node("QuantizeLinear", "m sm z", "2"),
        node("GlobalAveragePool", "b", "g", "pool"), node("Squeeze", "g", "h"), node("QuantizeLinear", "h sg z", "3"),
        node("ReduceMean", "a axes", "n", "open"), node("QuantizeLinear", "n sn z", "4"),
        node("Sigmoid", "a", "s"), node("QuantizeLinear", "s ss z", "5"),
        node("Mul", "a weight", "w"), node("QuantizeLinear", "w sw z", "6"),
        node("Mul", "a b", "twice"), node("QuantizeLinear", "twice sx z", "7"), node("Relu", "twice", "8"),
        node("Tanh", "b", "out"),
        node("Sigmoid", "b", "f"), node("Relu", "f", "9"),
        node("Softmax", "b", "x"), node("QuantizeLinear", "x sy z", "10"),
    ]  # fmt: skip
    found = averages.find(helper.make_graph(nodes, "g", [], []), {"mean": 2, "pool": 4})
    assert [(one.inputs, one.out) for one in found] == [
        (("sa", "sb"), "sp"), (("sa",), "sm"), (("sb",), "sg"), (("sa",), "ss"),
    ]  # fmt: skip
    held = {
        name: Grid(scale, 0)
        for name, scale in (("sa", 0.5), ("sb", 3.0), ("sp", 0.25), ("sm", 2.0), ("sg", 1.5), ("ss", 1.0))
    }
    ratios = [one.ratio(held) if one.ratio else None for one in found]
    assert ratios == [6.0, 0.125, 0.5, None]  # 1/2 · 3 / (1/4), 1/2 / 2 / 2, 3 / (3/2) / 4
    margins = [one.margin(held) for one in found]
    assert margins[0] == ties.multiplication(held["sa"], held["sb"], held["sp"])
    assert margins[1] == ties.mean(held["sa"], held["sm"], 2, exact_sum=False)
    assert margins[2] == ties.mean(held["sb"], held["sg"], 4, exact_sum=True)


@pytest.mark.parametrize(("error", "helps"), [(4.4e-4, True), (4.6e-4, False)])
def test_a_scale_moves_by_two_thousandths_at_most(error: float, helps: bool) -> None:
    """That moves the tie of one byte by 1/1000 of a step; twice the error and 9.2e-5 must be less."""
    one = Rounding(("x",), "y", lambda held: ties.table(held["x"], held["y"], lambda x: x / 2, error))
    moved = averages.settle([one], grids(x=0.5, y=0.5), fixed=[])
    assert bool(moved) is helps
    assert all(abs(scale / 0.5 - 1) <= 0.002 + 1e-6 for scale in moved.values())
