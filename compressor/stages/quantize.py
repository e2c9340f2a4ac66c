"""Turn a model into an int8 graph that onnxruntime runs in integer kernels, after training or by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field

from compressor.errors import InputError
from compressor.evaluation.evaluation import Evaluation
from compressor.problem.context import Context
from compressor.problem.work import Work
from compressor.stages.base import PartOf, Stage, StageSpec, TaughtSpec, TrainingSpec
from compressor.store.artifact import Artifact

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


SMOKE_SAMPLES = 64
EXAMPLES = 2
"""Samples that show which batch norm follows which convolution."""


class QuantizeSpec(StageSpec):
    """Activations uint8, weights int8 per channel; `ptq` calibrates on training samples, `qat` trains first."""

    stage: Literal["quantize"] = "quantize"
    from_: str = Field(alias="from", description="Earlier step whose model is quantized.")
    method: Literal["ptq", "qat"] = Field(
        "ptq", description="`ptq` rounds the model as it is; `qat` trains it with the rounding first."
    )
    weight_bits: Literal[7, 8] = Field(
        7, description="7: no CPU saturates sums; 8: finer, but x86 CPUs without VNNI answer otherwise."
    )
    calibration_samples: int = Field(
        512, ge=1, le=1_000_000, description="Training samples that the ranges of the activations come from."
    )
    calibration: Literal["minmax", "percentile", "mse"] = Field(
        "minmax", description="How: the extremes, 99.99 % of the values, or the smallest squared error."
    )
    allow_float: tuple[str, ...] = Field(
        (), description="Operators (`ConvTranspose`) or layers (`up1`) that may stay float where no integer kernel is."
    )

    @property
    def passes(self) -> int:
        """Passes over the samples of the calibration."""
        return 1 if self.calibration == "minmax" else 2

    def short(self) -> Self:
        """A batch of samples."""
        return super().short().model_copy(update={"calibration_samples": SMOKE_SAMPLES})

    def work(self, sizes: Mapping[str, int]) -> Work:
        """The samples that calibrate."""
        return Work({"samples": self.passes * min(self.calibration_samples, sizes["train"])})


class PtqSpec(QuantizeSpec):
    """The network as it is, rounded."""

    method: Literal["ptq"] = Field("ptq", description="Rounds the model as it is.")

    lacks: ClassVar[str] = "method ptq does not train, only qat does"

    def unused(self) -> frozenset[str]:
        """Calibration takes the first training samples in their fixed order, as they are."""
        return frozenset({"validation", "augment", "seed"})


class QatSpec(QuantizeSpec, TaughtSpec):
    """The network, trained with the rounding first."""

    method: Literal["qat"] = Field("qat", description="Trains the model with the rounding first.")
    alpha: float = Field(0.5, ge=0, le=1, description="Share of the labels in the loss; the teacher has the rest.")
    epochs: int = Field(2, ge=1, le=10_000, description="Passes over the training samples.")
    learning_rate: float = Field(
        0.001, gt=0, le=100, description="Peak learning rate; low, since no batch norm steadies a folded network."
    )
    clip_norm: float | None = Field(
        1.0, gt=0, description="Largest gradient norm; larger ones are scaled down. `null` leaves all as they are."
    )
    precision: Literal["auto", "float32"] = Field(
        "auto", description="Both mean float32: bfloat16 has 256 levels an octave and cannot carry the rounding."
    )

    def work(self, sizes: Mapping[str, int]) -> Work:
        """The training, then the samples that calibrate."""
        return Work({**TrainingSpec.work(self, sizes).units, **QuantizeSpec.work(self, sizes).units})


def run(spec: QuantizeSpec, inputs: Mapping[str, Artifact], context: Context) -> dict[str, Any]:
    """Write core.onnx; tell the method, the curves, on which CPUs the quality holds and whether the bits do."""
    from compressor import machine
    from compressor.onnx_graph import bits
    from compressor.quantization import ptq

    facts: dict[str, Any] = {
        "method": spec.method,
        "weight_bits": spec.weight_bits,
        "calibration": spec.calibration,
        "calibration_samples": min(spec.calibration_samples, context.task.size("train")),
        "holds_on": ptq.HOLDS_ON[spec.weight_bits],
    }
    core = inputs["core"].file("core.onnx")
    if isinstance(spec, QatSpec):
        core, more = _train(spec, inputs, context)
        facts |= more
    context.progress.say(f"ranges from {facts['calibration_samples']} training samples, {spec.calibration}")
    done = 0

    def advance(samples: int) -> None:
        nonlocal done
        done += samples
        context.progress.advance(done, spec.passes * facts["calibration_samples"], "samples")

    ptq.quantize(
        core,
        context.folder / "core.onnx",
        lambda size: _samples(context, size, spec.calibration_samples),
        method=spec.calibration,
        weight_bits=spec.weight_bits,
        threads=machine.default_threads(),
        advance=advance,
        allow_float=spec.allow_float,
        probabilities=Evaluation.read(inputs["core"].folder).final_activation is not None,
    )
    facts["bits"] = bits.judge(context.folder / "core.onnx")
    context.progress.say(f"{facts['holds_on']}; {bits.sentence(facts['bits'])}")
    return facts


def _samples(context: Context, batch_size: int, limit: int) -> Iterator[np.ndarray]:
    from compressor.problem.batch import only

    for batch in context.task.batches("train", batch_size, limit=limit):
        yield only(batch.inputs).numpy()


def _train(spec: QatSpec, inputs: Mapping[str, Artifact], context: Context) -> tuple[Path, dict[str, Any]]:
    """The float graph of the trained network, and what there is to tell."""
    from compressor.distillation import objective
    from compressor.models import network
    from compressor.onnx_graph import exporter
    from compressor.quantization import qat
    from compressor.training import samples

    settings = spec.model_copy(update={"precision": "float32"})
    loss = objective.build(settings, inputs["teacher"].folder if "teacher" in inputs else None, context)
    context.progress.say(f"loss: {loss.words}")
    model = network.read(inputs["from"].folder, context.base)
    signature = context.task.signature
    example = tuple(samples.few(context.task, EXAMPLES).values())
    model, curves = qat.train(model, loss, context.task, settings, spec.weight_bits, example=example, context=context)
    core = context.work / "trained.onnx"
    subnormal = exporter.export_core(model, signature, core, context.opset, context.progress.say)
    facts = {"curves": curves, "loss": loss.words, "precision": "float32", "subnormal_weights": subnormal}
    return core, facts


def untrained(spec: QuantizeSpec, networks: Mapping[str, nn.Module], context: Context) -> nn.Module:
    """The network as it is.

    Raises:
        InputError: `allow_float` names what is neither an operator nor a layer of it.
    """
    from compressor.models.names import did_you_mean
    from compressor.onnx_graph.kinds import LISTED

    layers = [name for name, _ in networks["from"].named_modules() if name]
    for entry in spec.allow_float:
        if entry not in LISTED and entry not in layers:
            todo = did_you_mean(entry, [*layers, *sorted(LISTED)], "name an operator of ONNX or a layer of the network")
            what = f"{entry!r} is neither an operator nor a layer of the network"
            raise InputError(f"steps.{context.step}.allow_float", what, todo)
    return networks["from"]


def caution(facts: Mapping[str, Any]) -> str:
    """On which processors an int8 model of 8 bits is as good as measured."""
    if facts.get("weight_bits") != 8:
        return ""
    return (
        "has 8-bit weights, whose products saturate on x86 processors without VNNI; "
        f"{facts.get('holds_on') or 'its quality holds on processors like this one alone'}; "
        "with weight_bits: 7 no processor saturates"
    )


STAGE = Stage[QuantizeSpec](
    name="quantize",
    spec=QuantizeSpec,
    by="method",
    forms={"ptq": PtqSpec, "qat": QatSpec},
    makes="onnx",
    run=run,
    untrained=untrained,
    caution=caution,
    takes={"from": frozenset({"model"}), "teacher": frozenset({"model"})},
    derives={"core": PartOf("evaluation")},
    uses=frozenset({"train", "validation", "preprocess", "augment"}),
    libraries=("torch", "onnx", "onnxscript", "onnxruntime", "numpy"),
    revision=4,
    isa=True,
)
