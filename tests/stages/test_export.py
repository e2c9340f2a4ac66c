"""The shipped file computes what its core graph does, says nothing of who made it, and is refused when it does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from pydantic import ValidationError

from compressor.bundle import bundle as bundles
from compressor.device.manifest import read_manifest
from compressor.device.predict import Model
from compressor.device.refused import Refused
from compressor.device.samples import load_samples
from compressor.errors import StepError
from compressor.evaluation import single
from compressor.onnx_graph import chain, session
from compressor.printable import in_markdown
from compressor.problem.task import answering
from compressor.stages import export
from compressor.store.artifact import Artifact
from tests.exported import World, core_graph, world  # noqa: F401

INPUTS = ("float", "pixels_nhwc", "pixels_nchw")


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("kind", INPUTS)
def test_every_form_computes_what_the_core_does(world: World, tmp_path: Path, precision: str, kind: str) -> None:
    folder, facts = world.export(tmp_path, precision, input=kind)
    link = facts["parity"]["core_to_shipped"]
    assert link["max_abs"] == 0
    assert link["exact"] is (kind == "float")
    manifest = bundles.read(folder).manifest
    (source,), (result,) = manifest.inputs, manifest.outputs
    assert source.shape == (("batch", 8, 8, 1) if kind == "pixels_nhwc" else ("batch", 1, 8, 8))
    assert source.dtype == ("float32" if kind == "float" else "uint8")
    assert (result.name, result.shape) == ("logits", ("batch", 10))
    assert manifest.precision == precision


def test_softmax_gives_probabilities_and_a_fixed_batch_is_fixed(world: World, tmp_path: Path) -> None:
    folder, facts = world.export(tmp_path, softmax=True, batch_size=3)
    manifest = bundles.read(folder).manifest
    assert manifest.inputs[0].shape == (3, 1, 8, 8)
    assert manifest.outputs[0].name == "probabilities"
    assert manifest.in_graph == ("softmax",)
    samples = np.random.default_rng(0).normal(size=(7, 1, 8, 8)).astype(np.float32)
    shares = session.predict(folder / "model.onnx", [samples], 1)
    assert shares.shape == (7, 10)
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-6)
    assert facts["parity"]["core_to_shipped"]["same_answers"] == 1


def test_the_same_export_gives_the_same_bytes(world: World, tmp_path: Path) -> None:
    first, second = (world.export(tmp_path / name, input="pixels_nchw")[0] for name in ("one", "two"))
    for name in ("model.onnx", "bundle.json", "samples.npz", "README.md"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_nothing_private_is_in_the_file(world: World, tmp_path: Path) -> None:
    graph = core_graph()
    graph.doc_string = graph.graph.node[0].doc_string = "/home/someone/secret.py"
    graph.producer_version = "9.9"
    graph.metadata_props.add(key="host", value="secret")
    tiny = numpy_helper.to_array(graph.graph.initializer[0]).copy()
    tiny[0, 0, 0, :2] = 1e-40
    graph.graph.initializer[0].CopyFrom(numpy_helper.from_array(tiny, graph.graph.initializer[0].name))
    other = with_core(world.float_, graph, tmp_path / "core")
    folder, facts = replace(world, float_=other).export(tmp_path / "out", "float32")
    data = (folder / "model.onnx").read_bytes()
    assert b"secret" not in data
    assert b"9.9" not in data
    assert facts["subnormal_weights"] == 2
    assert {path.name for path in folder.iterdir()} == {"model.onnx", "bundle.json", "samples.npz", "README.md"}


@pytest.mark.parametrize(("asked", "expected"), [(None, 10), (11, 11)])
def test_ir_version_and_the_oldest_onnxruntime(world: World, tmp_path: Path, asked: int | None, expected: int) -> None:
    folder, _ = world.export(tmp_path, "float32", ir_version=asked)
    manifest = bundles.read(folder).manifest
    assert onnx.load(str(folder / "model.onnx")).ir_version == manifest.ir_version == expected
    assert manifest.onnxruntime.oldest == {10: "1.18", 11: "1.23"}[expected]


def test_a_missed_limit_fails_the_step_and_names_it(world: World, tmp_path: Path) -> None:
    with pytest.raises(StepError) as missed:
        world.export(tmp_path, parity={"sqnr_db": 150})
    said = missed.value.sentence()
    assert "float to int8" in said
    assert "signal to noise ratio" in said
    assert "150" in said
    assert "parity.sqnr_db" in said


def test_smoke_has_no_limits_on_answers(world: World, tmp_path: Path) -> None:
    spec = export.ExportSpec.model_validate({"from": "x", "parity": {"sqnr_db": 150}})
    facts = export.run(spec, {"core": world.int8, "float": world.float_}, world.context(tmp_path, smoke=True))
    assert facts["parity"]["float_to_int8"]["sqnr_db"] < 150


def test_another_tasks_graph_is_refused(world: World, tmp_path: Path) -> None:
    other = with_core(world.float_, core_graph(channels=3), tmp_path / "core")
    with pytest.raises(StepError, match=r"the input of the graph is input float32 \[batch, 3, 8, 8\]"):
        replace(world, float_=other).export(tmp_path / "out", "float32")


def test_golden_samples_are_of_the_test_set_one_of_each_class(world: World, tmp_path: Path) -> None:
    folder, _ = world.export(tmp_path)
    with np.load(folder / "samples.npz", allow_pickle=False) as stored:
        targets, indices = stored["target"], stored["index"]
        assert stored["input"].shape == (16, 1, 8, 8)
        assert stored["output"].shape == (16, 10)
        assert stored["encoded_0"].tobytes().startswith(b"\x89PNG")
        assert stored["tolerance"] == 0
    assert set(targets) == set(range(10))
    assert [world.task.show("test", int(index)).target for index in indices] == [str(one) for one in targets]


@pytest.mark.parametrize(
    ("precision", "settings", "because"),
    [
        ("int8", {}, ()),
        ("int8", {"softmax": True}, ("softmax (float)",)),
        ("float32", {}, ("conv (float)", "gemm (float)")),
    ],
)
def test_the_bundle_says_what_was_proven_and_allows_no_more(
    world: World, tmp_path: Path, precision: str, settings: dict[str, Any], because: tuple[str, ...]
) -> None:
    folder, facts = world.export(tmp_path, precision, **settings)
    told = json.loads((folder / "bundle.json").read_text())["bits"]
    assert told == facts["bits"]
    assert told["proven"] is (not because)
    assert set(because) <= set(told["because"])
    card = " ".join((folder / "README.md").read_text().split())
    assert (
        "Bits: proven." if not because else f"Bits: not proven, because {', '.join(map(in_markdown, told['because']))}."
    ) in card
    with np.load(folder / "samples.npz", allow_pickle=False) as stored:
        share = float(stored["tolerance"] / np.abs(stored["output"]).max())
    assert share == 0 if not because else 0 < share < 1e-4


def test_the_model_card_says_how_good_on_what_and_no_time(world: World, tmp_path: Path) -> None:
    folder, _ = world.export(tmp_path, licence="CC-BY-4.0 by nobody")
    card = (folder / "README.md").read_text()
    quality = json.loads((folder / "bundle.json").read_text())["quality"]["accuracy"]
    assert f"{quality['value']:.4f}" in card
    assert f"{quality['low']:.4f} to {quality['high']:.4f}" in card
    assert "CC-BY-4.0 by nobody" in card
    assert "7 bits" in card


@pytest.mark.parametrize(
    "wrong",
    [{"batch_size": 0}, {"batch_size": "some"}, {"input": "pixels"}, {"ir_version": 3}, {"parity": {"cosine": 2}}],
)
def test_wrong_settings_do_not_exist(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        export.ExportSpec.model_validate({"from": "x", **wrong})


def test_eight_bits_limit_what_is_claimed() -> None:
    assert export.warnings("int8", 7) == export.warnings("float32", None) == []
    (sentence,) = export.warnings("int8", 8)
    assert "VNNI" in sentence


def test_a_file_that_this_onnxruntime_cannot_read_fails_the_step(world: World, tmp_path: Path) -> None:
    graph = core_graph()
    graph.graph.node[1].op_type = "NoSuchOperator"
    graph.graph.node[1].domain = "somewhere"
    graph.opset_import.append(onnx.helper.make_opsetid("somewhere", 1))
    shipped = tmp_path / "shipped.onnx"
    onnx.save(graph, str(shipped))
    samples = [np.zeros((1, 1, 8, 8), np.float32)]
    core = (world.float_.file("core.onnx"), samples)
    with pytest.raises(StepError, match="cannot run the shipped file"):
        chain.core_to_shipped(core, (shipped, samples), answering(world.task), softmax=False, exact=True)


def test_a_difference_is_refused_where_nothing_was_added(world: World, tmp_path: Path) -> None:
    onnx.save(core_graph(seed=1), str(tmp_path / "other.onnx"))
    samples = [np.ones((2, 1, 8, 8), np.float32)]
    core, other = (world.float_.file("core.onnx"), samples), (tmp_path / "other.onnx", samples)
    with pytest.raises(StepError, match="nothing was added"):
        chain.core_to_shipped(core, other, answering(world.task), softmax=False, exact=True)
    with pytest.raises(StepError, match="core to shipped"):
        chain.core_to_shipped(core, other, answering(world.task), softmax=True, exact=False)


def with_core(artifact: Artifact, graph: onnx.ModelProto, folder: Path) -> Artifact:
    """The same evaluation with another graph in it."""
    folder.mkdir()
    for name in ("evaluation.json", "predictions.npz"):
        (folder / name).write_bytes(artifact.file(name).read_bytes())
    onnx.save(graph, str(folder / "core.onnx"))
    return replace(artifact, folder=folder)


def mixing(kind: str) -> onnx.ModelProto:
    """The core graph, and behind it something that the other samples have a part in."""
    graph = core_graph()
    graph.graph.node[-1].output[0] = "h"
    if kind == "mean":
        graph.graph.initializer.append(numpy_helper.from_array(np.array([0]), "axes"))
        graph.graph.node.append(onnx.helper.make_node("ReduceMean", ["h", "axes"], ["m"], name="centre"))
        graph.graph.node.append(onnx.helper.make_node("Sub", ["h", "m"], ["logits"]))
    else:
        graph.graph.node.append(onnx.helper.make_node("Squeeze", ["h"], ["logits"], name="drop"))
    return graph


@pytest.mark.parametrize(
    ("kind", "form", "says"),
    [
        ("mean", {}, "its node `centre` (ReduceMean) mixes the samples of a batch"),
        ("mean", {"input": "pixels_nhwc", "softmax": True}, "(ReduceMean) mixes the samples of a batch"),
        ("mean", {"batch_size": 4}, "(ReduceMean) mixes the samples of a batch"),
        ("squeeze", {}, "its node `drop` (Squeeze) drops the batch's axis where the batch has one sample"),
    ],
)
def test_a_file_that_mixes_samples_does_not_ship(
    world: World, tmp_path: Path, kind: str, form: dict[str, Any], says: str
) -> None:
    core = with_core(world.float_, mixing(kind), tmp_path / "core")
    with pytest.raises(StepError) as failed:
        replace(world, float_=core).export(tmp_path / "out", "float", **form)
    assert "the graph does not answer each sample by itself: " in str(failed.value)
    assert says in str(failed.value)


def test_a_batch_of_one_may_be_fixed(world: World, tmp_path: Path) -> None:
    mixes = with_core(world.float_, mixing("mean"), tmp_path / "mixes")
    replace(world, float_=mixes).export(tmp_path / "out", "float", batch_size=1, parity={"samples": 1})
    drops = with_core(world.float_, mixing("squeeze"), tmp_path / "drops")
    with pytest.raises(StepError, match=r"\(Squeeze\) drops the batch's axis|not valid ONNX"):
        replace(world, float_=drops).export(tmp_path / "other", "float", batch_size=1)


def test_the_runner_must_answer_one_sample_as_among_many(world: World, tmp_path: Path) -> None:
    folder, _ = world.export(tmp_path, "float", input="pixels_nchw")
    facts = read_manifest(folder)
    model, graph = Model(folder, facts), folder / "model.onnx"
    inputs = load_samples(folder / "samples.npz")["input"]
    single.check_runner(graph, model, inputs)

    class Otherwise(Model):  # type: ignore[misc]
        def __init__(self, alone: Callable[[np.ndarray], np.ndarray]) -> None:
            super().__init__(folder, facts)
            self.alone = alone

        def outputs(self, inputs: np.ndarray) -> np.ndarray:
            found = super().outputs(inputs)
            return self.alone(found) if len(inputs) == 1 else found

    def fails(outputs: np.ndarray) -> np.ndarray:
        raise Refused(4, "model.onnx", "onnxruntime cannot run it", "get another")

    with pytest.raises(StepError, match=r"answers one sample alone otherwise \(by 0\.01\) than among 1"):
        single.check_runner(graph, Otherwise(lambda outputs: outputs + np.float32(0.01)), inputs)
    with pytest.raises(StepError, match=r"in another shape, \[10\]"):
        single.check_runner(graph, Otherwise(lambda outputs: outputs[0]), inputs)
    with pytest.raises(StepError, match="the runner fails with one sample: onnxruntime cannot run it"):
        single.check_runner(graph, Otherwise(fails), inputs)
