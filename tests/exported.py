"""Digits, a hand-made graph of some hundred weights in float and int8, and bundles of it: what bundle tests share."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compressor.problem.context import Context
from compressor.problem.task import Task
from compressor.stages import evaluate, export
from compressor.store.artifact import Artifact
from compressor.tasks.image_classification import ImageClassificationSpec
from tests.toy import Listener


def core_graph(seed: int = 0, channels: int = 1) -> onnx.ModelProto:
    """float32 `input` [batch, channels, 8, 8] to `logits` [batch, 10]: two convolutions, a pool and a Gemm."""
    made = np.random.default_rng(seed)
    arrays = {
        "conv1.weight": made.normal(0, 0.5, (8, channels, 3, 3)),
        "conv1.bias": made.normal(0, 0.1, 8),
        "conv2.weight": made.normal(0, 0.3, (16, 8, 3, 3)),
        "conv2.bias": made.normal(0, 0.1, 16),
        "head.weight": made.normal(0, 1, (10, 16)),
        "head.bias": made.normal(0, 0.1, 10),
    }
    nodes = [
        helper.make_node("Conv", ["input", "conv1.weight", "conv1.bias"], ["a"], name="conv1", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"], name="relu1"),
        helper.make_node("Conv", ["b", "conv2.weight", "conv2.bias"], ["c"], name="conv2", strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["d"], name="relu2"),
        helper.make_node("GlobalAveragePool", ["d"], ["e"], name="pool"),
        helper.make_node("Flatten", ["e"], ["f"], name="flatten"),
        helper.make_node("Gemm", ["f", "head.weight", "head.bias"], ["logits"], name="head", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "core",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", channels, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


@dataclass(frozen=True)
class World:
    """The task, and evaluations of the graph in float and in int8. context(folder) is one for an export step."""

    task: Task
    float_: Artifact
    int8: Artifact
    context: Callable[..., Context]

    def export(self, folder: Path, precision: str = "int8", **settings: Any) -> tuple[Path, Mapping[str, Any]]:
        """The bundle's folder and the facts of an export step with these settings."""
        core = self.int8 if precision == "int8" else self.float_
        spec = export.ExportSpec.model_validate({"from": "x", "parity": {"sqnr_db": 0, "cosine": 0}, **settings})
        context = self.context(folder)
        facts = export.run(spec, {"core": core, "float": self.float_}, context)
        json.dumps(facts, allow_nan=False)
        return context.folder / "bundle", facts


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Made once a process, through the real evaluation and the real quantization."""
    from compressor.quantization import ptq

    base = tmp_path_factory.mktemp("world")
    spec = ImageClassificationSpec.model_validate({"data": {"name": "digits"}})
    task = spec.make(base, smoke=True)

    def context(folder: Path, **changes: Any) -> Context:
        folder.mkdir(parents=True, exist_ok=True)
        settings: dict[str, Any] = {"pipeline": {"step_key": "ab" * 32}, **changes}
        return Context(
            task=task, seed=0, device="cpu", folder=folder, work=folder, progress=Listener(), step="edge", **settings
        )

    def evaluated(name: str, graph: Callable[[Path], object]) -> Artifact:
        source, folder = base / f"{name}.source", base / name
        source.mkdir()
        graph(source / "core.onnx")
        given = Artifact(name, "onnx", "quantize", source)
        facts = evaluate.run(evaluate.EvaluateSpec.model_validate({"from": "x"}), {"from": given}, context(folder))
        return Artifact(f"{name}.evaluation", "onnx", "evaluate", folder, facts)

    float_ = evaluated("float", lambda path: onnx.save(core_graph(), str(path)))
    samples = lambda size: (batch.inputs["input"].numpy() for batch in task.batches("train", size, limit=64))  # noqa: E731
    int8 = evaluated("int8", lambda path: ptq.quantize(float_.file("core.onnx"), path, samples))
    return World(task, float_, int8, context)


@pytest.fixture(scope="session")
def bundle(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An int8 bundle that takes NHWC pixels and gives probabilities. Copy it before altering it."""
    return world.export(tmp_path_factory.mktemp("bundle"), input="pixels_nhwc", softmax=True)[0]
