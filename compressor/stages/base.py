"""What every stage is made of: a frozen spec that answers for itself, the artifacts it takes and makes, and a `run`.

Nothing here imports torch: a spec must be readable in milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from pydantic import Field

from compressor.distillation.learning import TeacherFields
from compressor.errors import InputError
from compressor.models import names
from compressor.models.settings import NamesModel, StartFields
from compressor.problem.context import Context
from compressor.problem.work import Work
from compressor.store.artifact import Artifact, Kind
from compressor.strict import Frozen, Idle, Place, Read, reads
from compressor.training.settings import TrainingFields

if TYPE_CHECKING:
    from torch import nn

    from compressor.problem.task import Task
    from compressor.tasks.base import TaskSpec
    from compressor.training.objective import Objective

Flaw = tuple[Place, str, str]
"""A mistake in a step: the field, what is wrong with it, what to do."""


class StageSpec(Frozen):
    """Settings that every step has, and what plan, smoke and report ask of them. `from` is `from_` in Python."""

    lacks: ClassVar[str] = ""
    """Why a field of another form of the stage has no effect in this one."""

    stage: str
    seed: int | None = Field(
        None, ge=0, lt=2**32, description="Seed of this step; the pipeline's where it is left out."
    )

    @property
    def trains(self) -> bool:
        """Whether the step trains its network."""
        return False

    @property
    def batch(self) -> int | None:
        """The one batch size that what the step makes takes, or that timings are decided at; None for any."""
        return None

    @property
    def starts(self) -> str:
        """The field that says which network the step starts from."""
        return "from"

    def network(self) -> names.Named | None:
        """The network that the step brings in by its name; None where it works on earlier steps' alone."""
        return None

    def reads(self) -> dict[Place, Read]:
        """Every file, and all code of the user's, that the step reads beside its inputs, by place. All of it counts
        in the key."""
        return dict(reads(self))

    def short(self) -> Self:
        """The same step with its long settings cut to the least that still runs, for smoke."""
        return self

    def work(self, sizes: Mapping[str, int]) -> Work:
        """What the whole step takes. sizes: samples of each split, and the number of `models` in the plan."""
        return Work()

    def relief(self) -> str:
        """What makes the step need less memory; empty where nothing in it does."""
        return ""

    def with_batch(self, size: int) -> str:
        """What to write for another `batch`."""
        return ""

    @classmethod
    def flaws(cls, written: Mapping[str, Any], task: TaskSpec | None) -> Iterator[Flaw]:
        """What is wrong between fields, or with the task, whatever else may be wrong with the fields as written.

        task: None where the file's is wrong itself.
        """
        return iter(())

    def ineffective(self, task: TaskSpec | None = None) -> list[Idle]:
        """Options, as a file names them, without effect in their combination and on this task, and why; written or
        not."""
        return [("seed", "nothing here is left to chance")] if "seed" in self.unused() else []

    def unused(self) -> frozenset[str]:
        """What the stage may use and these settings leave alone: parts of the task (`Stage.uses`), and `seed`."""
        return frozenset()

    def check_data(self, step: str, task: Task) -> None:
        """Raise InputError where the settings ask for more than the data has."""


class SettledSpec(StageSpec):
    """A step that leaves nothing to chance."""

    def unused(self) -> frozenset[str]:
        """The seed."""
        return frozenset({"seed"})


class TrainingSpec(TrainingFields, StageSpec):
    """A step that trains a network."""

    @property
    def trains(self) -> bool:
        """Always."""
        return True

    @property
    def in_bfloat16(self) -> bool:
        """Whether the file itself asks for bfloat16, so that it must work."""
        return self.precision == "bfloat16"

    def short(self) -> Self:
        """One epoch."""
        return super().short().model_copy(update={"epochs": 1, "warmup_epochs": 0.0, "early_stopping": None})

    def work(self, sizes: Mapping[str, int]) -> Work:
        """Every batch of every epoch."""
        return Work({"batches": self.epochs * math.ceil(sizes["train"] / self.batch_size)})

    def relief(self) -> str:
        """Half the batch."""
        return f"batch_size: {max(1, self.batch_size // 2)} (it was {self.batch_size})"

    def ineffective(self, task: TaskSpec | None = None) -> list[Idle]:
        """Options of the training without effect, too."""
        return [*super().ineffective(task), *self.idle()]

    def check_data(self, step: str, task: Task) -> None:
        """A batch is not larger than the training split, all of it."""
        if (have := task.facts.sizes["train"]) < self.batch_size:
            what = f"{self.batch_size} samples a batch, and the training split has {have}"
            raise InputError(f"steps.{step}.batch_size", what, f"use a batch_size of at most {have}")

    def frozen_parts(self, model: nn.Module, step: str) -> list[nn.Module]:
        """Freeze what the settings say and tell the modules that rest; InputError where they name nothing of it."""
        from compressor.training import optimizer

        return optimizer.frozen_parts(model, self.freeze, step)

    def objective(self, teacher: nn.Module | None, context: Context) -> Objective:
        """What the training makes small."""
        from compressor.training.objective import LabelLoss

        return LabelLoss(context.task, self.label_smoothing)


class TaughtSpec(TrainingSpec, TeacherFields):
    """A step that trains a network, maybe with a teacher."""

    def objective(self, teacher: nn.Module | None, context: Context) -> Objective:
        """The distance to the teacher's answers beside the loss of the labels, where there is a teacher."""
        from compressor.distillation import objective

        return objective.of(self, teacher, context)


class NetworkSpec(NamesModel, StageSpec):
    """A step that may bring in a network by its name."""

    @property
    def starts(self) -> str:
        """`model`, where there is one."""
        return "from" if self.model is None else "model"

    def ineffective(self, task: TaskSpec | None = None) -> list[Idle]:
        """Options about weights without effect, too."""
        found = super().ineffective(task)
        if self.model is None and self.weights is not None:
            return [*found, ("weights", "the weights come from the step that `from` names")]
        if self.key is not None and self.weights in (None, "none", "default"):
            return [*found, ("key", "it is a place in a file of weights, and `weights` names none")]
        return found


class StartSpec(StartFields, NetworkSpec):
    """A step that trains a network of its own, or goes on with that of an earlier step."""

    @classmethod
    def flaws(cls, written: Mapping[str, Any], task: TaskSpec | None) -> Iterator[Flaw]:
        """A step starts from exactly one network."""
        named = any(written.get(name) is not None for name in ("model", "factory"))
        follows = written.get("from") is not None
        if named and follows:
            todo = "keep model for a new network, or from to go on with that step's"
            yield ("from",), "stands beside model, and a step starts from one of them", todo
        elif not named and not follows:
            todo = "add `model: NAME` for a new network, or `from: STEP` to go on with an earlier one"
            yield (), f"{written.get('stage')} has neither model nor from", todo
        yield from super().flaws(written, task)


@dataclass(frozen=True)
class PartOf:
    """An input that the plan puts in: the hidden part, such as `evaluation`, of the step in another role.

    role: one of the stage's, or `baseline` or `ship` of the pipeline. back_to: of that step's nearest ancestor along
    `from` whose artifact is of this kind.
    """

    part: str
    role: str = "from"
    back_to: Kind | None = None


@dataclass(frozen=True)
class EveryPart:
    """Inputs that the plan puts in, as `ROLE.0`, `ROLE.1` …: this hidden part of all steps that have one."""

    part: str


@dataclass(frozen=True)
class TakenOver:
    """An input that the plan puts in: what the step in role `from` got in this role itself, where it got something."""

    role: str


S = TypeVar("S", bound=StageSpec)


@dataclass(frozen=True)
class Stage(Generic[S]):
    """A kind of work, as the plan sees it. `run` returns the artifact's facts.

    takes: role -> kinds allowed. Roles are fields of the spec that name an earlier step, or several in a list: then
    the inputs are `ROLE.0`, `ROLE.1` …
    derives: role -> what the plan puts in.
    part: for a stage that no file names, the part of a plan that it is: of each step that makes what its role `from`
    takes, or, where it has none, of the whole pipeline.
    by, forms: the field that decides between several specs, and the spec for each of its values; `spec` then holds
    what they share, and no step is of it alone.
    untrained: the untrained network this step would make, from those of its inputs; run before anything trains.
    uses: the parts of the task that the result depends on. libraries: whose versions belong to the key.
    isa: whether the instruction set does. times: it measures time, so that two results differ and are of one machine.
    foreign: its network was trained elsewhere, maybe with the classes in another order.
    if_slower: what to do where the result computes less than what it came from, and takes longer all the same.
    caution: what a reader must know of a result unless a bundle of it says so, from its facts; follows the step's name.
    """

    name: str
    spec: type[S]
    makes: Kind
    run: Callable[[S, Mapping[str, Artifact], Context], dict[str, Any]]
    takes: Mapping[str, frozenset[Kind]] = field(default_factory=dict)
    derives: Mapping[str, PartOf | EveryPart | TakenOver] = field(default_factory=dict)
    part: str = ""
    by: str = ""
    forms: Mapping[str, type[S]] = field(default_factory=dict)
    untrained: Callable[[S, Mapping[str, nn.Module], Context], nn.Module] | None = None
    uses: frozenset[str] = frozenset()
    libraries: tuple[str, ...] = ()
    revision: int = 1
    isa: bool = False
    times: bool = False
    foreign: bool = False
    if_slower: str = ""
    caution: Callable[[Mapping[str, Any]], str] = lambda facts: ""

    @property
    def specs(self) -> tuple[type[S], ...]:
        """Every form of the spec."""
        return tuple(self.forms.values()) or (self.spec,)

    def form(self, written: Mapping[str, Any]) -> type[S]:
        """The spec that fits a step as the file writes it; `spec`, where the deciding field holds no known value."""
        if not self.forms:
            return self.spec
        value = written.get(self.by, self.spec.model_fields[self.by].default)
        return self.forms.get(value, self.spec) if isinstance(value, str) else self.spec


AnyStage = Stage[Any]
