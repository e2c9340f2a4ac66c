"""The evaluate stage: what it keeps of a network, of an int8 graph and of a bundle, and that parity is no formality."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from compressor.errors import StepError
from compressor.models import network
from compressor.problem.batch import Batch
from compressor.problem.task import Form
from compressor.stages import evaluate
from compressor.stages.evaluate import STAGE, EvaluateSpec
from compressor.stages.quantize import STAGE as QUANTIZE
from compressor.stages.quantize import QuantizeSpec
from compressor.store.artifact import Artifact
from tests.toy import ToyTask, toy_artifact, toy_context


def run(folder: Path, inputs: dict[str, Artifact], task: Any = None, **changes: Any) -> Artifact:
    context = toy_context(folder, task, **changes)
    facts = STAGE.run(EvaluateSpec.model_validate({"from": "net"}), inputs, context)
    return Artifact(folder.name, "onnx", "evaluate", context.folder, facts)


def told(artifact: Artifact) -> dict[str, Any]:
    return json.loads(artifact.file("evaluation.json").read_text())


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return toy_artifact(tmp_path_factory.mktemp("net"))


@pytest.fixture(scope="module")
def core(net: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return run(tmp_path_factory.mktemp("core"), {"from": net})


@pytest.fixture(scope="module")
def int8(net: Artifact, core: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    context = toy_context(tmp_path_factory.mktemp("int8"))
    facts = QUANTIZE.run(QuantizeSpec.model_validate({"from": "net"}), {"from": net, "core": core}, context)
    return Artifact("int8", "onnx", "quantize", context.folder, facts)


def test_a_network_is_judged_by_its_graph_on_every_test_sample(net: Artifact, core: Artifact) -> None:
    task = ToyTask()
    inputs, targets = task.data["test"]
    with torch.no_grad():
        wanted = network.read(net.folder)(inputs).numpy()
    with np.load(core.file("predictions.npz")) as held:
        assert np.allclose(held["test_outputs"], wanted, atol=1e-5)
        assert np.array_equal(held["test_targets"], targets)
        assert np.array_equal(held["test_indices"], np.arange(12))
        assert held["validation_outputs"].shape == (15, 3)
        assert held["unseen"].all()
        assert held["unseen"].shape == (12,)
        assert np.array_equal(held["score_accuracy"], (wanted.argmax(1) == targets.numpy()).astype(float))
        assert core.facts["accuracy"] == held["score_accuracy"].mean()


def test_what_is_told_of_a_network(core: Artifact) -> None:
    found = told(core)
    graph = core.file("core.onnx")
    assert found["size_bytes"] == graph.stat().st_size
    assert found["model_sha256"] == hashlib.sha256(graph.read_bytes()).hexdigest()
    assert (found["metric"], found["precision"], found["float_convolutions"]) == ("accuracy", "float32", 9)
    assert len(found["float_names"]) == 10
    assert found["input"]["name"] == "input"
    assert found["parity"]["max_rel"] < 1e-4
    assert (found["parity"]["same_answers"], found["parity"]["n"]) == (1, 15)
    assert found["params"] > 0
    assert found["macs"] > found["params"]
    assert (found["subnormal_weights"], found["warnings"]) == (0, [])


def test_an_int8_graph_is_held_against_the_graph_it_came_from(int8: Artifact, core: Artifact, tmp_path: Path) -> None:
    done = run(tmp_path, {"from": int8, "core": core})
    found, before = told(done), told(core)
    assert done.file("core.onnx").read_bytes() == int8.file("core.onnx").read_bytes()
    assert (found["precision"], found["float_convolutions"]) == ("int8", 0)
    assert (found["params"], found["macs"]) == (before["params"], before["macs"])
    assert found["parity"]["n"] == 15
    assert 10 < found["parity"]["sqnr_db"] < 100
    assert found["warnings"] == [f"{evaluate.LARGER} ({found['size_bytes']} against {before['size_bytes']} bytes)"]


class Pictures(ToyTask):
    """The toy's samples as uint8 pixels, too: the network's inputs times ten, plus a hundred."""

    def batches(self, split: Any, size: int, order: Any = None, *, form: Form = "network", **rest: Any) -> Any:
        for batch in super().batches(split, size, order, **rest):
            shades = (batch.inputs["input"] * 10 + 100).round().to(torch.uint8)
            given = {"network": (shades.float() - 100) / 10, "pixels_nhwc": shades.permute(0, 2, 3, 1)}
            yield Batch({"input": given.get(form, shades)}, batch.targets, batch.indices)


def bundle(folder: Path, core: Path, layout: str, batch: int) -> Artifact:
    """A bundle by hand: pixels in, probabilities out, and as many pictures at once as it says."""
    (folder / "bundle").mkdir(parents=True)
    model = onnx.load(core)
    graph = model.graph
    channels_last = layout == "NHWC"
    inner, last = graph.input[0].name, graph.output[0].name
    head = [helper.make_node("Transpose", ["pixels"], ["turned"], perm=[0, 3, 1, 2])] if channels_last else []
    head += [
        helper.make_node("Cast", ["turned" if channels_last else "pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["float", "hundred"], ["less"]),
        helper.make_node("Div", ["less", "ten"], [inner]),
    ]
    nodes = [*head, *graph.node, helper.make_node("Softmax", [last], ["shares"], axis=-1)]
    numbers = [
        helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in (("hundred", 100), ("ten", 10))
    ]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    graph.initializer.extend(numbers)
    shape = [batch, 8, 8, 1] if channels_last else [batch, 1, 8, 8]
    graph.input.append(helper.make_tensor_value_info("pixels", TensorProto.UINT8, shape))
    graph.output.append(helper.make_tensor_value_info("shares", TensorProto.FLOAT, [batch, 3]))
    onnx.save(model, folder / "bundle/model.onnx")
    manifest = {
        "inputs": [{"name": "pixels", "dtype": "uint8", "shape": shape, "layout": layout}],
        "outputs": [{"name": "shares", "dtype": "float32", "shape": [batch, 3]}], "in_graph": ["softmax"],
    }  # fmt: skip
    (folder / "bundle/bundle.json").write_text(json.dumps(manifest))
    return Artifact("edge", "bundle", "export", folder)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_a_bundle_is_fed_with_what_its_device_feeds_it(layout: str, net: Artifact, tmp_path: Path) -> None:
    task = Pictures()
    core = run(tmp_path / "core", {"from": net}, task)
    shipped = bundle(tmp_path / "edge", core.file("core.onnx"), layout, batch=4)
    done = run(tmp_path / "evaluation", {"from": shipped, "core": core}, task)
    found = told(done)
    assert done.file("core.onnx").read_bytes() == shipped.file("bundle/model.onnx").read_bytes()
    assert found["input"]["dtype"] == "uint8"
    assert found["parity"]["same_answers"] == 1
    assert found["parity"]["max_abs"] < 1e-5
    assert done.facts["accuracy"] == core.facts["accuracy"]
    assert (found["params"], found["macs"]) == (told(core)["params"], told(core)["macs"])
    with np.load(done.file("predictions.npz")) as held:
        assert np.allclose(held["test_outputs"].sum(1), 1, atol=1e-6)
        assert len(held["test_outputs"]) == 12


def test_equal_evaluations_have_equal_files(net: Artifact, core: Artifact, tmp_path: Path) -> None:
    again = run(tmp_path, {"from": net})
    for name in ("core.onnx", "predictions.npz", "evaluation.json"):
        assert again.file(name).read_bytes() == core.file(name).read_bytes(), name
    assert again.facts == core.facts


def test_a_graph_that_computes_otherwise_fails_the_step(
    net: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = evaluate._torch_outputs
    monkeypatch.setattr(evaluate, "_torch_outputs", lambda *given: (real(*given)[0] * 1.01, real(*given)[1]))
    with pytest.raises(StepError, match="of their range from torch's"):
        run(tmp_path / "a", {"from": net})
    run(tmp_path / "b", {"from": net}, smoke=True)


def test_samples_that_choices_were_made_on_are_marked(net: Artifact, tmp_path: Path) -> None:
    task = ToyTask()
    task.facts = replace(task.facts, unseen=np.arange(12) >= 5)
    done = run(tmp_path, {"from": net}, task)
    with np.load(done.file("predictions.npz")) as held:
        assert held["unseen"].sum() == 7
