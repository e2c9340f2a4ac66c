"""The benchmark stage: its settings, what it writes and what it tells."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from pydantic import ValidationError

from compressor.problem.context import Context
from compressor.stages.benchmark import STAGE, BenchmarkSpec, remarks, run
from compressor.store.artifact import Artifact
from tests.evaluations import written


class Listener:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def advance(self, done: int, total: int, unit: str, **numbers: float) -> None:
        self.last = (done, total, unit)


def evaluation(folder: Path, sha256: str) -> Artifact:
    folder.mkdir()
    weight = helper.make_tensor("w", TensorProto.FLOAT, [8, 8], np.eye(8, dtype=np.float32).ravel())
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 8])], [weight],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, folder / "core.onnx")
    written(folder, model_sha256=sha256)
    return Artifact("k", "onnx", "evaluate", folder)


def test_writes_rows_and_rounds_by_digest(tmp_path: Path) -> None:
    inputs = {"models.0": evaluation(tmp_path / "a", "aa"), "models.1": evaluation(tmp_path / "b", "bb")}
    (tmp_path / "out").mkdir()
    listener = Listener()
    task: Any = None
    context = Context(task, 0, "cpu", tmp_path / "out", tmp_path, listener, "latency", smoke=True)
    facts = run(BenchmarkSpec(), inputs, context)
    latency = json.loads((tmp_path / "out/latency.json").read_text())
    rounds = json.loads((tmp_path / "out/rounds.json").read_text())
    assert set(latency["rows"]) == {"aa", "bb"}
    assert set(rounds) == {"aa", "bb", "busy", "process"}
    assert len(rounds["aa"]["1x1"]) == 2 == len(rounds["busy"]) == facts["rounds"]
    assert listener.last[0] == listener.last[1]
    assert facts["processes"] == 1 == latency["rows"]["aa"][0]["processes"]
    assert STAGE.times


def test_short_forms_and_refusals() -> None:
    spec = BenchmarkSpec.model_validate({"stage": "benchmark", "threads": 2, "batch_sizes": [1, 8]})
    assert spec.threads == (2,)
    assert spec.batch_sizes == (1, 8)
    assert (spec.processes, spec.rounds) == (10, 30)
    for wrong in (
        {"threads": []},
        {"threads": [0]},
        {"threads": [1, 1]},
        {"rounds": 17},
        {"processes": 5},
        {"min_seconds": -1},
    ):
        with pytest.raises(ValidationError):
            BenchmarkSpec.model_validate(wrong)


@pytest.mark.parametrize(
    ("given", "processes", "rounds"),
    [
        ({"rounds": 20}, 6, 20),
        ({"rounds": 29}, 9, 29),
        ({"rounds": 100}, 10, 100),
        ({"processes": 6}, 6, 30),
        ({"processes": 40}, 40, 120),
        ({"processes": 6, "rounds": 18}, 6, 18),
    ],
)
def test_processes_and_rounds_suit_each_other(given: dict[str, int], processes: int, rounds: int) -> None:
    spec = BenchmarkSpec.model_validate({"stage": "benchmark", **given})
    assert (spec.processes, spec.rounds) == (processes, rounds)
    assert BenchmarkSpec.model_validate(spec.model_dump()) == spec  # the resolved file means the same


def test_fewer_than_three_rounds_a_process_are_refused() -> None:
    with pytest.raises(ValidationError, match="20 rounds are fewer than 3 for each of 10 processes; give at least 30"):
        BenchmarkSpec.model_validate({"stage": "benchmark", "processes": 10, "rounds": 20})


def test_remarks_name_disturbed_rounds_missing_cores_and_fixed_batches() -> None:
    latency = {"busy_limit": 0.1, "skipped": [{"model": "f" * 64, "batch": 1, "fixed_batch": 4}]}
    said = remarks(latency, [True, False, True], (1, 8), 2, {"f" * 64: "the int8 model of 1,234 bytes"})
    assert [("2 of 3" in line, "8 threads on 2" in line, "batches of 4" in line) for line in said] == [
        (True, False, False), (False, True, False), (False, False, True),
    ]  # fmt: skip
    assert said[2] == "the int8 model of 1,234 bytes takes batches of 4 only and was not measured at batch 1"
    assert remarks({"busy_limit": 0.1, "skipped": []}, [False], (1,), 2, {}) == []


def test_a_model_left_out_is_named_by_what_it_is(tmp_path: Path) -> None:
    inputs = {"models.0": evaluation(tmp_path / "a", "aa"), "models.1": evaluation(tmp_path / "b", "bb")}
    fixed = onnx.load(tmp_path / "b" / "core.onnx")
    for value in (*fixed.graph.input, *fixed.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(fixed, tmp_path / "b" / "core.onnx")
    (tmp_path / "out").mkdir()
    task: Any = None
    context = Context(task, 0, "cpu", tmp_path / "out", tmp_path, Listener(), "latency", smoke=True)
    warnings = run(BenchmarkSpec(), inputs, context)["warnings"]
    assert "the float32 model of 1,234 bytes takes batches of 4 only and was not measured at batch 1" in warnings
