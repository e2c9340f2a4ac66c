"""A sample's answer beside others: graphs written by hand, each with what it must be called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compressor.onnx_graph import neighbours, session

CLASSES, FEATURES = 3, 4
SAMPLES = np.random.default_rng(3).normal(size=(8, FEATURES)).astype(np.float32)


def node(kind: str, given: list[str], made: str | list[str] = "y", **settings: Any) -> onnx.NodeProto:
    return helper.make_node(kind, given, [made] if isinstance(made, str) else made, name=f"the {kind}", **settings)


def build(
    path: Path, nodes: list[onnx.NodeProto], *, batch: int | str = "n", kind: int = TensorProto.FLOAT, **held: Any
) -> Path:
    """`x` [batch, 4] to `y` [batch, 3]; `w` [4, 3] and what is held are constants."""
    held = {"w": np.random.default_rng(0).normal(size=(FEATURES, CLASSES)).astype(np.float32), **held}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, [batch, FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, CLASSES])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, path)
    return path


def found(path: Path, given: np.ndarray = SAMPLES) -> tuple[str, str] | None:
    return neighbours.find(path, session.make_session(path, 1), given)


ONES = np.ones(CLASSES, np.float32)
LEAST = helper.make_tensor("least", TensorProto.FLOAT, [1], [float("-inf")])
PRODUCT = node("MatMul", ["x", "w"], "a")


def fork() -> list[onnx.NodeProto]:
    def branch(kind: str) -> onnx.GraphProto:
        made = helper.make_tensor_value_info("b", TensorProto.FLOAT, ["n", CLASSES])
        return helper.make_graph([helper.make_node(kind, ["a"], ["b"])], kind, [], [made])

    return [
        PRODUCT, node("Shape", ["a"], "shape"), node("Gather", ["shape", "zero"], "count"),
        node("Equal", ["count", "one"], "single"),
        node("If", ["single"], then_branch=branch("Neg"), else_branch=branch("Identity")),
    ]  # fmt: skip


WRONG: dict[str, tuple[list[onnx.NodeProto], dict[str, Any], str]] = {
    "batch statistics": (
        [PRODUCT, node("BatchNormalization", ["a", "scale", "b", "mean", "var"], ["y", "m", "v"], training_mode=1)],
        {"scale": ONES, "b": 0 * ONES, "mean": 0 * ONES, "var": ONES},
        "its node `the BatchNormalization` (BatchNormalization) normalises with the statistics of the batch",
    ),
    "dropout": (
        [PRODUCT, node("Dropout", ["a", "ratio", "on"])],
        {"ratio": np.float32(0.5), "on": np.bool_(True)},
        "its node `the Dropout` (Dropout) draws random numbers",
    ),
    "noise": (
        [PRODUCT, node("RandomNormalLike", ["a"], "b"), node("Add", ["a", "b"])],
        {},
        "(RandomNormalLike) draws random numbers",
    ),
    "softmax": ([PRODUCT, node("Softmax", ["a"], axis=0)], {}, "(Softmax) runs over the batch's axis"),
    "mean": (
        [PRODUCT, node("ReduceMean", ["a", "axes"], "b"), node("Sub", ["a", "b"])],
        {"axes": np.array([0])},
        "(ReduceMean) mixes the samples of a batch",
    ),
    "mean beside infinities": (
        [PRODUCT, node("Shape", ["a"], "s"), node("ConstantOfShape", ["s"], "c", value=LEAST), node("Max", ["a", "c"], "m"),
         node("ReduceMean", ["m", "axes"], "b"), node("Sub", ["m", "b"])],
        {"axes": np.array([0])},
        "(ReduceMean) mixes the samples of a batch",
    ),
    "mean in front of an infinity": (
        [PRODUCT, node("ReduceMean", ["a", "axes"], "b"), node("Sub", ["a", "b"], "c"), node("Add", ["c", "mask"])],
        {"axes": np.array([0]), "mask": np.array([0, -np.inf, 0], np.float32)},
        "(ReduceMean) mixes the samples of a batch",
    ),
    "sum of all": (
        [PRODUCT, node("ReduceSum", ["a"], "b", keepdims=0), node("Div", ["a", "b"])],
        {},
        "(ReduceSum) mixes the samples of a batch",
    ),
    "cumulation": ([PRODUCT, node("CumSum", ["a", "axis"])], {"axis": np.int64(0)}, "(CumSum) mixes the samples"),
    "size": (
        [PRODUCT, node("Size", ["a"], "b"), node("Cast", ["b"], "c", to=1), node("Div", ["a", "c"])],
        {},
        "(Cast) computes with the size of the batch",
    ),
    "branch": (fork(), {"zero": np.array([0]), "one": np.array([1])}, "(If) takes another path for 1 sample, so a"),
    "dropped axis": (
        [node("Unsqueeze", ["x", "last"], "a"), node("ReduceSum", ["a", "last"], "b", keepdims=0),
         node("Squeeze", ["b"], "c"), node("MatMul", ["c", "w"])],
        {"last": np.array([2])},
        "(Squeeze) drops the batch's axis where the batch has one sample: one sample alone is answered in another",
    ),
    "one row": (
        [PRODUCT, node("ReduceMean", ["a", "axes"], keepdims=1)],
        {"axes": np.array([0])},
        "it answers 8 samples with [1, 3] numbers, where each needs a row of its own: its node `the ReduceMean`",
    ),
    "no row": (
        [PRODUCT, node("ReduceMean", ["a", "axes"], keepdims=0)],
        {"axes": np.array([0])},
        "it answers 8 samples with [3] numbers, where each needs a row of its own: its node `the ReduceMean`",
    ),
    "one number": ([PRODUCT, node("ReduceMax", ["a"], keepdims=0)], {}, "with [1] numbers, where each needs a row"),
    "rows in pairs": (
        [PRODUCT, node("Reshape", ["a", "wide"], "b"), node("Gather", ["b", "places"], axis=1)],
        {"wide": np.array([-1, 2 * CLASSES]), "places": np.array([0, 1, 2])},
        "it answers 8 samples with [4, 3] numbers, where each needs a row of its own: its node `the Reshape`",
    ),
    "the first row": (
        [PRODUCT, node("Gather", ["a", "place"], axis=0)],
        {"place": np.array([0])},
        "it answers 8 samples with [1, 3] numbers, where each needs a row of its own: its node `the Gather`",
    ),
    "two rows each": (
        [PRODUCT, node("Concat", ["a", "a"], axis=0)],
        {},
        "it answers 8 samples with [16, 3] numbers, where each needs a row of its own: its node `the Concat`",
    ),
    "written size": (
        [node("Reshape", ["x", "shape"], "a"), node("MatMul", ["a", "w"])],
        {"shape": np.array([4, -1])},
        "(Reshape) is written for batches of 4: batches of another size fail",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_mixes_the_samples_of_a_batch_is_named(name: str, tmp_path: Path) -> None:
    nodes, held, words = WRONG[name]
    said = found(build(tmp_path / "m.onnx", nodes, **held))
    assert said is not None
    assert words in said[0]
    assert said[1]


@pytest.mark.parametrize("name", ["one row", "two rows each"])
def test_a_fixed_batch_needs_a_row_for_each_sample(name: str, tmp_path: Path) -> None:
    nodes, held, _ = WRONG[name]
    said = found(build(tmp_path / "m.onnx", nodes, batch=4, **held))
    assert said is not None
    assert said[0].startswith("it answers 4 samples with [")


@pytest.mark.parametrize("name", ["batch statistics", "softmax", "mean"])
def test_a_fixed_batch_is_compared_with_its_padding(name: str, tmp_path: Path) -> None:
    nodes, held, words = WRONG[name]
    said = found(build(tmp_path / "m.onnx", nodes, batch=4, **held))
    assert said is not None
    assert words in said[0]


@pytest.mark.parametrize("batch", ["n", 1, 4, 16])
def test_a_network_within_each_sample_passes(batch: int | str, tmp_path: Path) -> None:
    nodes = [PRODUCT, node("Softmax", ["a"], axis=1)]
    assert found(build(tmp_path / "m.onnx", nodes, batch=batch)) is None


@pytest.mark.parametrize("name", ["softmax", "branch", "mean"])
def test_nothing_is_said_of_a_file_that_takes_one_sample_at_a_time(name: str, tmp_path: Path) -> None:
    nodes, held, _ = WRONG[name]
    assert found(build(tmp_path / "m.onnx", nodes, batch=1, **held)) is None


def test_an_answer_that_is_always_infinite_is_the_same_in_any_company(tmp_path: Path) -> None:
    mask = np.array([0, -np.inf, np.nan], np.float32)
    assert found(build(tmp_path / "m.onnx", [PRODUCT, node("Add", ["a", "mask"])], mask=mask)) is None


def test_a_file_that_cannot_be_run_at_all_is_not_called_mixing(tmp_path: Path) -> None:
    path = build(tmp_path / "m.onnx", [node("MatMul", ["x", "w5"])], w5=np.ones((5, CLASSES), np.float32))
    graph = onnx.load(path)
    graph.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "m"
    onnx.save(graph, path)
    with pytest.raises(Exception, match="MatMul"):
        found(path)


def dynamic(path: Path, steepness: float) -> Path:
    """Integers whose scale is the batch's largest number; exp(steepness * x) makes that number an outlier's."""
    nodes = [
        node("Mul", ["x", "steepness"], "a"), node("Exp", ["a"], "b"),
        node("DynamicQuantizeLinear", ["b"], ["c", "scale", "zero"]),
        node("DequantizeLinear", ["c", "scale", "zero"], "d"), node("Add", ["d", "one"], "e"),
        node("Log", ["e"], "f"), node("MatMul", ["f", "w"]),
    ]  # fmt: skip
    return build(path, nodes, steepness=np.float32(steepness), one=np.float32(1))


def test_scales_of_the_batch_may_move_an_answer_a_little_and_no_more(tmp_path: Path) -> None:
    tame, wild = dynamic(tmp_path / "tame.onnx", 0.2), dynamic(tmp_path / "wild.onnx", 4)
    assert found(tame) is None
    said = found(wild)
    assert said is not None
    assert "(DynamicQuantizeLinear) takes the scale of its integers from the whole batch" in said[0]


def test_integers_must_be_equal_to_the_bit(tmp_path: Path) -> None:
    """A ten-millionth of the answer by the batch's largest number: for float rounding, not for proven operators."""
    move = [
        PRODUCT, node("ReduceMax", ["a"], "b", keepdims=0), node("Mul", ["b", "little"], "c"), node("Add", ["a", "c"]),
    ]  # fmt: skip
    assert found(build(tmp_path / "float.onnx", move, little=np.float32(1e-7))) is None
    exact = [node("Slice", ["x", "from", "to", "axis"], "a"), *move[1:]]
    parts = {"from": np.array([0]), "to": np.array([CLASSES]), "axis": np.array([1]), "little": np.float32(1e-6)}
    said = found(build(tmp_path / "exact.onnx", exact, **parts))
    assert said is not None
    assert "batch" in said[0]
