"""Files from elsewhere: weights beside the file, open sizes, and answers that are no numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compressor.cli.bundle_commands import described
from compressor.device import child
from compressor.device.child import Child
from compressor.device.refused import Refused
from compressor.errors import InputError, IntegrityError
from compressor.evaluation import model_file
from compressor.onnx_graph import neighbours
from compressor.problem.batch import Batch
from compressor.stages.benchmark import BenchmarkSpec
from tests.bundle import hostile
from tests.toy import ToyTask

QUICK = BenchmarkSpec(rounds=20, min_seconds=0)


def foreign(path: Path, *, spoilt: bool = False) -> onnx.ModelProto:
    """A convolution and a pool over [batch, 1, 8, 8] to three answers, as one file."""
    weight = np.random.default_rng(0).normal(size=(3, 1, 3, 3)).astype(np.float32)
    if spoilt:
        weight[0] = np.nan
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="c"),
        helper.make_node("GlobalAveragePool", ["a"], ["b"]),
        helper.make_node("Flatten", ["b"], ["y"]),
    ]
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", ["batch", 1, 8, 8]), ("y", ["batch", 3]))
    ]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], [numpy_helper.from_array(weight, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, path)
    return model


def evaluate(path: Path) -> dict[str, Any]:
    task: Any = ToyTask()
    return model_file.evaluate(path, task, QUICK)


def test_weights_in_a_file_beside_it_belong_to_the_model(tmp_path: Path) -> None:
    path, beside = tmp_path / "m.onnx", tmp_path / "m.onnx.data"
    model = foreign(path)
    whole = evaluate(path)
    assert whole["model_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    onnx.save(model, path, save_as_external_data=True, location=beside.name, size_threshold=0)
    found = evaluate(path)
    assert found["quality"] == whole["quality"]
    assert found["operators"] == whole["operators"]
    assert found["size_bytes"] == path.stat().st_size + beside.stat().st_size
    assert found["model_sha256"] == hashlib.sha256(path.read_bytes() + beside.read_bytes()).hexdigest()
    beside.unlink()
    with pytest.raises(
        InputError, match=r"its weights are in .*m\.onnx\.data, and there is no such file; put it there"
    ):
        evaluate(path)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_more_weights_than_one_file_holds_are_refused_by_their_sizes(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "m.onnx"
    model = foreign(path)
    large = model.graph.initializer.add(
        name="large", dims=[25_000, 30_000], data_type=kind, data_location=TensorProto.EXTERNAL
    )
    large.external_data.add(key="location", value="large.bin")
    onnx.save(model, path)
    said = r"m\.onnx: its weights take 3\.00 GB, and one ONNX file holds 2\.15 GB; use a smaller model"
    if kind == TensorProto.FLOAT16:  # 1.5 GB fit, so that the next thing is said
        said = "there is no such file"
    with pytest.raises(InputError, match=said):
        evaluate(path)


def test_a_file_that_claims_more_than_any_number_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    model = foreign(path)
    large = model.graph.initializer.add(
        name="large", dims=[2**62] * 20, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL
    )
    large.external_data.add(key="location", value="large.bin")
    onnx.save(model, path)
    with pytest.raises(InputError, match=r"one ONNX file holds 2\.15 GB; use a smaller model"):
        evaluate(path)


@pytest.mark.parametrize("outside", [False, True])
def test_open_sizes_are_timed_at_the_tasks(tmp_path: Path, outside: bool) -> None:
    path = tmp_path / "m.onnx"
    model = foreign(path)
    wanted = evaluate(path)
    for dim, name in zip(model.graph.input[0].type.tensor_type.shape.dim[1:], "chw", strict=True):
        dim.dim_param = name
    onnx.save(model, path, save_as_external_data=outside, location="w.bin", size_threshold=0)
    written = path.read_bytes()
    found = evaluate(path)
    assert found["quality"] == wanted["quality"]
    assert found["latency"][0]["p50_ms"] > 0
    assert path.read_bytes() == written


def test_answers_that_are_not_numbers_get_no_quality(tmp_path: Path) -> None:
    foreign(tmp_path / "m.onnx", spoilt=True)
    with pytest.raises(InputError, match="it answers 12 of 12 test samples with values that are not numbers"):
        evaluate(tmp_path / "m.onnx")


def test_what_is_wrong_with_the_data_is_not_the_models_fault(tmp_path: Path) -> None:
    class Torn(ToyTask):
        def batches(self, *args: Any, **options: Any) -> Any:
            raise InputError("task.data.folder", "'a.png' is torn", "fetch it again")

    foreign(tmp_path / "m.onnx")
    task: Any = Torn()
    with pytest.raises(InputError, match=r"^task\.data\.folder: 'a\.png' is torn; fetch it again$"):
        model_file.evaluate(tmp_path / "m.onnx", task, QUICK)


class Pixels(ToyTask):
    """Pictures as pixels and ten answers, which is what the hostile graphs take and give."""

    def __init__(self) -> None:
        super().__init__(classes=10)

    def batches(self, split: Any, size: int, order: Any = None, **settings: Any) -> Iterator[Batch]:
        for batch in super().batches(split, size, order, **{**settings, "form": "network"}):
            yield batch.moved(lambda values: values if values.dim() < 4 else (0 * values).byte().permute(0, 2, 3, 1))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bomb", "more than 32 deep"),
        ("unknown_type", "element type 99"),
        ("no_tensor", "no tensor of a type that is known"),
        ("unknown_operator", "onnxruntime cannot run it"),
        ("future", "onnxruntime cannot run it"),
        ("loop", "does not answer within 3 seconds; allow more with --max-seconds"),
        ("Expand", "more than 500 MB of memory; allow more with --max-memory-mb"),
    ],
)
def test_a_hostile_file_is_the_users_mistake_and_a_bundles_own_is_integrity(
    tmp_path: Path, name: str, said: str
) -> None:
    path = tmp_path / "m.onnx"
    every = {**hostile.BOUNDED, **hostile.RUN, **hostile.SLOW, **hostile.LARGE}
    path.write_bytes(every[name]().SerializeToString())
    task: Any = Pixels()
    limits = (3 if name in hostile.SLOW else 120, 500)
    with pytest.raises(InputError, match=said):
        model_file.evaluate(path, task, QUICK, limits=limits)
    if name in hostile.SLOW or name in hostile.LARGE:
        with pytest.raises(IntegrityError, match=said):
            model_file.evaluate(path, task, QUICK, limits=limits, is_bundle=True)


def test_timing_ends_when_it_takes_too_long(tmp_path: Path) -> None:
    """By a file that answers samples, but not the numbers that latency is measured with."""
    path = tmp_path / "m.onnx"
    model = foreign(path)
    made = hostile.loop_without_an_end().graph.node[0]
    made.input[1], made.input[2] = "go", "zero"
    weights = [
        numpy_helper.from_array(np.array(0, np.float32), "zero"),
        numpy_helper.from_array(np.array(-1, np.float32), "low"),
    ]
    below = [
        helper.make_node("ReduceMin", ["x"], ["least"], keepdims=0),
        helper.make_node("Less", ["least", "low"], ["go"]),
        made,
        helper.make_node("Add", ["b", "extra"], ["c"]),
    ]
    model.graph.initializer.extend(weights)
    nodes = [*model.graph.node[:2], *below, helper.make_node("Flatten", ["c"], ["y"])]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, path)
    task: Any = ToyTask()
    for inputs, _ in task.data.values():
        inputs.clamp_(min=-0.5)
    with pytest.raises(InputError, match="does not answer within 3 seconds"):
        model_file.evaluate(path, task, QUICK, limits=(3, 500))


@pytest.mark.parametrize("is_bundle", [False, True])
def test_a_file_that_mixes_samples_is_refused_before_its_quality(tmp_path: Path, is_bundle: bool) -> None:
    model = foreign(tmp_path / "m.onnx")
    nodes = [
        *model.graph.node[:2],
        helper.make_node("ReduceMean", ["b", "axes"], ["mean"], name="over all"),
        helper.make_node("Sub", ["b", "mean"], ["centred"]),
        helper.make_node("Flatten", ["centred"], ["y"]),
    ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.append(numpy_helper.from_array(np.array([0]), "axes"))
    onnx.save(model, tmp_path / "m.onnx")
    task: Any = ToyTask()
    with pytest.raises(IntegrityError if is_bundle else InputError) as refused:
        model_file.evaluate(tmp_path / "m.onnx", task, QUICK, is_bundle=is_bundle)
    assert "m.onnx: its node `over all` (ReduceMean) mixes the samples of a batch" in str(refused.value)


def test_weights_behind_a_link_are_counted_too(tmp_path: Path) -> None:
    """As in the caches of hubs: onnxruntime follows links, and onnx refuses to."""
    path, beside = tmp_path / "m.onnx", tmp_path / "m.onnx.data"
    onnx.save(foreign(path), path, save_as_external_data=True, location=beside.name, size_threshold=0)
    beside.rename(tmp_path / "blob")
    beside.symlink_to(tmp_path / "blob")
    found = evaluate(path)
    assert (found["params"], found["macs"], found["macs_unknown"]) == (27, 27 * 36, None)


def test_a_file_whose_operators_cannot_be_counted_is_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentences say what was missing, and each check of a sample's company may take its time."""
    asked: dict[str, float] = {}

    class Slow(Child):
        def ask(self, request: Any, array: Any = None, more: float = 0) -> Any:
            asked[request["do"]] = more
            if request["do"] == "count":
                raise Refused(2, "m.onnx", "does not answer within 120 seconds", "allow more")
            told = super().ask(request, array, more)
            return ({"seconds": 7.0}, None) if request["do"] == "pace" else told

    monkeypatch.setattr(child, "Child", Slow)
    foreign(tmp_path / "m.onnx")
    found = evaluate(tmp_path / "m.onnx")
    assert asked == {"open": 0, "pace": 0, "neighbours": 7.0 * neighbours.ANSWERS, "run": 0, "count": 0}
    assert found["precision"] is found["params"] is found["macs"] is found["operators"] is None
    assert found["quality"]["accuracy"]["n"] > 0
    told = described({"file": "m.onnx", "task": {"data": "toy"}, **found})
    assert told[0].startswith("m.onnx: precision unknown, ")
    why = "what counts them does not answer within 120 seconds"
    assert told[1:3] == [f"its multiplications are not known: {why}", f"its operators are not known: {why}"]
