"""What every stage is made of: a frozen spec, the artifacts it takes and makes, and a `run`.

Nothing here imports torch: a spec must be readable in milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from compressor.problem.context import Context
from compressor.store.artifact import Artifact, Kind
from compressor.strict import Frozen

if TYPE_CHECKING:
    from torch import nn


class StageSpec(Frozen):
    """Settings that every step has. `from` is written `from_` in Python."""

    stage: str
    seed: int | None = Field(
        None, ge=0, lt=2**32, description="Seed of this step; the pipeline's where it is left out."
    )

    def ineffective(self) -> list[tuple[str, str]]:
        """Options, as a file names them, without effect in their combination, and why; written or not."""
        return []

    def unused(self) -> frozenset[str]:
        """What the stage may use and these settings leave alone: parts of the task (`Stage.uses`), and `seed`."""
        return frozenset()


class SettledSpec(StageSpec):
    """A step that leaves nothing to chance."""

    def unused(self) -> frozenset[str]:
        """The seed."""
        return frozenset({"seed"})


class CatalogueModel(Frozen):
    """A model by name, with widths where the catalogue's network has them."""

    name: str = Field(description="Name from the catalogue, or `torchvision:NAME`, `timm:NAME`.")
    widths: tuple[Annotated[int, Field(ge=1, le=4096)], ...] | None = Field(
        None, min_length=1, description="Channels of each stage; the catalogue's own where left out."
    )


FACTORY = r"^[\w.]+:[\w.]+$"


class FactoryModel(Frozen):
    """A model from the user's own code: `factory: package.module:function`."""

    factory: str = Field(
        pattern=FACTORY,
        description="`package.module:function`, called with `args`; returns a torch module.",
    )
    args: dict[str, Any] = Field(default_factory=dict, description="Keyword arguments of the factory.")


ModelRef = str | CatalogueModel | FactoryModel
"""How a file names a network. A bare string stands for `{name: …}`."""


Run = Callable[[Any, Mapping[str, Artifact], Context], dict[str, Any]]
Sketch = Callable[[Any, Mapping[str, "nn.Module"], Context], "nn.Module"]


@dataclass(frozen=True)
class Stage:
    """A kind of work, as the plan sees it. `run` returns the artifact's facts.

    takes: role -> kinds allowed. Roles are fields of the spec (`from`, `teacher`); `core` is the evaluation of
    `from`, and `models` all evaluations, both put in by the plan.
    sketch: the untrained network this step would make, from those of its inputs; run before anything trains.
    uses: the parts of the task that the result depends on. libraries: whose versions belong to the key.
    """

    name: str
    spec: type[StageSpec]
    makes: Kind
    run: Run
    takes: Mapping[str, frozenset[Kind]] = field(default_factory=dict)
    sketch: Sketch | None = None
    uses: frozenset[str] = frozenset()
    libraries: tuple[str, ...] = ()
    revision: int = 1
    isa: bool = False
    repeatable: bool = True
