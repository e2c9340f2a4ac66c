"""Remove whole channels from a network, as few as a share of its cost asks for, and train what is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from compressor.distillation import learning
from compressor.problem.context import Context
from compressor.stages.base import Stage, TaughtSpec
from compressor.store.artifact import Artifact
from compressor.strict import Frozen
from compressor.training import starting

if TYPE_CHECKING:
    from torch import Tensor, nn

    from compressor.pruning import narrow

TAYLOR_SAMPLES, TAYLOR_BATCH = 512, 16


class Keep(Frozen):
    """The share that stays, of multiply-accumulates or of parameters."""

    macs: float | None = Field(None, gt=0, lt=1, description="Share of the multiply-accumulates that stays.")
    params: float | None = Field(None, gt=0, lt=1, description="Share of the parameters that stays.")

    @model_validator(mode="after")
    def _one(self) -> Keep:
        if (self.macs is None) == (self.params is None):
            raise ValueError("needs exactly one of macs and params, such as {macs: 0.5}")
        return self


class PruneSpec(learning.MethodFields, TaughtSpec):
    """Channels are really removed: the network is narrower, and needs no special kernels.

    The widths are searched per layer, by importance for cost, until the share is met within 0.02.
    """

    stage: Literal["prune"] = "prune"
    from_: str = Field(alias="from", description="Earlier step whose network is pruned.")
    keep: Keep = Field(description="What stays: `{macs: 0.5}` or `{params: 0.5}`, within 0.02.")
    importance: Literal["l1", "l2", "taylor", "bn"] = Field(
        "l2",
        description="What a channel is worth: the L1 or L2 norm of its weights, the change of the loss without it "
        "(to first order, on 512 training samples), or its scale after batch norm.",
    )
    round_to: Literal[1, 8, 16] = Field(
        8, description="Widths are multiples of it; odd widths save operations and lose time."
    )
    learning_rate: float = Field(
        0.02, gt=0, le=100, description="Peak learning rate; 0.001 where adamw is asked for without one."
    )


def run(spec: PruneSpec, inputs: Mapping[str, Artifact], context: Context) -> dict[str, Any]:
    """Prune, train and write the network. The facts hold curves, precision, loss, kept shares and widths."""
    from compressor.distillation import objective
    from compressor.models import network
    from compressor.pruning import importance, narrow

    model = network.read(inputs["from"].folder, context.base)
    outputs, input_shape = starting.sizes(context)
    gradients = _gradients(model, context) if spec.importance == "taylor" else None
    axes = importance.of_axes(model, spec.importance, gradients)
    pruned = narrow.narrow(model, input_shape, _target(spec, context), axes)
    for line in _words(pruned, spec):
        context.progress.say(line)
    loss = objective.build(spec, inputs["teacher"].folder if "teacher" in inputs else None, context)
    context.progress.say(f"loss: {loss.words}")
    facts = starting.train(pruned.model, loss, spec, context)
    reference = network.describe(inputs["from"].folder)["model"]
    shapes = network.shapes(pruned.model)
    starting.Start(pruned.model, reference, shapes, outputs, input_shape).save(context)
    widths = {name: list(sizes) for name, sizes in pruned.layers.items()}
    whole = {"left_whole": ", ".join(pruned.lost)} if pruned.lost else {}
    return {**facts, "kept": pruned.kept, "widths": widths, **whole}


def untrained(spec: PruneSpec, networks: Mapping[str, nn.Module], context: Context) -> nn.Module:
    """An untrained network as narrow as the step will make it; what cannot be had is found here.

    Raises:
        InputError: the share cannot be met, the network cannot be pruned, or it has nothing the importance reads.
    """
    from compressor.errors import InputError
    from compressor.pruning import importance, narrow

    model = networks["from"]
    if spec.importance == "bn" and not importance.of_axes(model, "bn"):
        where = f"steps.{context.step}.importance"
        raise InputError(where, "'bn' reads batch norms, and the network has none", "choose l1, l2 or taylor")
    return narrow.narrow(model, starting.sizes(context)[1], _target(spec, context)).model


def _target(spec: PruneSpec, context: Context) -> narrow.Target:
    from compressor.pruning import narrow

    where = f"steps.{context.step}"
    if spec.keep.macs is not None:
        return narrow.Target("macs", spec.keep.macs, spec.round_to, where)
    assert spec.keep.params is not None
    return narrow.Target("params", spec.keep.params, spec.round_to, where)


def _gradients(model: nn.Module, context: Context) -> Mapping[str, Tensor]:
    """Sizes of the loss's gradients over the first training samples in the training's own order."""
    from compressor.models import modes
    from compressor.problem.batch import Order
    from compressor.pruning import importance
    from compressor.training.evaluation import memory_errors
    from compressor.training.objective import answer
    from compressor.training.placing import layout, place, to_device

    task = context.task
    limit = TAYLOR_BATCH if context.smoke else TAYLOR_SAMPLES
    form = layout(model, task.signature.inputs[0].shape, context.device)
    place(modes.in_eval(model), context.device, form)
    with memory_errors(context.step, TAYLOR_BATCH):
        batches = task.batches("train", TAYLOR_BATCH, Order(context.seed), limit=limit)
        given = (to_device(batch, context.device, form) for batch in batches)
        losses = (task.loss(answer(model, batch, task), batch).mean for batch in given)
        gradients = importance.gradients(model, losses)
        for batch in task.batches("train", 2, limit=2):  # what a network keeps of a pass with gradients is never copied
            modes.answer(model, to_device(batch, context.device, form).inputs)
    model.to("cpu")
    return {name: gradient.cpu() for name, gradient in gradients.items()}


def _words(pruned: narrow.Narrowed, spec: PruneSpec) -> list[str]:
    """What was removed, for the person who waits."""
    narrower = {name: sizes for name, sizes in pruned.layers.items() if sizes[0] != sizes[1]}
    examples = [f"{name} {before} to {after}" for name, (before, after) in list(narrower.items())[:4]]
    more = ", …" if len(narrower) > len(examples) else ""
    lines = [
        f"kept: {pruned.kept['macs']:.3f} of the MACs, {pruned.kept['params']:.3f} of the parameters",
        f"{len(narrower)} of {len(pruned.layers)} layers are narrower: {', '.join(examples)}{more}",
    ]
    if pruned.uncounted:
        lines.append(f"the multiplications of {', '.join(pruned.uncounted)} are not counted, before or after")
    if pruned.unmeasured:
        blind = f"importance {spec.importance} finds nothing in {pruned.unmeasured} sets of layers"
        lines.append(f"{blind}; their first channels stay")
    if pruned.lost:
        lines.append(f"what goes with the channels of {_listed(pruned.lost)} could not be followed; they all stay")
    return lines


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more layers" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


STAGE = Stage(
    name="prune",
    spec=PruneSpec,
    makes="model",
    run=run,
    takes={"from": frozenset({"model"}), "teacher": frozenset({"model"})},
    untrained=untrained,
    uses=frozenset({"train", "validation", "preprocess", "augment"}),
    libraries=("torch", "torch-pruning", "numpy"),
    revision=2,
    isa=True,
    if_slower="prune with a larger round_to",
)
