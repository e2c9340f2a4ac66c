"""Scales of tensors that meet in additions: no sum of bytes may fall on a tie, and no scale may move noticeably."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from compressor.onnx_graph import exporter, operators, session, ties
from compressor.onnx_graph.ties import Grid
from compressor.quantization import additions, ptq
from compressor.quantization.additions import Addition
from tests.onnx_graph.networks import settle, signature

UNMOVED = 1e-3


def grids(**scales: float) -> dict[str, Grid]:
    return {name: Grid(float(np.float32(scale)), 0) for name, scale in scales.items()}


def moved(given: dict[str, Grid], chosen: dict[str, float]) -> dict[str, Grid]:
    return {name: Grid(chosen.get(name, grid.scale), grid.zero) for name, grid in given.items()}


def margins(known: list[Addition], found: dict[str, Grid]) -> list[ties.Margin]:
    return [ties.addition(found[one.a], found[one.b], found[one.out]) for one in known]


def test_two_inputs_get_ratios_with_one_odd_denominator() -> None:
    """0.5 and 0.25 of the output's scale tie all the time; the nearest safe ratios have some small odd denominator."""
    given, known = grids(a=0.05, b=0.025, out=0.1), [Addition("a", "b", "out")]
    assert not margins(known, given)[0].proven
    found = moved(given, additions.choose(known, given))
    first, second = (Fraction(found[name].scale / found["out"].scale).limit_denominator(5000) for name in ("a", "b"))
    common = np.lcm(first.denominator, second.denominator)
    assert common % 2 == 1
    (margin,) = margins(known, found)
    assert margin.distance == pytest.approx(1 / (2 * common), rel=0.01)
    assert margin.distance > 2 * margin.error
    assert max(abs(found[name].scale / given[name].scale - 1) for name in given) < UNMOVED


def test_a_chain_of_additions_keeps_every_scale_near_what_was_seen() -> None:
    random = np.random.default_rng(3)
    names = [f"x{place}" for place in range(31)]
    given = grids(
        **{name: random.uniform(0.01, 0.1) for name in names}, **{f"f{k}": random.uniform(0.01, 0.1) for k in range(30)}
    )
    known = [Addition(names[k], f"f{k}", names[k + 1]) for k in range(30)]
    found = moved(given, additions.choose(known, given))
    assert all(margin.proven for margin in margins(known, found))
    assert max(abs(found[name].scale / given[name].scale - 1) for name in given) < UNMOVED


def test_tensors_that_meet_twice_get_one_base() -> None:
    """x feeds two additions whose results are added: a ring."""
    given = grids(x=0.031, f=0.017, g=0.023, y=0.041, z=0.037, out=0.071, end=0.09, h=0.05)
    ring = [Addition("x", "f", "y"), Addition("x", "g", "z"), Addition("y", "z", "out")]
    known = [*ring, Addition("out", "h", "end")]
    found = moved(given, additions.choose(known, given))
    assert all(margin.proven for margin in margins(known, found))
    assert max(abs(found[name].scale / given[name].scale - 1) for name in given) < UNMOVED


def test_an_input_that_shares_the_output_s_scale_and_a_sum_with_itself() -> None:
    given = grids(a=0.04, b=0.02, out=0.07)
    for known in ([Addition("a", "b", "a")], [Addition("a", "a", "out")]):
        found = moved(given, additions.choose(known, given))
        assert all(margin.proven for margin in margins(known, found))


def test_scales_too_far_apart_are_left_alone() -> None:
    given, known = {"a": Grid(100.0, 128), "b": Grid(50.0, 128), "out": Grid(1e-3, 0)}, [Addition("a", "b", "out")]
    assert additions.choose(known, given) == {}
    assert not margins(known, given)[0].proven


@pytest.mark.parametrize("seed", range(3))
def test_scales_and_zero_points_of_any_kind_become_safe(seed: int) -> None:
    random = np.random.default_rng(seed)
    known = [Addition("a", "b", "out")]
    for _ in range(20):
        first, second = random.uniform(0.005, 0.1, 2)
        out = max(first, second) * random.uniform(0.7, 1.6)
        zeros = random.integers(0, 200, 3)
        scales = np.array([first, second, out], np.float32)
        given = {n: Grid(float(s), int(z)) for n, s, z in zip(("a", "b", "out"), scales, zeros, strict=True)}
        found = moved(given, additions.choose(known, given))
        assert margins(known, found)[0].proven, given
        assert max(abs(found[name].scale / given[name].scale - 1) for name in given) < UNMOVED


class Residual(nn.Module):
    """Additions of all kinds: with activation, into another addition, of a shared branch, with a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.first, self.second, self.third = (nn.Conv2d(8, 8, 3, padding=1) for _ in range(3))
        self.place = nn.Parameter(torch.randn(1, 8, 12, 12))
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x)) + self.place
        y = torch.relu(self.first(x) + x)
        z = self.second(y) + x
        y = torch.relu(self.third(y) + z)
        return self.head(nn.functional.max_pool2d(y + z, 12).flatten(1))


def test_every_addition_of_a_real_graph_is_proven_and_exact_on_all_pairs_of_bytes(
    tmp_path: Path, feed: ptq.Samples
) -> None:
    torch.manual_seed(0)
    exporter.export_core(settle(Residual()), signature(), tmp_path / "core.onnx", 21)
    ptq.quantize(tmp_path / "core.onnx", tmp_path / "int8.onnx", feed)
    graph = operators.optimised(tmp_path / "int8.onnx").graph
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = [node for node in graph.node if node.op_type == "QLinearAdd"]
    assert len(nodes) == 5
    for node in nodes:
        a, b, out = (
            Grid(float(held[node.input[place]].item()), int(held[node.input[place + 1]].item())) for place in (1, 4, 6)
        )
        assert ties.addition(a, b, out).proven, node.name
        assert np.array_equal(_every_pair(tmp_path, a, b, out), _exactly(a, b, out)), node.name


def _every_pair(folder: Path, a: Grid, b: Grid, out: Grid) -> np.ndarray:
    given = {"sa": a.scale, "za": a.zero, "sb": b.scale, "zb": b.zero, "so": out.scale, "zo": out.zero}
    node = helper.make_node("QLinearAdd", ["a", "sa", "za", "b", "sb", "zb", "so", "zo"], ["y"], domain="com.microsoft")
    ports = [helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, [65536]) for name in "aby"]
    held = [
        numpy_helper.from_array(np.array(value, np.float32 if name[0] == "s" else np.uint8), name)
        for name, value in given.items()
    ]
    graph = helper.make_graph([node], "pairs", ports[:2], ports[2:], held)
    sets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=sets, ir_version=10), folder / "pairs.onnx")
    pairs = {"a": np.repeat(np.arange(256, dtype=np.uint8), 256), "b": np.tile(np.arange(256, dtype=np.uint8), 256)}
    result: np.ndarray = session.make_session(folder / "pairs.onnx", 1).run(None, pairs)[0]
    return result.reshape(256, 256)


def _exactly(a: Grid, b: Grid, out: Grid) -> np.ndarray:
    """By whole numbers alone: the scales are binary fractions, so one denominator serves all three."""
    scales = [Fraction(grid.scale) for grid in (a, b, out)]
    common = int(np.lcm.reduce([scale.denominator for scale in scales], dtype=object))
    first, second, step = (int(scale * common) for scale in scales)
    expected = np.empty((256, 256), np.uint8)
    for i in range(256):
        for j in range(256):
            doubled = 2 * (first * (i - a.zero) + second * (j - b.zero)) + step  # the half rounds up; there are no ties
            expected[i, j] = min(255, max(0, doubled // (2 * step) + out.zero))
    return expected


@pytest.mark.parametrize("seed", range(4))
def test_rings_of_any_scales_become_safe(seed: int) -> None:
    """Two results of one tensor are added, and their sum to the tensor again; each output's multiple must be odd."""
    random = np.random.default_rng(seed)
    given = grids(**{name: random.uniform(0.02, 0.05) for name in ("x", "f", "g", "y", "z", "out", "end")})
    known = [Addition("x", "f", "y"), Addition("x", "g", "z"), Addition("y", "z", "out"), Addition("out", "x", "end")]
    found = moved(given, additions.choose(known, given))
    assert all(margin.proven for margin in margins(known, found))
    assert max(abs(found[name].scale / given[name].scale - 1) for name in given) < UNMOVED


def test_scales_that_are_safe_already_are_left_as_they_are() -> None:
    """3/5 and 4/5 of the output: fifths. The same with a tensor that nobody has a scale of."""
    given = {name: Grid(scale, 0) for name, scale in (("a", 0.375), ("b", 0.5), ("out", 0.625))}
    assert additions.choose([Addition("a", "b", "out")], given) == {}
    assert additions.choose([Addition("a", "nobody", "out")], given) == {}


def test_a_tensor_that_two_additions_share_has_one_scale() -> None:
    """The first addition's output is an input of the second, and moves at most once."""
    given = grids(a=0.05, b=0.025, out=0.1, c=0.05, end=0.2)
    known = [Addition("a", "b", "out"), Addition("out", "c", "end")]
    chosen = additions.choose(known, given)
    assert all(margin.proven for margin in margins(known, moved(given, chosen)))
    assert max(abs(scale / given[name].scale - 1) for name, scale in chosen.items()) < UNMOVED


def test_a_scale_without_a_zero_point_has_zero() -> None:
    held = [
        numpy_helper.from_array(np.array(value, kind), name)
        for name, value, kind in (
            ("s", 0.5, np.float32), ("z", 3, np.uint8), ("t", 0.25, np.float32), ("many", [0.5, 0.25], np.float32),
            ("zeros", [1, 2], np.uint8),
        )
    ]  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "t"], ["d"]),
        helper.make_node("DequantizeLinear", ["q", "many", "zeros"], ["e"]),
        helper.make_node("DequantizeLinear", ["q", "computed", ""], ["f"]),
        helper.make_node("Add", ["d", "s"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "g", [], [], held)
    assert additions.grids(graph) == {"s": Grid(0.5, 3), "t": Grid(0.25, 0)}


def test_additions_of_a_graph_are_those_between_bytes() -> None:
    def node(operator: str, given: str, made: str) -> onnx.NodeProto:
        return helper.make_node(operator, given.split(), [made])

    nodes = [
        node("DequantizeLinear", "qa sa za", "a"),
        node("DequantizeLinear", "qb sb zb", "b"),
        node("Add", "a b", "x"), node("QuantizeLinear", "x sx z", "1"),
        node("Add", "b a", "y"), node("Relu", "y", "r"), node("Clip", "r low high", "c"), node("QuantizeLinear", "c sy z", "2"),
        node("Add", "a weight", "w"), node("QuantizeLinear", "w sw z", "3"),
        node("Add", "a b", "t"), node("QuantizeLinear", "t st z", "4"), node("Relu", "t", "5"),
        node("Add", "a b", "s"), node("Sigmoid", "s", "u"), node("QuantizeLinear", "u su z", "6"),
        node("Add", "a b", "end"),
        node("Sub", "a b", "v"), node("QuantizeLinear", "v sv z", "7"),
    ]  # fmt: skip
    found = additions.find(helper.make_graph(nodes, "g", [], []))
    assert found == [Addition("sa", "sb", "sx"), Addition("sb", "sa", "sy")]
