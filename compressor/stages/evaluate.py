"""Quality, size, cost and operators of one model as onnxruntime runs it; put after every step that makes one."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from compressor.models.answer_kinds import ANSWERS, MEANINGS, NAMES
from compressor.problem.context import Context
from compressor.runner import runner
from compressor.stages import evaluated
from compressor.stages.base import SettledSpec, Stage
from compressor.store.artifact import Artifact

if TYPE_CHECKING:
    import numpy as np

    from compressor.models.answer_kinds import Kind
    from compressor.problem.task import Split

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
FACTS = ("precision", "size_bytes", "float_convolutions", "float_matmuls")
COSTS = ("params", "macs", "macs_unknown")
BATCH = 64
TORCH_SAMPLES = 64
LARGER = "the int8 file is larger than the float one: the network is too small for the scales it adds"


class EvaluateSpec(SettledSpec):
    """Put in by the plan; it has no settings."""

    stage: Literal["evaluate"] = "evaluate"
    from_: str = Field("", alias="from", description="The step whose result is evaluated.")


@dataclass(frozen=True)
class Subject:
    """What is evaluated: the graph, how to feed it, and what is known of it already. activation: what a bundle says
    that its answers come out of."""

    graph: Path
    input: dict[str, Any]
    output: dict[str, Any]
    subnormal: int
    pixels: bool = False
    channels_first: bool = False
    activation: Kind | None = None


def run(spec: EvaluateSpec, inputs: Mapping[str, Artifact], context: Context) -> dict[str, Any]:
    """Write core.onnx, predictions.npz and evaluation.json.

    Raises:
        InputError: a loaded network whose outputs are in another order than the task's classes.
        StepError: a graph whose answer to a sample depends on the samples beside it, or that is not the network.
    """
    import numpy as np

    from compressor.data import class_order
    from compressor.onnx_graph import bits, cost, operators
    from compressor.stages import single

    task, source, core = context.task, inputs["from"], inputs.get("core")
    subject = _subject(source, context)
    if source.kind != "bundle":
        single.check(subject.graph, single.samples(task, pixels=False, channels_first=True))
    total = task.size("validation") + task.size("test")
    validation = _predict(subject, "validation", context, 0, total)
    if source.stage == "load":
        where = f"steps.{context.step.removesuffix('.evaluation')}"
        class_order.check(where, task.answer(validation["outputs"]), validation["targets"], task.answers)
    test = _predict(subject, "test", context, task.size("validation"), total)
    unseen = task.unseen()
    arrays: dict[str, Any] = {f"test_{name}": values for name, values in test.items()}
    arrays |= {f"validation_{name}": validation[name] for name in ("outputs", "targets")}
    arrays["unseen"] = np.ones(len(test["outputs"]), bool) if unseen is None else np.asarray(unseen, bool)
    scores = task.score(test["outputs"], test["targets"])
    arrays |= {f"score_{name}": np.asarray(values, np.float64) for name, values in scores.items()}
    np.savez(context.folder / evaluated.PREDICTIONS, **arrays)
    reference = None if core is None else evaluated.facts(core)
    activation = _activation(subject, source, reference, test["outputs"])
    counted, size = operators.count(subject.graph), subject.graph.stat().st_size
    costs = {name: reference[name] for name in COSTS} if source.kind == "bundle" and reference else None
    costs = costs or cost.count(subject.graph)
    evaluation = {
        "metric": task.metric,
        **counted,
        "bits": bits.judge(subject.graph),
        **costs,
        "size_bytes": size,
        "subnormal_weights": subject.subnormal,
        "model_sha256": hashlib.sha256(subject.graph.read_bytes()).hexdigest(),
        "input": subject.input,
        "output": subject.output if activation is None else {**subject.output, "meaning": MEANINGS[activation]},
        "final_activation": activation,
        "parity": _parity(source, core, activation, validation, context),
        "breakdown": task.breakdown(test["outputs"], test["targets"]),
        "warnings": _warnings({**counted, **costs}, size, subject, reference, source.kind),
    }
    if activation is not None and source.kind == "model":
        taken = f"its answers are the {ANSWERS[activation]}, and no softmax is taken of them"
        evaluation["warnings"].append(f"the network ends in a {NAMES[activation]}: {taken}")
    for warning in evaluation["warnings"]:
        context.progress.say(warning)
    text = json.dumps(evaluation, indent=1, allow_nan=False, ensure_ascii=False)
    (context.folder / evaluated.FACTS).write_text(text + "\n", encoding="utf-8")
    quality = {name: float(np.mean(values)) for name, values in scores.items()}
    samples = {split: task.size(split) for split in SPLITS}
    return quality | {name: evaluation[name] for name in FACTS} | {"samples": samples}


def _subject(source: Artifact, context: Context) -> Subject:
    from dataclasses import asdict

    graph, signature = context.folder / "core.onnx", context.task.signature
    if source.kind == "bundle":
        shutil.copyfile(source.file("bundle/model.onnx"), graph)
        from compressor.onnx_graph import final_activation as seen

        manifest = json.loads(source.file("bundle/bundle.json").read_text(encoding="utf-8"))
        given, answer = manifest["inputs"][0], manifest["outputs"][0]
        return Subject(
            graph,
            given,
            answer,
            0,
            pixels=given["dtype"] == "uint8",
            channels_first=given["layout"].upper().endswith("CHW"),
            activation=seen.of_names(manifest["in_graph"]),
        )
    given, answer = asdict(signature.inputs[0]), asdict(signature.outputs[0])
    if source.kind == "model":
        from compressor.models import network
        from compressor.onnx_graph import exporter

        model = network.read(source.folder, context.base)
        subnormal = exporter.export_core(model, signature, graph, context.opset, context.progress.say)
        return Subject(graph, given, answer, subnormal)
    shutil.copyfile(source.file("core.onnx"), graph)
    return Subject(graph, given, answer, int(source.facts.get("subnormal_weights", 0)))


def _predict(subject: Subject, split: Split, context: Context, before: int, total: int) -> dict[str, np.ndarray]:
    """`outputs`, `targets` and `indices` of a whole split, in its order."""
    import numpy as np

    from compressor import machine
    from compressor.onnx_graph import session

    targets: list[np.ndarray] = []
    indices: list[np.ndarray] = []

    def feed() -> Iterator[np.ndarray]:
        done = before
        for batch in context.task.batches(split, BATCH, pixels=subject.pixels):
            targets.append(batch.targets.numpy())
            indices.append(batch.indices.numpy())
            values = batch.inputs.numpy()
            yield values.transpose(0, 3, 1, 2) if subject.pixels and subject.channels_first else values
            done += len(values)
            context.progress.advance(done, total, "samples")

    outputs = session.predict(subject.graph, feed(), machine.default_threads())
    empty = np.zeros(0, np.int64)
    return {
        "outputs": outputs.astype(np.float32),
        "targets": np.concatenate([empty, *targets]),
        "indices": np.concatenate([empty, *indices]),
    }


def _parity(
    source: Artifact, core: Artifact | None, activation: Kind | None, found: Mapping[str, np.ndarray], context: Context
) -> dict[str, Any] | None:
    """Against torch for a network, against the graph it came from for what was made of one; on validation samples."""

    from compressor.onnx_graph import parity

    outputs = found["outputs"]
    if not len(outputs):
        return None
    if source.kind == "model":
        wanted, indices = _torch_outputs(source, context)
        rows = {int(index): row for row, index in enumerate(found["indices"])}
        outputs = outputs[[rows[int(index)] for index in indices]]
        if not context.smoke:
            parity.check_float(wanted, outputs, "")
    elif core is None:
        return None
    else:
        wanted = evaluated.predictions(core, "validation_outputs")["validation_outputs"]
        if activation in ("softmax", "sigmoid"):
            wanted = runner().probabilities(wanted, (evaluated.final_activation(core),))
    return parity.compare(wanted, outputs, context.task.answer)


def _torch_outputs(source: Artifact, context: Context) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of some validation samples as torch computes them, and which ones they are."""
    import numpy as np
    import torch

    from compressor.models import network

    model = network.read(source.folder, context.base)
    with torch.no_grad():
        batches = list(context.task.batches("validation", BATCH, limit=TORCH_SAMPLES))
        outputs = [model(batch.inputs).float().numpy() for batch in batches]
    return np.concatenate(outputs), np.concatenate([batch.indices.numpy() for batch in batches])


def _activation(
    subject: Subject, source: Artifact, reference: Mapping[str, Any] | None, outputs: np.ndarray
) -> Kind | None:
    """What the answers come out of: as the bundle says, as in the graph that this one was made of, or as seen."""
    import onnx

    from compressor.onnx_graph import final_activation as seen

    if source.kind == "bundle":
        return subject.activation
    if reference is None:
        return seen.find(onnx.load(str(subject.graph)).graph, outputs)
    known: Kind | None = reference["final_activation"]
    return known


def _warnings(
    counted: Mapping[str, Any], size: int, subject: Subject, reference: Mapping[str, Any] | None, kind: str
) -> list[str]:
    sentences = []
    if kind == "onnx" and reference is not None and size > reference["size_bytes"]:
        sentences.append(f"{LARGER} ({size} against {reference['size_bytes']} bytes)")
    if counted["precision"] == "mixed" and (names := counted["float_names"]):
        sentences.append(f"{len(names)} of the convolutions and products run in float, the first is `{names[0]}`")
    if unknown := counted["unknown_operators"]:
        named = ", ".join(f"`{name}`" for name in unknown)
        sentences.append(f"nobody here can say whether {named} computes in integers or in float")
    if counted["macs_unknown"] and not (reference or {}).get("macs_unknown"):
        sentences.append(counted["macs_unknown"])
    if subject.subnormal:
        sentences.append(f"{subject.subnormal} weights were too small for full precision and are zero in the graph")
    return sentences


STAGE = Stage(
    name="evaluate",
    spec=EvaluateSpec,
    makes="onnx",
    run=run,
    takes={"from": frozenset({"model", "onnx", "bundle"}), "core": frozenset({"onnx"})},
    uses=frozenset({"validation", "test", "preprocess"}),
    libraries=("torch", "onnx", "onnxscript", "onnxruntime", "numpy"),
    revision=5,
    isa=True,
)
