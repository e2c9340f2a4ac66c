"""Counting never stands in the way of a file that runs: what cannot be told is null, with a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compressor.onnx_graph import cost, kernels, operators
from compressor.onnx_graph.inside import Inside


def loop(path: Path, rounds: int) -> Path:
    """So often the product of [1, 4] with [4, 4]."""
    number, flag = (lambda n: helper.make_tensor_value_info(n, TensorProto.INT64, []),
                    lambda n: helper.make_tensor_value_info(n, TensorProto.BOOL, []))  # fmt: skip
    state, made = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("s", "t"))
    nodes = [helper.make_node("MatMul", ["s", "w"], ["t"]), helper.make_node("Identity", ["go"], ["still"])]
    body = helper.make_graph(nodes, "b", [number("i"), flag("go"), state], [flag("still"), made])
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in ("x", "y")]
    held = {"n": np.array(rounds), "yes": np.array(True), "w": np.eye(4, dtype=np.float32)}
    weights = [numpy_helper.from_array(values, name) for name, values in held.items()]
    graph = helper.make_graph(
        [helper.make_node("Loop", ["n", "yes", "x"], ["y"], name="turns", body=body)],
        "g",
        ports[:1],
        ports[1:],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def count(path: Path) -> dict[str, Any]:
    return Inside().count({"path": str(path), "sample": [4]}, None)[0]


def fail(*_: Any) -> Any:
    raise KeyError("something that onnx says")


def test_a_file_is_counted(tmp_path: Path) -> None:
    found = count(loop(tmp_path / "m.onnx", 5))
    assert (found["macs"], found["macs_unknown"], found["params"]) == (5 * 16, None, 16)
    assert (found["precision"], found["precision_unknown"]) == ("float32", None)


def test_operators_that_cannot_be_looked_at_are_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators, "look", fail)
    found = count(loop(tmp_path / "m.onnx", 5))
    assert found["macs"] == 5 * 16
    names = {"operators", "float_convolutions", "float_matmuls", "float_names", "unknown_operators", "precision"}
    assert {name for name in found if found[name] is None} == {*names, "macs_unknown"}
    assert found["precision_unknown"] == "its operators are not known: 'something that onnx says'"


def test_what_fails_while_counting_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = loop(tmp_path / "m.onnx", 5)
    monkeypatch.setattr(cost, "_macs", fail)
    why = "the multiplications are not counted: 'something that onnx says'"
    assert cost.count(path) == {"params": 16, "macs": None, "macs_unknown": why}
    monkeypatch.setattr(cost, "_params", fail)
    assert cost.count(path) == {"params": None, "macs": None, "macs_unknown": why}


def test_want_of_memory_is_no_reason_to_leave_out_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*_: Any) -> Any:
        raise MemoryError

    path = loop(tmp_path / "m.onnx", 5)
    for module, name in ((cost, "_macs"), (operators, "look")):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, short)
            with pytest.raises(MemoryError):
                count(path)


@pytest.mark.parametrize(("bound", "value", "rounds"), [("LONGEST", 0.2, 2**40), ("LARGEST", 1000, 50)])
def test_a_run_that_is_watched_is_bounded(
    bound: str, value: float, rounds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, bound, value)
    why = "the multiplications of `turns` (Loop) cannot be counted: how often it runs is not told"
    assert cost.count(loop(tmp_path / "m.onnx", rounds)) == {"params": 16, "macs": None, "macs_unknown": why}


def test_the_pace_of_a_file(tmp_path: Path) -> None:
    inside = Inside()
    inside.open({"path": str(loop(tmp_path / "m.onnx", 3)), "code": 2, "threads": 1}, None)
    assert 0 < inside.pace({}, np.zeros((1, 4), np.float32))[0]["seconds"] < 60
    assert inside.pace({}, np.zeros((1, 5), np.float32))[0]["seconds"] == 0
