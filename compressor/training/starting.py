"""What a step that makes a network begins with: a named one with its weights, or an earlier step's."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compressor.errors import InputError, StepError
from compressor.models import names
from compressor.models.settings import ModelRef, NamesModel
from compressor.problem.context import Context
from compressor.strict import FilePath
from compressor.training.settings import TrainingFields

if TYPE_CHECKING:
    from torch import nn

    from compressor.training.objective import Objective

SAMPLES_READ_BACK = 4


@dataclass(frozen=True)
class Start:
    """A network to work on, with what `network.save` needs to describe it."""

    model: nn.Module
    ref: ModelRef
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


def begin(spec: NamesModel, folder: Path | None, context: Context, *, new_head: bool = True) -> Start:
    """The network of the artifact in `folder`, or else the one that the settings name, with its weights.

    Raises:
        InputError: the network, its weights or its classes are not what the step needs.
    """
    from compressor.models import network

    if folder is None:
        return _named(spec, context, new_head=new_head, download=True)
    description = network.describe(folder)
    outputs, input_shape = sizes(context)
    model = network.read(folder, context.base)
    return Start(model, description["model"], description["shapes"], outputs, input_shape)


def untrained(
    spec: NamesModel, networks: Mapping[str, nn.Module], context: Context, *, new_head: bool = True
) -> nn.Module:
    """The network that the step begins with; weights in files are tried, and nothing is downloaded."""
    if "from" in networks:
        return networks["from"]
    return _named(spec, context, new_head=new_head, download=False).model


def _named(spec: NamesModel, context: Context, *, new_head: bool, download: bool) -> Start:
    from compressor.models import catalogue, checkpoints, fitting, pretrained

    outputs, shape = sizes(context)
    named = spec.network()
    assert named is not None
    ref = named.reference
    say = context.progress.say if download else lambda _: None
    with _at(f"steps.{context.step}.model"):
        model = catalogue.build(named.ref, outputs=outputs, input_shape=shape, base=context.base, seed=context.seed)
    kept: list[str] = []
    weights = named.weights or "none"
    with _at(f"steps.{context.step}.weights"):
        if weights == "default" and download:
            state = pretrained.default_weights(named.ref, shape)
            where = f"default weights of {ref}"
            kept = fitting.put(model, state, where, new_head=new_head, ref=ref, input_shape=shape)
        elif isinstance(weights, FilePath):
            path = weights.under(context.base)
            kept = checkpoints.load_into(model, path, named.key, new_head=new_head, ref=ref, input_shape=shape, say=say)
    if kept and download:
        context.progress.say(f"the last layer is new, for {outputs} classes: {', '.join(kept)}")
    return Start(model, named.ref, None, outputs, shape)


@contextmanager
def _at(place: str) -> Iterator[None]:
    """Let what is wrong with a network or its weights name the field that asked for them."""
    try:
        yield
    except InputError as error:
        error.under(place)
        raise


def train(model: nn.Module, loss: Objective, settings: TrainingFields, context: Context) -> dict[str, Any]:
    """Train the model in place, in a precision that it can be trained in; what you get is the facts that every trained
    model leaves: curves, precision, why it is another than the device's own, and the loss in words."""
    from compressor.training import bfloat16, loop

    precision, because = bfloat16.settled(model, loss, context.task, settings, context)
    settings = settings.model_copy(update={"precision": precision})
    curves = loop.fit(model, loss, context.task, settings, context=context)
    told = {"precision_because": because} if because else {}
    return {**loop.facts(curves, settings, context), **told, "loss": loss.words}


def trained(start: Start, loss: Objective, settings: TrainingFields, context: Context) -> dict[str, Any]:
    """Train what was begun, and write it; the facts hold curves, precision and loss."""
    context.progress.say(start.words())
    facts = train(start.model, loss, settings, context)
    start.save(context)
    return facts
