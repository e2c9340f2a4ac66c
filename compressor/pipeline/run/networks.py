"""What every network must be before a step trains, loads or teaches with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from compressor.device.memory import short_of_memory
from compressor.errors import CompressError, InputError, ResourceError
from compressor.pipeline.run.user_code import code_line, failed
from compressor.problem.batch import Tensors, rows
from compressor.stages.base import TrainingSpec

if TYPE_CHECKING:
    from torch import nn

    from compressor.pipeline.plan.node import Node
    from compressor.problem.context import Context

SAMPLES = 8
OTHER_SEED = 1


def check(
    network: nn.Module, node: Node, context: Context, *, new: bool, teacher: nn.Module | None = None
) -> nn.Module:
    """The network with plain weights, after all that can be asked of it before it is trained.

    new: False for one that was asked before, in the step that it comes from. teacher: what it learns from, if anything.

    Raises:
        InputError: its shapes, its state or its answers would make what is trained something else than what ships.
    """
    from compressor.models import copies, final_activation, neighbours, plain
    from compressor.training import exportable, samples

    inputs: Tensors = samples.few(context.task, SAMPLES)
    _check_shapes(network, rows(inputs, slice(2)), node, context)
    if new:
        with _at(node):
            _check_building(node, context, inputs)
            copies.check(network)
            neighbours.check(network, inputs)
    if node.status != "reuse" and isinstance(node.spec, TrainingSpec):
        _check_training(network, node, node.spec, context, inputs)
        with _at(node):
            final_activation.refuse(network, inputs)
        if node.spec.in_bfloat16:
            _check_bfloat16(network, node, node.spec, context, teacher)
    with _at(node):
        plain.bake(network)
        if new and node.status != "reuse" and isinstance(node.spec, TrainingSpec) and _is_theirs(node):
            exportable.check(network, context.task.signature)
    return network


def _check_shapes(network: Any, inputs: Tensors, node: Node, context: Context) -> None:
    import torch

    from compressor.models import modes

    (put,), (get,) = context.task.signature.inputs, context.task.signature.outputs
    what = f"the network does not take inputs of shape {list(put.shape)}"
    todo = "choose a network made for this size, or another task.preprocess"
    with _refusing(node, what, todo), torch.random.fork_rng(devices=[]):
        answer: Any = modes.answered(network, inputs)
    shape = tuple(answer.shape) if isinstance(answer, torch.Tensor) else None
    if shape != (2, *get.shape):
        rows = "" if shape and shape[0] == 2 else " for two samples"
        found = f"a {type(answer).__name__}" if shape is None else f"shape {list(shape[not rows :])}{rows}"
        raise InputError(
            _place(node),
            f"the network answers with {found}, and the task has {list(get.shape)}",
            "use a network with one output for each class",
        )
    if not answer.is_floating_point():
        raise InputError(
            _place(node),
            f"the network answers with numbers of the type {str(answer.dtype).removeprefix('torch.')}",
            "return the scores of the classes (logits) from `forward`, as float numbers",
        )


def _not_for_memory(problem: Exception, node: Node) -> None:
    """A network that the machine is too small for is not a wrong one."""
    if short_of_memory(problem):
        what = "the memory does not suffice for two samples"
        raise ResourceError(f"step {node.name}", what, "use smaller pictures, or end other programs") from problem


def _check_building(node: Node, context: Context, inputs: Tensors) -> None:
    """Build a user's own network twice: libraries' networks keep all they are in their state."""
    from compressor.models import faithful

    if node.status != "reuse" and _is_theirs(node):
        faithful.check_building(_builder(node, context, 0), rows(inputs, slice(2)), _builder(node, context, OTHER_SEED))


def _is_theirs(node: Node) -> bool:
    """Whether the step's network comes from the user's own code."""
    named = node.spec.network()
    return named is not None and bool(named.reference.factory)


def _builder(node: Node, context: Context, seed: int) -> Callable[[], nn.Module]:
    from compressor.models import catalogue

    (put,), (get,) = context.task.signature.inputs, context.task.signature.outputs
    named = node.spec.network()
    assert named is not None

    def build() -> nn.Module:
        outputs = get.shape[-1]
        return catalogue.build(
            named.ref, outputs=outputs, input_shape=put.shape, base=context.base, seed=seed, check=False
        )

    return build


def _check_training(network: nn.Module, node: Node, spec: TrainingSpec, context: Context, inputs: Tensors) -> None:
    """Take a copy through one step forward and back, and freeze what is to be frozen."""
    from compressor.models import faithful
    from compressor.training import trial

    few = rows(inputs, slice(2))
    with _refusing(node, "the network cannot be trained", "mend its `forward`, or choose another network"):
        trained = trial.step(network, context.task, few, lambda copied: spec.frozen_parts(copied, node.name))
    if _is_theirs(node):
        with _at(node):
            faithful.check_trained(trained, _builder(node, context, 0), few)


def _check_bfloat16(
    network: nn.Module, node: Node, spec: TrainingSpec, context: Context, teacher: nn.Module | None
) -> None:
    """Take a copy through one batch in the precision that the file asks for, the teacher with it."""
    import copy

    from compressor.training import bfloat16

    loss = spec.objective(copy.deepcopy(teacher), context)
    failure = bfloat16.failing(network, loss, context.task, spec, context)
    if failure is not None:
        what = f"the network cannot be trained in bfloat16: {failure}, and passes in float32"
        raise InputError(f"steps.{node.name}.precision", what, "write `precision: float32`")


def _place(node: Node) -> str:
    return f"steps.{node.name}.{node.spec.starts}"


@contextmanager
def _refusing(node: Node, what: str, todo: str) -> Iterator[None]:
    """Let whatever a network raises be an InputError that says what it cannot do, and where it failed."""
    try:
        yield
    except CompressError:
        raise
    except Exception as problem:
        _not_for_memory(problem, node)
        raise InputError(_place(node), f"{what}{failed(problem)}", todo) from problem


@contextmanager
def _at(node: Node) -> Iterator[None]:
    """Let what is wrong with a network name the field that asked for it, a failure of the user's own code too."""
    try:
        yield
    except InputError as error:
        error.under(_place(node))
        raise
    except CompressError:
        raise
    except Exception as problem:
        _not_for_memory(problem, node)
        if not code_line(problem):
            raise
        what = f"the network fails when some samples are sent through it{failed(problem)}"
        raise InputError(_place(node), what, "mend its `forward`, or choose another network") from problem
