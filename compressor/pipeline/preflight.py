"""What needs torch to be checked, checked before the first training step: models, shapes, data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from compressor.errors import CompressError, InputError, ResourceError, short_of_memory
from compressor.pipeline.user_code import failed

if TYPE_CHECKING:
    from torch import nn

    from compressor.pipeline.plan import Node
    from compressor.stages.base import Context
    from compressor.store.artifact import Artifact
    from compressor.tasks.base import Task

Read = Callable[[str], "Artifact"]


def check_device(device: str) -> None:
    """Ask torch for the device, which the plan could only guess by the driver.

    Raises:
        InputError: the torch here cannot use it.
    """
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return
    import torch

    usable = torch.cuda.is_available() if kind == "cuda" else torch.backends.mps.is_available()
    if not usable:
        what = f"{device} cannot be used by the torch that is installed ({torch.__version__})"
        raise InputError("--device", what, "use --device cpu, or install a torch made for it")
    if index and int(index) >= torch.cuda.device_count():
        what = f"there is no {device}, the last one is cuda:{torch.cuda.device_count() - 1}"
        raise InputError("--device", what, "name one that is there")


def check(nodes: Mapping[str, Node], task: Task, context: Callable[[Node], Context], read: Read) -> None:
    """Build every network that the steps to run would make, untrained, and send a batch of two through it.

    Raises:
        InputError: all that was found wrong with models, shapes and sizes, together.
    """
    mistakes: list[InputError] = []
    networks: dict[str, nn.Module | None] = {}
    for node in nodes.values():
        if node.status == "reuse" or node.stage.name in ("evaluate", "compare", "benchmark", "export"):
            continue
        try:
            _check_samples(node, task)
            _network(node, context, read, networks)
        except InputError as error:
            mistakes += [error, *(one for one in error.others if isinstance(one, InputError))]
    if mistakes:
        raise InputError.together(mistakes)


def _trains(spec: Any) -> bool:
    return hasattr(spec, "epochs") and getattr(spec, "method", "qat") == "qat"


def _check_samples(node: Node, task: Task) -> None:
    batch = getattr(node.spec, "batch_size", None)
    if not _trains(node.spec) or not isinstance(batch, int):
        return
    have = task.whole["train"]
    if have < batch:
        raise InputError(
            f"steps.{node.name}.batch_size",
            f"{batch} samples a batch, and the training split has {have}",
            f"use a batch_size of at most {have}",
        )


def _network(
    node: Node, context: Callable[[Node], Context], read: Read, networks: dict[str, nn.Module | None]
) -> nn.Module | None:
    """The network of a node, from its artifact where there is one, else from its stage's sketch; None if it failed."""
    if node.key in networks:
        return networks[node.key]
    networks[node.key] = None
    if node.status == "reuse" and node.stage.makes == "model":
        from compressor.models import network

        made: Any = network.read(read(node.key).folder, context(node).base)
    else:
        wanted = {role: one for role, one in node.inputs.items() if one.stage.makes == "model"}
        found = {role: _network(one, context, read, networks) for role, one in wanted.items()}
        inputs = {role: one for role, one in found.items() if one is not None}
        if len(inputs) < len(wanted):
            return None
        made = node.stage.sketch(node.spec, inputs, context(node)) if node.stage.sketch else inputs.get("from")
        _check_shapes(made, node, context(node).task)
        if made is not None and _trains(node.spec):
            _check_training(made, node, context(node).task)
    networks[node.key] = made
    return networks[node.key]


def _check_shapes(network: Any, node: Node, task: Task) -> None:
    if network is None:
        return
    import torch

    (put,), (get,) = task.signature.inputs, task.signature.outputs
    try:
        with torch.no_grad():
            answer = network.eval()(torch.zeros(2, *put.shape))
    except CompressError:
        raise
    except Exception as problem:
        _not_for_memory(problem, node)
        raise InputError(
            f"steps.{node.name}.model",
            f"the network does not take inputs of shape {list(put.shape)}{failed(problem)}",
            "choose a network made for this size, or another task.preprocess",
        ) from problem
    shape = tuple(answer.shape) if isinstance(answer, torch.Tensor) else None
    if shape != (2, *get.shape):
        found = f"shape {list(shape[1:])}" if shape else f"a {type(answer).__name__}"
        raise InputError(
            f"steps.{node.name}.model",
            f"the network answers with {found}, and the task has {list(get.shape)}",
            "use a network with one output for each class",
        )


def _not_for_memory(problem: Exception, node: Node) -> None:
    """A network that the machine is too small for is not a wrong one."""
    if short_of_memory(problem):
        what = "the memory does not suffice for two samples"
        raise ResourceError(f"step {node.name}", what, "use smaller pictures, or end other programs") from problem


def _check_training(network: nn.Module, node: Node, task: Task) -> None:
    """Take a copy through one step forward and back, and freeze what is to be frozen."""
    import copy

    import torch

    from compressor.training.optimizer import frozen_parts

    copied = copy.deepcopy(network).train()
    for resting in frozen_parts(copied, getattr(node.spec, "freeze", ()), node.name):
        resting.eval()
    try:
        with torch.random.fork_rng(devices=[]):
            copied(torch.zeros(2, *task.signature.inputs[0].shape)).sum().backward()
    except CompressError:
        raise
    except Exception as problem:
        _not_for_memory(problem, node)
        raise InputError(
            f"steps.{node.name}.{'model' if getattr(node.spec, 'model', None) else 'from'}",
            f"the network cannot be trained{failed(problem)}",
            "mend its `forward`, or choose another network",
        ) from problem
