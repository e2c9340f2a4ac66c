"""One piece of a plan's work: its name, what it is made of, and what is to be done for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from compressor.stages.base import AnyStage, StageSpec

Status = Literal["run", "reuse", "resume"]


class NodeName(str):
    """`student`, a step's; `student@seed1`, a variant's of it; with the part of it that the plan puts in
    (`student.evaluation`), or of the whole pipeline (`comparison`, with no step)."""

    step: str
    part: str
    variant: str

    def __new__(cls, step: str, part: str = "", variant: str = "") -> Self:
        """The name, as a person reads and writes it."""
        whole = f"{step}@{variant}" if variant else step
        made = super().__new__(cls, f"{whole}.{part}" if whole and part else whole or part)
        made.step, made.part, made.variant = step, part, variant
        return made

    @property
    def whole(self) -> NodeName:
        """The step or variant that a part is of."""
        return NodeName(self.step, variant=self.variant)

    def with_part(self, part: str) -> NodeName:
        """The name of a part of it."""
        return NodeName(self.step, part, self.variant)


@dataclass(frozen=True)
class Node:
    """One piece of work.

    settings: what stands in the key. identity: all that the key is the digest of. seed: what the stage gets.
    why: in a few words; empty for what is simply reused.
    """

    name: NodeName
    stage: AnyStage
    spec: StageSpec
    settings: Mapping[str, Any]
    inputs: Mapping[str, Node]
    seed: int
    identity: Mapping[str, Any]
    key: str
    status: Status = "run"
    why: str = ""


@dataclass(frozen=True)
class Plan:
    """Nodes in the order of their work: each after its inputs, measurements last."""

    nodes: tuple[Node, ...]
    task_fingerprint: str
    command: str

    def node(self, name: str) -> Node:
        """The node with this name."""
        return next(one for one in self.nodes if one.name == name)

    @property
    def keys(self) -> frozenset[str]:
        """All keys, for `Store.hold(needs=…)`: what a run needs is not to be cleaned away under it."""
        return frozenset(one.key for one in self.nodes)

    def rebuild(self, key: str) -> str:
        """The command that makes the artifact of a key again, for `Store.rebuild`."""
        name = next((one.name for one in self.nodes if one.key == key), "STEP")
        return f"{self.command} --fresh {name}"
