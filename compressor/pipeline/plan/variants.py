"""The steps of a pipeline as the plan takes them: where the file asks for several forms of one, each is a variant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compressor.pipeline.plan.node import NodeName
from compressor.stages.base import StageSpec

if TYPE_CHECKING:
    from compressor.pipeline.file.spec import Pipeline


@dataclass(frozen=True)
class Variant:
    """One form of a step. roles: the nodes that fill its roles."""

    name: NodeName
    spec: StageSpec
    roles: Mapping[str, NodeName]


def expanded(pipeline: Pipeline) -> Iterator[Variant]:
    """Every variant of every step, in the order of the file. No field asks for several forms: each step is its one."""
    for step, spec in pipeline.steps.items():
        roles = {role: NodeName(other) for role, other in pipeline.roles(step).items()}
        yield Variant(NodeName(step), spec, roles)
