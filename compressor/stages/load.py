"""Take a trained network as it is: from torchvision, from timm, from a file, or from a factory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from compressor.device.refused import Unfit
from compressor.errors import InputError, StepError, meant
from compressor.models import names
from compressor.models.settings import WEIGHTS, ModelRef, Weights, right_weights
from compressor.problem.context import Context
from compressor.problem.metric import out_of_range
from compressor.stages.base import Flaw, NetworkSpec, Stage
from compressor.store.artifact import Artifact
from compressor.strict import Frozen
from compressor.tasks.base import TaskSpec
from compressor.training import starting

if TYPE_CHECKING:
    from torch import nn

BATCH_SIZE = 128


class Bounds(Frozen):
    """What a metric of the loaded network must be."""

    min: float | None = Field(None, description="Least value.")
    max: float | None = Field(None, description="Largest value.")

    @model_validator(mode="after")
    def _some(self) -> Bounds:
        if self.min is None and self.max is None:
            raise Unfit("there is no limit", "give min or max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise Unfit(f"nothing is at least {self.min:g} and at most {self.max:g}", "make min the smaller one")
        return self


class LoadSpec(NetworkSpec):
    """A trained network as it is, with exactly the task's classes."""

    stage: Literal["load"] = "load"
    model: ModelRef = Field(description="Network: a name, `{name, widths}` or `{factory, args}`.")
    weights: Weights | None = Field(
        None,
        validate_default=True,
        description=f"Weights: {WEIGHTS}. Needed, except with a factory, which may bring its own (`none`).",
    )
    expect: dict[str, Bounds] = Field(
        default_factory=dict,
        description="Limits of metrics on the validation split; a network outside of them stops the run.",
    )

    @field_validator("weights")
    @classmethod
    def _given(cls, weights: str | None, info: ValidationInfo) -> str | None:
        model = info.data.get("model")
        if weights is None and model is not None and not names.reference(model).factory:
            raise Unfit(f"is needed for {names.reference(model)}", "write none, default, or the path of a file")
        return right_weights(weights, model)

    @classmethod
    def flaws(cls, written: Mapping[str, Any], task: TaskSpec | None) -> Iterator[Flaw]:
        """Names in `expect` that are no metrics of the task, and limits that no metric could pass or miss."""
        expect = written.get("expect")
        for name, bounds in expect.items() if task is not None and isinstance(expect, Mapping) else ():
            assert task is not None
            if name not in task.metrics:
                known = f"its metrics are {', '.join(task.metrics)}"
                yield ("expect", name), "no such metric of the task", meant(name, task.metrics, known)
            elif isinstance(bounds, Mapping):
                low, high = task.metrics[name].range
                for limit, value in bounds.items():
                    if isinstance(value, int | float) and not low <= value <= high:
                        yield ("expect", name, limit), *out_of_range(name, value, low, high)
        yield from super().flaws(written, task)

    def unused(self) -> frozenset[str]:
        """Only `expect` looks at data, and only untrained weights are drawn."""
        looks = frozenset[str]() if self.expect else frozenset({"validation"})
        return looks if self.weights in (None, "none") else looks | {"seed"}


def run(spec: LoadSpec, inputs: Mapping[str, Artifact], context: Context) -> dict[str, Any]:
    """Write the network; the facts hold what `expect` was compared with."""
    start = starting.begin(spec, None, context, new_head=False)
    context.progress.say(start.words())
    facts = _expected(spec, start.model, context) if spec.expect else {}
    start.save(context)
    return facts


def _expected(spec: LoadSpec, model: nn.Module, context: Context) -> dict[str, float]:
    """The metrics on the validation split.

    Raises:
        InputError: a metric that the task does not have; a network that is right in another order of the classes.
        StepError: a metric outside of its limits; not in smoke runs, whose few samples tell nothing.
    """
    from compressor.models import final_activation, modes
    from compressor.training import samples
    from compressor.training.evaluation import evaluate, memory_errors
    from compressor.training.placing import place

    scoring = final_activation.as_logits(model, samples.few(context.task, final_activation.SAMPLES))
    with memory_errors(context.step, BATCH_SIZE):
        found = evaluate(
            modes.in_eval(place(scoring, context.device)),
            context.task,
            "validation",
            batch_size=BATCH_SIZE,
            device=context.device,
        )
    model.to("cpu")
    for metric, bounds in spec.expect.items():
        if metric not in found:
            known = ", ".join(context.task.metrics)
            raise InputError(f"steps.{context.step}.expect", f"the task has no metric {metric!r}", f"use {known}")
        value = found[metric]
        low, high = bounds.min is not None and value < bounds.min, bounds.max is not None and value > bounds.max
        if (low or high) and not context.smoke:
            samples.check_order(f"steps.{context.step}", scoring.cpu(), context.task)
            raise StepError(
                f"step {context.step}",
                f"{metric} on the validation split is {value:.4g}, {'under' if low else 'over'} the"
                f" {bounds.min if low else bounds.max:g} that `expect` asks for",
                "check weights, task.preprocess and the order of the classes",
            )
        context.progress.say(f"{metric} on the validation split: {value:.4g}, as expected")
    return {f"validation_{name}": found[name] for name in spec.expect}


def untrained(spec: LoadSpec, networks: Mapping[str, nn.Module], context: Context) -> nn.Module:
    """The network, with its weights where they lie in a file."""
    return starting.untrained(spec, networks, context, new_head=False)


STAGE = Stage(
    name="load",
    spec=LoadSpec,
    makes="model",
    run=run,
    untrained=untrained,
    uses=frozenset({"validation", "preprocess"}),
    libraries=("torch",),
    foreign=True,
)
