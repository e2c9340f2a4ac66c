"""Make the file that ships around a step's core graph, prove that it computes the same, and pack the bundle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from compressor.errors import StepError
from compressor.evaluation import quality, single
from compressor.evaluation.evaluation import Evaluation, Predictions
from compressor.models.answer_kinds import MEANINGS
from compressor.problem.batch import only
from compressor.problem.context import Context
from compressor.problem.task import Form, answering
from compressor.stages.base import PartOf, SettledSpec, Stage
from compressor.store.artifact import Artifact
from compressor.strict import Frozen

if TYPE_CHECKING:
    import numpy as np

    from compressor.bundle.bundle import Manifest
    from compressor.models.answer_kinds import Kind
    from compressor.onnx_graph.finish import Finished, Port

Share = Annotated[float, Field(ge=0, le=1)]
FLOAT_LIMITS: Mapping[str, float] = {"max_rel": 1e-3, "same_answers": 0.999}
INT8_LIMITS: Mapping[str, float] = {"cosine": 0.85, "sqnr_db": 5.0, "same_answers": 0.8}
CHUNK = 64


class ParityLimits(Frozen):
    """How far what ships may be from the nearest float network on validation samples; a miss fails the step.

    Defaults for a float file: max_rel 0.001, same_answers 0.999; for an int8 one: cosine 0.85, sqnr_db 5,
    same_answers 0.8. They catch a broken graph; how good is good enough is the budget's business.
    """

    max_abs: float | None = Field(None, ge=0, description="Largest difference of an output, in the output's unit.")
    max_rel: float | None = Field(None, ge=0, description="The same as a share of the largest absolute output.")
    cosine: float | None = Field(None, ge=-1, le=1, description="Least cosine between all outputs of the two.")
    sqnr_db: float | None = Field(None, ge=-200, le=200, description="Least signal to noise ratio, in decibels.")
    same_answers: Share | None = Field(None, description="Least share of samples with equal answers.")
    samples: int = Field(1000, ge=1, le=1_000_000, description="Validation samples compared, at most.")

    def limits(self, precision: str) -> dict[str, float]:
        """The limits that hold for a file of this precision, with the defaults where nothing is given."""
        given = self.model_dump(exclude={"samples"}, exclude_none=True)
        return {**(FLOAT_LIMITS if precision == "float32" else INT8_LIMITS), **given}


class ExportSpec(SettledSpec):
    """One self-contained ONNX file, checked against its float ancestor, in a bundle with golden samples."""

    stage: Literal["export"] = "export"
    from_: str = Field(alias="from", description="Earlier step whose network ships.")
    ir_version: int | None = Field(
        None, ge=8, le=13, description="ONNX IR version; left out: the lowest that the opset needs (10 for opset 21)."
    )
    batch_size: Literal["dynamic"] | Annotated[int, Field(ge=1, le=4096)] = Field(
        "dynamic", description="`dynamic`, or the one batch size that the file takes."
    )
    input: Literal["float", "pixels_nhwc", "pixels_nchw"] = Field(
        "float", description="What goes in: the network's float32 input, or uint8 pixels normalised inside the graph."
    )
    softmax: bool = Field(False, description="Whether probabilities come out instead of the network's raw outputs.")
    parity: ParityLimits = Field(default_factory=lambda: ParityLimits(), description="Limits of parity; see there.")
    samples: bool = Field(
        True, description="Whether pictures of the test set go along, as golden samples that any device can reproduce."
    )
    licence: str | None = Field(None, max_length=500, description="Licence of the weights, for the model card.")

    @property
    def batch(self) -> int | None:
        """The one that the file takes."""
        return None if self.batch_size == "dynamic" else self.batch_size

    def with_batch(self, size: int) -> str:
        """The file's own."""
        return "export with another batch_size"

    def relief(self) -> str:
        """Half the batch."""
        return "" if self.batch in (None, 1) else f"batch_size: {(self.batch or 0) // 2} (it was {self.batch})"


def run(spec: ExportSpec, inputs: Mapping[str, Artifact], context: Context) -> dict[str, Any]:
    """Write `bundle/`; the facts are its parity, interface and digest.

    Raises:
        StepError: the shipped file does not compute what the core graph and its float ancestor do, or a sample's
            answer depends on the samples beside it.
    """
    from compressor.bundle import bundle as bundles
    from compressor.device.manifest import MODEL
    from compressor.device.predict import Model
    from compressor.onnx_graph import bits, chain
    from compressor.onnx_graph.finish import Finish, finish

    folder = context.folder / "bundle"
    folder.mkdir()
    core, evaluation = inputs["core"], Evaluation.read(inputs["core"].folder)
    fixed = None if spec.batch_size == "dynamic" else spec.batch_size
    activation, precision = evaluation.final_activation, evaluation.precision
    wanted = Finish(spec.input, context.task.facts.preprocess, spec.softmax, fixed, spec.ir_version, activation)
    finished = finish(core.file("core.onnx"), folder / MODEL, wanted)
    check_interface(finished, spec, context)
    context.progress.say(f"input {_shown(finished.inputs[0])}, output {_shown(finished.outputs[0])}")
    few = single.samples(context.task, form_of(spec.input))
    single.check(folder / MODEL, few)
    parity = _parity(spec, inputs, evaluation, folder / MODEL, (activation, finished.activation), context)
    if not context.smoke:
        chain.check(parity, spec.parity.limits(precision))
    found = bits.judge(folder / MODEL)
    found_here = {"parity": parity, "bits": found, "precision": precision}
    manifest = _manifest(spec, finished, evaluation.predictions, found_here, context)
    context.progress.say(bits.sentence(found))
    single.check_runner(folder / MODEL, Model(folder, manifest.facts()), few)
    if spec.samples:
        _write_samples(folder, manifest, evaluation.predictions, context)
    bundle = bundles.write(folder, manifest)
    ports = bundle.manifest.facts()
    return {
        "model_sha256": bundle.model_sha256,
        "size_bytes": bundle.manifest.files[MODEL].bytes,
        "parity": parity,
        "input": ports["inputs"][0],
        "output": ports["outputs"][0],
        "subnormal_weights": finished.subnormals + evaluation.subnormal_weights,
        "opset": finished.opset,
        "ir_version": finished.ir_version,
        "bits": found,
        "warnings": warnings(precision, finished.weight_bits),
    }


def form_of(asked: Literal["float", "pixels_nhwc", "pixels_nchw"]) -> Form:
    """The form of a sample that goes into the file."""
    return "network" if asked == "float" else asked


def check_interface(finished: Finished, spec: ExportSpec, context: Context) -> None:
    """StepError where name, dtype or shape of input or output are not what the task and the spec ask for."""
    source, result = context.task.signature.inputs[0], context.task.signature.outputs[0]
    batch: int | str = "batch" if spec.batch_size == "dynamic" else spec.batch_size
    sample = (*source.shape[1:], source.shape[0]) if spec.input == "pixels_nhwc" else tuple(source.shape)
    dtype = source.dtype if spec.input == "float" else "uint8"
    plain = finished.activation not in ("softmax", "sigmoid")
    wanted = {
        "input": (finished.inputs[0], source.name, spec.input == "float", dtype, (batch, *sample)),
        "output": (finished.outputs[0], result.name, plain, result.dtype, (batch, *result.shape)),
    }
    for what, (found, name, plain, kind, shape) in wanted.items():
        if (found.dtype, found.shape) != (kind, shape) or (plain and found.name != name):
            asked = f"{name} {kind} [{', '.join(map(str, shape))}]"
            raise StepError("", f"the {what} of the graph is {_shown(found)}, not {asked}", "report this graph")


def warnings(precision: str, weight_bits: int | None) -> list[str]:
    """What a reader of the report must know of the file that ships."""
    if precision != "float32" and weight_bits == 8:
        return ["The shipped file has 8-bit weights: its quality holds on x86 CPUs with VNNI and on Arm only."]
    return []


def _parity(
    spec: ExportSpec, inputs: Mapping[str, Artifact], evaluation: Evaluation, shipped: Path,
    ends: Sequence[Kind | None], context: Context,
) -> dict[str, Any]:  # fmt: skip
    """Every link of the chain; None for one that is not there. ends: what core and shipped file end in."""
    from compressor.onnx_graph import chain, parity

    core, ancestor, task = inputs["core"], Evaluation.read(inputs["float"].folder), context.task
    quantized = None
    if evaluation.precision != "float32":
        reference, found = (one.predictions.outputs("validation") for one in (ancestor, evaluation))
        quantized = parity.compare(reference, found, answering(task))
    exact = spec.input == "float" and ends[0] == ends[1] and spec.batch_size == "dynamic"
    size = CHUNK if spec.batch_size == "dynamic" else spec.batch_size
    count = min(spec.parity.samples, task.size("validation"))

    def batches(before: int, form: Form) -> Iterator[np.ndarray]:
        for batch in task.batches("validation", size, limit=count, form=form):
            yield only(batch.inputs).numpy()
            before += len(batch)
            context.progress.advance(before, 2 * count, "samples")

    of_core, of_shipped = batches(0, "network"), batches(count, form_of(spec.input))
    link = chain.core_to_shipped(
        (core.file("core.onnx"), of_core), (shipped, of_shipped), answering(task), exact=exact,
        softmax=ends[0] != ends[1], activation=ends[0],
    )  # fmt: skip
    first = ancestor.parity.model_dump(mode="json") if ancestor.parity else None
    return {"torch_to_float": first, "float_to_int8": quantized, "core_to_shipped": link}


def _manifest(
    spec: ExportSpec,
    finished: Finished,
    predictions: Predictions,
    found: Mapping[str, Any],
    context: Context,
) -> Manifest:
    from importlib.metadata import version

    from compressor.bundle.bundle import Manifest
    from compressor.onnx_graph.finish import oldest_onnxruntime

    task = context.task
    meaning = MEANINGS[finished.activation] if finished.activation else task.signature.outputs[0].meaning
    oldest = oldest_onnxruntime(finished.opset, finished.ir_version)
    facts = {
        "task": {"type": task.facts.name, "metric": next(iter(task.metrics))},
        "files": {},
        "inputs": [_port(finished.inputs[0], *_source_words(spec, context))],
        "outputs": [_port(finished.outputs[0], "", meaning)],
        "preprocess": [dict(item) for item in task.facts.preprocess],
        "in_graph": list(finished.in_graph),
        "answers": list(task.facts.labels),
        "weight_bits": finished.weight_bits,
        "opset": finished.opset,
        "ir_version": finished.ir_version,
        "onnxruntime": {"made_with": version("onnxruntime"), "oldest": oldest},
        **found,
        **quality.tables(task.metrics, predictions),
        "step_key": context.pipeline.get("step_key"),
        "licence": spec.licence,
        "samples": spec.samples,
    }
    return Manifest.model_validate(facts)


def _write_samples(folder: Path, manifest: Manifest, predictions: Predictions, context: Context) -> None:
    """samples.npz: pictures of the test set, what the shipped file got of them, and what it answered, computed here."""
    import numpy as np

    from compressor.bundle import golden
    from compressor.device.manifest import MODEL, SAMPLES
    from compressor.device.predict import Model
    from compressor.onnx_graph.allowance import allowance

    facts = manifest.facts()
    model, source = Model(folder, facts), facts["inputs"][0]
    bytes_each = int(np.prod(source["shape"][1:])) * np.dtype(source["dtype"]).itemsize
    places = golden.choose(predictions.targets("test"), bytes_each)
    indices = predictions.indices[places]
    output_bytes = int(np.prod(facts["outputs"][0]["shape"][1:])) * 4
    raw = [context.task.show("test", int(index)).encoded for index in indices]
    kept, encoded, inputs = golden.pictures(raw, model, output_bytes)
    places, indices = [places[one] for one in kept], indices[kept]
    outputs = model.outputs(inputs)
    allowed = allowance(folder / MODEL, inputs, outputs)
    samples = golden.Golden(
        encoded=encoded,
        inputs=inputs,
        outputs=outputs,
        targets=predictions.targets("test")[places],
        indices=indices,
        tolerance=allowed.largest,
        median_tolerance=allowed.median,
        input_tolerance=golden.input_tolerance(encoded, facts["preprocess"], source["dtype"] == "uint8"),
    )
    golden.write(folder / SAMPLES, samples)


def _source_words(spec: ExportSpec, context: Context) -> tuple[str, str]:
    """Layout and meaning of the input."""
    source = context.task.signature.inputs[0]
    if spec.input == "float":
        return source.layout, source.meaning
    return spec.input.removeprefix("pixels_").upper(), "pixels, 0 to 255, after the geometric steps of preprocess"


def _port(port: Port, layout: str, meaning: str) -> dict[str, Any]:
    return {"name": port.name, "dtype": port.dtype, "shape": port.shape, "layout": layout, "meaning": meaning}


def _shown(port: Port) -> str:
    return f"{port.name} {port.dtype} [{', '.join(map(str, port.shape))}]"


STAGE = Stage(
    name="export",
    spec=ExportSpec,
    makes="bundle",
    run=run,
    takes={"from": frozenset({"model", "onnx"})},
    derives={"core": PartOf("evaluation"), "float": PartOf("evaluation", back_to="model")},
    uses=frozenset({"validation", "test", "preprocess"}),
    libraries=("onnx", "onnxruntime", "numpy", "pillow"),
    revision=9,
    isa=True,
)
