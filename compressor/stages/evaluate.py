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

from compressor.device.answers import probabilities
from compressor.evaluation.evaluation import Bits, Evaluation, Parity, Predictions, TensorFacts
from compressor.models.answer_kinds import ANSWERS, MEANINGS, NAMES
from compressor.problem.batch import Arrays, Tensors, joined, only
from compressor.problem.context import Context
from compressor.problem.task import Form, Split, answering
from compressor.problem.work import Work
from compressor.stages.base import SettledSpec, Stage, TakenOver
from compressor.store.artifact import Artifact

if TYPE_CHECKING:
    import numpy as np

    from compressor.models.answer_kinds import Kind
    from compressor.problem.task import Split

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
FACTS = ("precision", "size_bytes", "float_convolutions", "float_matmuls")
COSTS = {"params", "macs", "macs_unknown"}
BATCH = 64
TORCH_SAMPLES = 64
LARGER = "the int8 file is larger than the float one: the network is too small for the scales it adds"


class EvaluateSpec(SettledSpec):
    """Put in by the plan; it has no settings."""

    stage: Literal["evaluate"] = "evaluate"
    from_: str = Field("", alias="from", description="The step whose result is evaluated.")

    def work(self, sizes: Mapping[str, int]) -> Work:
        """Every sample of two splits."""
        return Work({"samples": sizes["validation"] + sizes["test"]})


@dataclass(frozen=True)
class Subject:
    """What is evaluated: the graph, how to feed it, and what is known of it already. activation: what a bundle says
    that its answers come out of."""

    graph: Path
    input: dict[str, Any]
    output: dict[str, Any]
    subnormal: int
    form: Form = "network"
    activation: Kind | None = None


def run(spec: EvaluateSpec, inputs: Mapping[str, Artifact], context: Context) -> dict[str, Any]:
    """Write core.onnx, predictions.npz and evaluation.json.

    Raises:
        InputError: a loaded network whose outputs are in another order than the task's classes.
        StepError: a graph whose answer to a sample depends on the samples beside it, or that is not the network.
    """
    import numpy as np

    from compressor.evaluation import single
    from compressor.onnx_graph import bits, cost, operators
    from compressor.stages import STAGES

    task, source, core = context.task, inputs["from"], inputs.get("core")
    subject = _subject(source, context)
    if source.kind != "bundle":
        single.check(subject.graph, single.samples(task))
    total = task.size("validation") + task.size("test")
    validation = _predict(subject, "validation", context, 0, total)
    if STAGES[source.stage].foreign:
        where = f"steps.{context.step.removesuffix('.evaluation')}"
        task.check_labels(where, validation.outputs, validation.targets)
    test = _predict(subject, "test", context, task.size("validation"), total)
    unseen = task.facts.unseen
    scores = {name: one.each(test.outputs, test.targets) for name, one in task.metrics.items() if one.each}
    arrays = {
        **{f"{split}_outputs": only(found.outputs) for split, found in (("test", test), ("validation", validation))},
        **{f"{split}_targets": only(found.targets) for split, found in (("test", test), ("validation", validation))},
        "test_indices": test.indices,
        "unseen": np.ones(len(test.indices), bool) if unseen is None else np.asarray(unseen, bool),
        **{f"score_{name}": values for name, values in scores.items()},
    }
    reference = None if core is None else Evaluation.read(core.folder)
    activation = _activation(subject, source, reference, only(test.outputs))
    size = subject.graph.stat().st_size
    known = reference is not None and source.kind == "bundle" and reference.model_dump(include=COSTS)
    evaluation = Evaluation(
        metric=next(iter(task.metrics)),
        **operators.count(subject.graph),
        bits=Bits(**bits.judge(subject.graph)),
        **(known or cost.count(subject.graph)),
        size_bytes=size,
        subnormal_weights=subject.subnormal,
        model_sha256=hashlib.sha256(subject.graph.read_bytes()).hexdigest(),
        input=TensorFacts(**subject.input),
        output=TensorFacts(**subject.output | ({"meaning": MEANINGS[activation]} if activation else {})),
        final_activation=activation,
        parity=_parity(source, reference, activation, validation, context),
        breakdown=task.breakdown(test.outputs, test.targets),
        predictions=Predictions(arrays),
    )
    warnings = tuple(_warnings(evaluation, reference, source.kind))
    for warning in warnings:
        context.progress.say(warning)
    evaluation.model_copy(update={"warnings": warnings}).write(context.folder)
    samples = {split: task.size(split) for split in SPLITS}
    quality = {name: one.value(test.outputs, test.targets, None) for name, one in task.metrics.items()}
    return quality | {name: getattr(evaluation, name) for name in FACTS} | {"samples": samples}


def _subject(source: Artifact, context: Context) -> Subject:
    from dataclasses import asdict

    graph, signature = context.folder / "core.onnx", context.task.signature
    if source.kind == "bundle":
        shutil.copyfile(source.file("bundle/model.onnx"), graph)
        from compressor.onnx_graph import final_activation as seen

        manifest = json.loads(source.file("bundle/bundle.json").read_text(encoding="utf-8"))
        given, answer = manifest["inputs"][0], manifest["outputs"][0]
        channels_first = given["layout"].upper().endswith("CHW")
        return Subject(
            graph,
            given,
            answer,
            0,
            form="network" if given["dtype"] != "uint8" else "pixels_nchw" if channels_first else "pixels_nhwc",
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


@dataclass(frozen=True)
class Answered:
    """A whole split, in its order. indices: int64 [samples]."""

    outputs: Arrays
    targets: Arrays
    indices: np.ndarray


def _predict(subject: Subject, split: Split, context: Context, before: int, total: int) -> Answered:
    import numpy as np

    from compressor import machine
    from compressor.onnx_graph import session

    targets: list[Tensors] = []
    indices = [np.zeros(0, np.int64)]

    def feed() -> Iterator[np.ndarray]:
        done = before
        for batch in context.task.batches(split, BATCH, form=subject.form):
            targets.append(batch.targets)
            indices.append(batch.indices.numpy())
            yield only(batch.inputs).numpy()
            done += len(batch)
            context.progress.advance(done, total, "samples")

    outputs = session.predict(subject.graph, feed(), machine.default_threads())
    wanted = joined(targets) or {"": np.zeros(0, np.int64)}
    name = context.task.signature.outputs[0].name
    return Answered({name: outputs.astype(np.float32)}, wanted, np.concatenate(indices))


def _parity(
    source: Artifact, reference: Evaluation | None, activation: Kind | None, found: Answered, context: Context
) -> Parity | None:
    """Against torch for a network, against the graph it came from for what was made of one; on validation samples."""

    from compressor.onnx_graph import parity

    outputs = only(found.outputs)
    if not len(outputs):
        return None
    if source.kind == "model":
        wanted, indices = _torch_outputs(source, context)
        rows = {int(index): row for row, index in enumerate(found.indices)}
        outputs = outputs[[rows[int(index)] for index in indices]]
        if not context.smoke:
            parity.check_float(wanted, outputs, "")
    elif reference is None:
        return None
    else:
        wanted = reference.predictions.outputs("validation")
        if activation in ("softmax", "sigmoid"):
            wanted = probabilities(wanted, (reference.final_activation,))
    return Parity(**parity.compare(wanted, outputs, answering(context.task)))


def _torch_outputs(source: Artifact, context: Context) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of some validation samples as torch computes them, and which ones they are."""
    import numpy as np

    from compressor.models import modes, network

    model = network.read(source.folder, context.base)
    batches = list(context.task.batches("validation", BATCH, limit=TORCH_SAMPLES))
    outputs = [modes.answer(model, batch.inputs).float().numpy() for batch in batches]
    return np.concatenate(outputs), np.concatenate([batch.indices.numpy() for batch in batches])


def _activation(subject: Subject, source: Artifact, reference: Evaluation | None, outputs: np.ndarray) -> Kind | None:
    """What the answers come out of: as the bundle says, as in the graph that this one was made of, or as seen."""
    import onnx

    from compressor.onnx_graph import final_activation as seen

    if source.kind == "bundle":
        return subject.activation
    if reference is None:
        return seen.find(onnx.load(str(subject.graph)).graph, outputs)
    return reference.final_activation


def _warnings(found: Evaluation, reference: Evaluation | None, kind: str) -> Iterator[str]:
    """What a reader of the figures must know. kind: of the artifact that was evaluated."""
    if kind == "onnx" and reference is not None and found.size_bytes > reference.size_bytes:
        yield f"{LARGER} ({found.size_bytes} against {reference.size_bytes} bytes)"
    if found.precision == "mixed" and (names := found.float_names):
        yield f"{len(names)} of the convolutions and products run in float, the first is `{names[0]}`"
    if unknown := found.unknown_operators:
        named = ", ".join(f"`{name}`" for name in unknown)
        yield f"nobody here can say whether {named} computes in integers or in float"
    if found.macs_unknown and not (reference and reference.macs_unknown):
        yield found.macs_unknown
    if found.subnormal_weights:
        yield f"{found.subnormal_weights} weights were too small for full precision and are zero in the graph"
    if found.final_activation is not None and kind == "model":
        taken = f"its answers are the {ANSWERS[found.final_activation]}, and no softmax is taken of them"
        yield f"the network ends in a {NAMES[found.final_activation]}: {taken}"


STAGE = Stage(
    name="evaluate",
    spec=EvaluateSpec,
    makes="onnx",
    run=run,
    part="evaluation",
    takes={"from": frozenset({"model", "onnx", "bundle"})},
    derives={"core": TakenOver("core")},
    uses=frozenset({"validation", "test", "preprocess"}),
    libraries=("torch", "onnx", "onnxscript", "onnxruntime", "numpy"),
    revision=5,
    isa=True,
)
