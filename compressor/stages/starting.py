"""What a step that makes a network begins with: a named one with its weights, or an earlier step's."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from compressor.errors import InputError, StepError
from compressor.models import names
from compressor.problem.context import Context
from compressor.stages.base import FACTORY, ModelRef
from compressor.store.artifact import Artifact
from compressor.strict import Frozen
from compressor.training.settings import TrainingFields

if TYPE_CHECKING:
    from torch import nn

    from compressor.training.objective import Objective

SAMPLES_READ_BACK = 4
WEIGHTS = (
    "`none` (untrained), `default` (the library's own, from its cache or a download), or the path of a `.safetensors`, "
    "`.pt`, `.pth`, `.th`, `.ckpt`, `.bin` or `.pth.tar` file"
)


def known_model(model: object) -> Any:
    """The model as given; ValueError where its name can be told to be wrong without torch."""
    if model is not None and (wrong := names.mistake(model)):
        raise ValueError("; ".join(wrong))
    return model


def right_weights(weights: str | None, model: object) -> str | None:
    """The weights as given; ValueError where the model has none such."""
    if weights == "default" and model is not None and not names.reference(model).library:
        raise ValueError(f"{names.reference(model)} has no weights of its own; write none, or the path of a file")
    return weights


def _with_factory(schema: dict[str, Any]) -> None:
    """Tell editors and error messages of the short form."""
    short = {"type": "string", "pattern": FACTORY, "description": "Short for `model: {factory: …}`."}
    fields = schema.pop("properties")
    after = list(fields).index("model") + 1
    schema["properties"] = dict([*list(fields.items())[:after], ("factory", short), *list(fields.items())[after:]])
    if "model" in schema.get("required", ()):
        schema["required"].remove("model")
        schema |= {"if": {"not": {"required": ["factory"]}}, "then": {"required": ["model"]}}


class NamesModel(Frozen):
    """A step with a `model`, which may be written short: `factory: package.module:function`."""

    model_config = ConfigDict(json_schema_extra=_with_factory)

    @model_validator(mode="before")
    @classmethod
    def _long_factory(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or data.get("factory") is None:
            return data
        given = data["factory"]
        if data.get("model") is not None:
            raise ValueError("factory: stands beside model, and a step begins with one of them; leave one out")
        if not isinstance(given, str) or not re.match(FACTORY, given):
            raise ValueError(f"factory: {given!r} has another form; write `package.module:function`")
        return {**{name: value for name, value in data.items() if name != "factory"}, "model": {"factory": given}}


class StartFields(NamesModel):
    """The network that a training step begins with."""

    model: ModelRef | None = Field(
        None, description="Network to begin with: a name, `{name, widths}` or `{factory, args}`."
    )
    from_: str | None = Field(
        None, alias="from", description="Earlier step whose network to begin with, instead of `model`."
    )
    weights: str | None = Field(
        None,
        validate_default=True,
        description=f"Weights of `model`: {WEIGHTS}. A last layer of other classes is replaced. "
        "Needed with `torchvision:` and `timm:` models; otherwise `none` where left out.",
    )
    key: str | None = Field(None, description="Where in the weights' file the tensors lie, when not at a usual place.")

    @field_validator("model")
    @classmethod
    def _known(cls, model: object) -> Any:
        return known_model(model)

    @field_validator("weights")
    @classmethod
    def _right(cls, weights: str | None, info: ValidationInfo) -> str | None:
        model = info.data.get("model")
        if weights is None and model is not None and names.reference(model).library:
            raise ValueError(f"is needed for {names.reference(model)}; write none, default, or the path of a file")
        return right_weights(weights, model)


def ineffective(spec: Any) -> list[tuple[str, str]]:
    """Options about weights without effect in their combination, and why."""
    if spec.model is None and spec.weights is not None:
        return [("weights", "the weights come from the step that `from` names")]
    if spec.key is not None and spec.weights in (None, "none", "default"):
        return [("key", "it is a place in a file of weights, and `weights` names none")]
    return []


@dataclass(frozen=True)
class Start:
    """A network to work on, with what `network.save` needs to describe it."""

    model: nn.Module
    ref: Any
    shapes: Mapping[str, Mapping[str, Any]] | None
    outputs: int
    input_shape: tuple[int, ...]

    def save(self, context: Context) -> None:
        """Write the network as it is now into the artifact's folder, with plain weights.

        Raises:
            StepError: read back, it does not answer as it did.
        """
        from compressor.models import faithful, network, plain
        from compressor.training import samples

        if baked := plain.bake(self.model):
            more = f" and {len(baked) - 3} more" if len(baked) > 3 else ""
            context.progress.say(f"kept as plain weights: {', '.join(baked[:3])}{more}")
        network.save(context.folder, self.model, self.ref, self.outputs, self.input_shape, self.shapes)
        inputs = samples.few(context.task, SAMPLES_READ_BACK)
        try:
            faithful.check_saved(context.folder, self.model, context.base, inputs)
        except StepError:
            # What a finished training left would be resumed without the state that is missing here, and pass.
            shutil.rmtree(context.work, ignore_errors=True)
            raise

    def words(self) -> str:
        """`resnet8: 78,042 parameters, 12.4 million MACs`."""
        from compressor.models import cost

        return f"{names.reference(self.ref)}: {cost.count(self.model, self.input_shape).words()}"


def sizes(context: Context) -> tuple[int, tuple[int, ...]]:
    """Numbers that the network answers with, and the shape of its input, as the task has them."""
    (given,), (answered,) = context.task.signature.inputs, context.task.signature.outputs
    return answered.shape[-1], given.shape


def begin(spec: Any, inputs: Mapping[str, Artifact], context: Context, *, new_head: bool = True) -> Start:
    """The network of `from`, or of `model` with its weights.

    Raises:
        InputError: the network, its weights or its classes are not what the step needs.
    """
    from compressor.models import network

    if "from" not in inputs:
        return _named(spec, context, new_head=new_head, download=True)
    folder = inputs["from"].folder
    description = network.describe(folder)
    outputs, input_shape = sizes(context)
    model = network.read(folder, context.base)
    return Start(model, description["model"], description["shapes"], outputs, input_shape)


def sketch(spec: Any, networks: Mapping[str, nn.Module], context: Context, *, new_head: bool = True) -> nn.Module:
    """The network that the step begins with; weights in files are tried, and nothing is downloaded."""
    if "from" in networks:
        return networks["from"]
    return _named(spec, context, new_head=new_head, download=False).model


def _named(spec: Any, context: Context, *, new_head: bool, download: bool) -> Start:
    from compressor.models import catalogue, checkpoints, fitting, pretrained

    outputs, shape = sizes(context)
    ref = names.reference(spec.model)
    say = context.progress.say if download else lambda _: None
    with _at(f"steps.{context.step}.model"):
        model = catalogue.build(spec.model, outputs=outputs, input_shape=shape, base=context.base, seed=context.seed)
    kept: list[str] = []
    weights = spec.weights or "none"
    with _at(f"steps.{context.step}.weights"):
        if weights == "default" and download:
            state = pretrained.default_weights(spec.model, shape)
            where = f"default weights of {names.reference(spec.model)}"
            kept = fitting.put(model, state, where, new_head=new_head, ref=ref, input_shape=shape)
        elif weights not in ("none", "default"):
            path = Path(os.path.normpath(context.base / Path(weights).expanduser()))
            kept = checkpoints.load_into(model, path, spec.key, new_head=new_head, ref=ref, input_shape=shape, say=say)
    if kept and download:
        context.progress.say(f"the last layer is new, for {outputs} classes: {', '.join(kept)}")
    return Start(model, spec.model, None, outputs, shape)


@contextmanager
def _at(place: str) -> Iterator[None]:
    """Let what is wrong with a network or its weights name the field that asked for them."""
    try:
        yield
    except InputError as error:
        error.under(place)
        raise


def train(model: nn.Module, loss: Objective, spec: TrainingFields, context: Context) -> dict[str, Any]:
    """Train the model in place, in a precision that it can be trained in; what you get is the facts that every trained
    model leaves: curves, precision, why it is another than the device's own, and the loss in words."""
    from compressor.training import bfloat16, loop

    precision, because = bfloat16.settled(model, loss, context.task, spec, context)
    settings = spec.model_copy(update={"precision": precision})
    curves = loop.fit(model, loss, context.task, settings, context=context)
    told = {"precision_because": because} if because else {}
    return {**loop.facts(curves, settings, context), **told, "loss": loss.words}
