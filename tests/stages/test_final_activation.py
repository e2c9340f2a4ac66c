"""A loaded network that answers with probabilities: no step takes a second softmax, and all that ships says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from torch import nn

from compressor.device.answers import probabilities
from compressor.device.predict import Model
from compressor.distillation import objective as distilled
from compressor.models import network
from compressor.onnx_graph import final_activation as of_graphs
from compressor.stages import load
from compressor.stages.distill import DistillSpec
from compressor.training import objective
from tests.toy import ToyTask, toy_artifact, toy_context, toy_model

Compress = Callable[..., tuple[int, str, str]]

NETS = """
import torch
from torch import nn
from torch.nn import functional as F
class Net(nn.Module):
    def __init__(self, head):
        super().__init__()
        torch.manual_seed(3)
        self.conv, self.fc, self.head = nn.Conv2d(1, 8, 3, 1, 1), nn.Linear(8, 10), head
    def forward(self, x):
        z = 4 * self.fc(F.relu(self.conv(x)).mean((2, 3)))
        ends = {"softmax": F.softmax, "log_softmax": F.log_softmax, "sigmoid": lambda z, _: z.sigmoid()}
        return ends[self.head](z, 1) if self.head else z
"""


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The run's folder for a head: `raw` and `asked` (softmax: true) exported, and `int8` with `softmax: true` ships."""
    from compressor.pipeline.plan.prepare import Request
    from compressor.pipeline.run import run as running
    from tests.conftest import work_here

    base, made = tmp_path_factory.mktemp("heads"), dict[str, Path]()
    (base / "headnets.py").write_text(NETS)

    def of(head: str) -> Path:
        if head in made:
            return made[head]
        path = base / f"{head or 'none'}.yaml"
        limits = "parity: {sqnr_db: 0, cosine: 0, same_answers: 0}"
        path.write_text(
            "version: 1\nname: n\ntask: {type: image-classification, data: digits}\nsteps:\n"
            f"  net: {{stage: load, model: {{factory: 'headnets:Net', args: {{head: '{head}'}}}}}}\n"
            "  int8: {stage: quantize, from: net, calibration_samples: 64}\n"
            "  raw: {stage: export, from: net}\n"
            "  asked: {stage: export, from: net, softmax: true, input: pixels_nhwc}\n"
            f"  edge: {{stage: export, from: int8, softmax: true, {limits}}}\nship: edge\n"
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(running, "run_child", work_here)
            running.run(
                Request(path=path, store=base / "store"), out=base / (head or "none") / "out", on_event=lambda _: None
            )
        made[head] = base / (head or "none") / "out"
        return made[head]

    return of


def bundles(run: Path) -> dict[str, Path]:
    """Step -> its bundle's folder, from the store, by what went into each."""
    found = {}
    for entry in sorted((run.parent.parent / "store" / "artifacts").glob("*/*/artifact.json")):
        about = json.loads(entry.read_text())
        if about["kind"] == "bundle":
            found[str(entry.parent)] = entry.parent / "bundle"
    return found


def operators(model: Path) -> list[str]:
    return [node.op_type for node in onnx.load(str(model)).graph.node]


@pytest.mark.parametrize(
    ("head", "in_graph", "softmaxes", "meaning"),
    [
        ("softmax", ["softmax"], 1, "probability of each answer, in their order"),
        ("sigmoid", ["sigmoid"], 0, "probability of each answer by itself, in their order; they need not sum to one"),
        ("log_softmax", ["softmax"], 0, "probability of each answer, in their order"),
        ("", ["softmax"], 1, "probability of each answer, in their order"),
    ],
)
def test_what_ships_takes_no_second_softmax(
    head: str, in_graph: list[str], softmaxes: int, meaning: str, shipped: Callable[[str], Path]
) -> None:
    run = shipped(head)
    facts = json.loads((run / "bundle" / "bundle.json").read_text())
    assert facts["in_graph"] == in_graph
    assert facts["outputs"][0]["name"] == "probabilities"
    assert facts["outputs"][0]["meaning"] == meaning
    made = operators(run / "bundle" / "model.onnx")
    assert made.count("Softmax") == softmaxes
    report = json.loads((run / "report.json").read_text())
    told = [one for one in report["warnings"] if "no softmax is taken of them" in one]
    assert len(told) == (1 if head else 0), report["warnings"]
    if head:
        assert told[0].startswith(f"net: the network ends in a {head.replace('_', '-')}: its answers are the ")
    model = Model(run / "bundle", facts)
    outputs = model.outputs(np.load(run / "bundle" / "samples.npz")["input"])
    shares = model.probabilities(outputs)
    assert np.array_equal(shares, outputs.astype(np.float64))
    if head != "sigmoid":
        assert np.allclose(shares.sum(1), 1, atol=1e-3)
    parity = facts["parity"]["float_to_int8"]
    assert parity["same_answers"] > 0.9
    evaluated = {row["step"]: row for row in report["models"]}
    assert (
        abs(evaluated["int8"]["quality"]["accuracy"]["value"] - evaluated["net"]["quality"]["accuracy"]["value"]) < 0.05
    )


def test_ways_out_agree_with_the_scores(shipped: Callable[[str], Path]) -> None:
    answered: dict[str, dict[str, Any]] = {}
    for head in ("softmax", "sigmoid", "log_softmax", ""):
        shipped(head)
    for folder in bundles(shipped("")).values():
        facts = json.loads((folder / "bundle.json").read_text())
        if facts["precision"] != "float32":
            continue
        model = Model(folder, facts)
        key = f"{','.join(one for one in facts['in_graph'] if 'o' in one and one not in ('scale',))}/{facts['inputs'][0]['dtype']}"
        shares = model.probabilities(model.outputs(np.load(folder / "samples.npz")["input"]))
        answered.setdefault(key, {})[facts["outputs"][0]["meaning"]] = shares
    assert {key for key in answered if key.endswith("float32")} == {
        "/float32",
        "softmax/float32",
        "sigmoid/float32",
        "log_softmax/float32",
    }
    plain = next(iter(answered["/float32"].values()))
    for key in ("softmax/float32", "log_softmax/float32"):
        assert np.allclose(next(iter(answered[key].values())), plain, atol=1e-5)
    sigmoid = next(iter(answered["sigmoid/float32"].values()))
    odds = sigmoid / (1 - sigmoid)
    assert np.allclose(odds / odds.sum(1, keepdims=True), plain, atol=1e-4)


@pytest.mark.parametrize("head", [nn.Softmax(1), nn.LogSoftmax(1), nn.Sigmoid()])
def test_a_teacher_teaches_by_the_logits_behind_its_probabilities(
    head: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, context = toy_model(seed=5).eval(), toy_context(tmp_path)
    spec = DistillSpec.model_validate({"teacher": "t", "model": "resnet8", "alpha": 0, "temperature": 4})
    student, batch = toy_model(seed=6), next(iter(ToyTask().batches("train", 16)))
    found = []
    for teacher in (plain, nn.Sequential(plain, head)):
        monkeypatch.setattr(network, "read", lambda *_, teacher=teacher: teacher)
        loss = distilled.build(spec, toy_artifact(tmp_path / "t").folder, context)
        found.append(float(objective.loss(loss(student, batch)).detach()))
    assert found[1] == pytest.approx(found[0], rel=1e-4)
    assert "(the teacher: its answers are those of a " in loss.words


def test_expect_takes_no_second_softmax(tmp_path: Path) -> None:
    spec = load.LoadSpec.model_validate(
        {"model": {"factory": "a:b"}, "expect": {"accuracy": {"min": 0}, "loss": {"max": 99}}}
    )
    plain = toy_model(seed=5).eval()
    request = load._expected(spec, plain, toy_context(tmp_path))
    for head in (nn.Softmax(1), nn.LogSoftmax(1), nn.Sigmoid()):
        assert load._expected(spec, nn.Sequential(plain, head), toy_context(tmp_path)) == pytest.approx(
            request, rel=1e-4
        )


def node(kind: str, given: list[str], made: str, **settings: Any) -> onnx.NodeProto:
    return helper.make_node(kind, given, [made], **settings)


ENDS = {
    "softmax": ([node("Softmax", ["z"], "out", axis=1)], "softmax"),
    "identity": ([node("Softmax", ["z"], "p", axis=1), node("Identity", ["p"], "out")], "softmax"),
    "log": ([node("Softmax", ["z"], "p", axis=1), node("Log", ["p"], "out")], "log_softmax"),
    "log-softmax": ([node("LogSoftmax", ["z"], "out", axis=1)], "log_softmax"),
    "sigmoid": ([node("Sigmoid", ["z"], "out")], "sigmoid"),
    "log of sigmoid": ([node("Sigmoid", ["z"], "p"), node("Log", ["p"], "out")], "log_sigmoid"),
    "by hand": (
        [node("Exp", ["z"], "e"), node("ReduceSum", ["e", "one"], "s"), node("Div", ["e", "s"], "out")],
        "softmax",
    ),
    "sigmoid by hand": (
        [node("Neg", ["z"], "m"), node("Exp", ["m"], "e"), node("Add", ["e", "unit"], "s"),
         node("Reciprocal", ["s"], "out")],
        "sigmoid",
    ),
    "scores": ([node("Identity", ["z"], "out")], None),
    "small positive scores": ([node("Abs", ["z"], "a"), node("Mul", ["a", "small"], "out")], None),
    "not more than zero": ([node("Abs", ["z"], "a"), node("Neg", ["a"], "out")], None),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_what_a_graph_ends_in_is_seen(name: str, tmp_path: Path) -> None:
    from onnx.reference import ReferenceEvaluator

    nodes, kind = ENDS[name]
    held = [
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        helper.make_tensor("unit", TensorProto.FLOAT, [], [1.0]),
        helper.make_tensor("small", TensorProto.FLOAT, [], [0.01]),
    ]
    ports = [helper.make_tensor_value_info(port, TensorProto.FLOAT, ["n", 4]) for port in ("z", "out")]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    z = np.random.default_rng(0).normal(0, 3, (32, 4)).astype(np.float32)
    answers = np.asarray(ReferenceEvaluator(model).run(None, {"z": z})[0])
    assert of_graphs.find(model.graph, answers) == kind


def test_a_saturated_graph_is_called_by_its_last_node() -> None:
    ports = [helper.make_tensor_value_info(port, TensorProto.FLOAT, ["n", 2]) for port in ("z", "out")]
    graph = helper.make_graph([node("Sigmoid", ["z"], "out")], "g", ports[:1], ports[1:])
    assert of_graphs.find(graph, np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)) == "sigmoid"
    rounded = np.array([[0.996, 0.0], [0.5, 0.504]], np.float32)
    graph = helper.make_graph([node("Softmax", ["z"], "out")], "g", ports[:1], ports[1:])
    assert of_graphs.find(graph, rounded) == "softmax"
    assert of_graphs.find(graph, np.zeros((0, 2), np.float32)) is None


def test_the_runner_takes_probabilities_as_its_bundle_says() -> None:
    logits = np.log(np.array([[0.25, 0.75]]))
    shares = probabilities
    assert shares(logits, ()).tolist() == pytest.approx(np.array([[0.25, 0.75]]))
    assert shares(logits, ("log_softmax",))[0].tolist() == pytest.approx([0.25, 0.75])
    assert shares(np.log([[0.25, 0.5]]), ("log_sigmoid",))[0].tolist() == pytest.approx([0.25, 0.5])
    for name in ("softmax", "sigmoid"):
        assert shares(np.array([[0.25, 0.5]]), ("scale", name)).tolist() == [[0.25, 0.5]]
