"""What needs torch to be checked, checked before the first training step: models, shapes, data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from compressor.errors import InputError
from compressor.pipeline.run import networks

if TYPE_CHECKING:
    from torch import nn

    from compressor.pipeline.plan.node import Node
    from compressor.problem.context import Context
    from compressor.problem.task import Task
    from compressor.store.artifact import Artifact

BATCH = 64

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


def check(nodes: Sequence[Node], task: Task, context: Callable[[Node], Context], read: Read) -> None:
    """Build every network that the steps to run would make, untrained, and send a batch of two through it.

    Raises:
        InputError: all that was found wrong with models, shapes and sizes, together.
    """
    mistakes: list[InputError] = []
    found: dict[str, nn.Module | None] = {}
    trained = False
    for node in nodes:
        try:
            if trained and _is_first_look(node):
                _check_order(node.inputs["from"], context, read, found)
        except InputError as error:
            mistakes.append(error)
        trained = trained or (node.status != "reuse" and node.spec.trains)
        if node.status == "reuse" or node.stage.untrained is None:
            continue
        try:
            node.spec.check_data(node.name, task)
            _network(node, context, read, found)
        except InputError as error:
            mistakes += [error, *(one for one in error.others if isinstance(one, InputError))]
    if mistakes:
        raise InputError.together(mistakes)


def _is_first_look(node: Node) -> bool:
    """Whether this step would be the first to find out whether a loaded network's classes are in the task's order."""
    return node.name.part != "" and node.status != "reuse" and any(one.stage.foreign for one in node.inputs.values())


def _check_order(
    node: Node, context: Callable[[Node], Context], read: Read, found: dict[str, nn.Module | None]
) -> None:
    """Look at some of a loaded network's answers now, where an earlier step would train before its evaluation does.

    Weights that would have to be downloaded first are not there to be looked at.
    """
    from compressor.training import samples

    named = node.spec.network()
    if node.status != "reuse" and named is not None and named.downloads:
        return
    network, task = _network(node, context, read, found), context(node).task
    if network is not None:
        samples.check_order(f"steps.{node.name}", network, task)


def _network(
    node: Node, context: Callable[[Node], Context], read: Read, found: dict[str, nn.Module | None]
) -> nn.Module | None:
    """The network of a node, from its artifact where there is one, else untrained from its stage; None if it failed."""
    if node.key in found:
        return found[node.key]
    found[node.key] = None
    if node.status == "reuse" and node.stage.makes == "model":
        from compressor.models import network

        made: Any = network.read(read(node.key).folder, context(node).base)
        new, teacher = True, None
    else:
        makers = {role: one for role, one in node.inputs.items() if one.stage.makes == "model"}
        made_before = {role: _network(one, context, read, found) for role, one in makers.items()}
        inputs = {role: one for role, one in made_before.items() if one is not None}
        if len(inputs) < len(makers):
            return None
        untrained = node.stage.untrained
        made = untrained(node.spec, inputs, context(node)) if untrained else inputs.get("from")
        new = made is not inputs.get("from")
        teacher = inputs.get("teacher")
    if made is not None:
        found[node.key] = networks.check(made, node, context(node), new=new, teacher=teacher)
    return found[node.key]
