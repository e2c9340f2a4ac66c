"""What every stage is made of: a frozen spec, the artifacts it takes and makes, and a `run`.

Nothing here imports torch: a spec must be readable in milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema

from compressor.store.artifact import Artifact, Kind

if TYPE_CHECKING:
    from torch import nn

    from compressor.tasks.base import Task


_SCALARS = frozenset({"bool", "float", "int", "str"})
_NOT_SCHEMAS = frozenset({"default", "expected", "metadata", "serialization"})


def as_written(schema: Any) -> Any:
    """The same core schema with strict scalars; lists still stand for tuples, and text for paths."""
    if isinstance(schema, dict):
        made = {name: part if name in _NOT_SCHEMAS else as_written(part) for name, part in schema.items()}
        kind = made.get("type")
        return {"strict": True, **made} if isinstance(kind, str) and kind in _SCALARS else made
    if isinstance(schema, list | tuple):
        return type(schema)(as_written(part) for part in schema)
    return schema


class Frozen(BaseModel):
    """A specification that cannot exist in a wrong state, nor be changed.

    Values are taken as written: `"3"` and `true` are no numbers, and `yes` is no `true`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, protected_namespaces=())

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Pydantic's schema of the class, with strict scalars."""
        return cast(CoreSchema, as_written(handler(source)))


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


def _listed(value: Any) -> Any:
    """A bare word stands for a list of one."""
    return (value,) if isinstance(value, str) else value


class TrainingFields(Frozen):
    """How a step trains. Shared by finetune, distill, prune and quantize with qat."""

    epochs: int = Field(10, ge=1, le=10_000, description="Passes over the training samples.")
    batch_size: int = Field(128, ge=2, le=65_536, description="Samples a step of the optimizer sees.")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="SGD with Nesterov momentum, or AdamW.")
    learning_rate: float = Field(
        0.1, gt=0, le=100, description="Peak learning rate; 0.001 where adamw is asked for without one."
    )
    weight_decay: float = Field(5e-4, ge=0, le=1, description="Decay of weights; biases and norms are spared.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of SGD; without effect on AdamW and refused there.")
    schedule: Literal["cosine", "onecycle", "step", "constant"] = Field(
        "cosine", description="How the learning rate falls."
    )
    warmup_epochs: float = Field(0, ge=0, le=1000, description="Epochs over which the rate rises to its peak.")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Share of each label spread over all classes.")
    mixup: float = Field(
        0.0, ge=0, le=10, description="Alpha of the Beta distribution that mixes pairs; 0 mixes nothing."
    )
    clip_norm: float | None = Field(None, gt=0, description="Largest gradient norm; larger ones are scaled down.")
    ema: float | None = Field(
        None, gt=0, lt=1, description="Decay a step of the weights' moving average, which is then what is kept."
    )
    early_stopping: int | None = Field(
        None,
        ge=1,
        description="Epochs without a better validation metric before training ends; the best epoch is kept.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="`auto` is bfloat16 autocast where the device has units for it and one batch passes in it, "
        "else float32.",
    )
    freeze: Annotated[tuple[str, ...], BeforeValidator(_listed, json_schema_input_type=tuple[str, ...] | str)] = Field(
        (), description="Prefixes of module names whose parameters stay as they are."
    )

    @model_validator(mode="before")
    @classmethod
    def _rate_of_adamw(cls, data: Any) -> Any:
        """A rate that suits SGD makes AdamW diverge, so AdamW has a default of its own."""
        if isinstance(data, dict) and data.get("optimizer") == "adamw":
            return {"learning_rate": 0.001, **data}
        return data

    def ineffective(self) -> list[tuple[str, str]]:
        """Options, as a file names them, without effect in their combination, and why; written or not."""
        found = []
        if self.optimizer == "adamw" and self.momentum:
            found.append(("momentum", "adamw has no momentum"))
        if self.schedule == "onecycle":
            if self.warmup_epochs:
                found.append(("warmup_epochs", "onecycle rises by itself"))
        elif self.warmup_epochs > self.epochs:
            found.append(("warmup_epochs", f"the {self.epochs} epochs end before the peak; ask for fewer"))
        elif self.warmup_epochs == self.epochs:
            found.append(("schedule", f"warmup_epochs {self.warmup_epochs:g} takes all of the {self.epochs} epochs"))
        if self.early_stopping is not None and self.epochs == 1:
            found.append(("early_stopping", "one epoch leaves nothing to stop, and no better one to keep"))
        return found


class Progress(Protocol):
    """What a stage tells the person who waits."""

    def say(self, text: str) -> None:
        """One line worth reading: the resolved loss, the preprocessing, a choice made."""

    def advance(self, done: int, total: int, unit: str, **numbers: float) -> None:
        """How far the step is, with the numbers of the moment (`loss=0.3`, `accuracy=0.91`)."""


@dataclass(frozen=True)
class Context:
    """What a stage gets beside its spec and inputs.

    folder: empty; all files of the artifact go here. work: kept between attempts; checkpoints go here.
    base: the folder of the pipeline file, which relative paths start from. opset: of every graph made here.
    smoke: one batch through everything; limits on quality (`expect`, parity of answers) do not apply.
    """

    task: Task
    seed: int
    device: str
    folder: Path
    work: Path
    progress: Progress
    step: str
    base: Path = Path(".")
    opset: int = 21
    smoke: bool = False
    pipeline: Mapping[str, Any] = field(default_factory=dict)


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
