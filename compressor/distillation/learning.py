"""How a step learns from a teacher, torch-free: the fields of such a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from compressor.device.refused import Unfit
from compressor.distillation.method import Method
from compressor.distillation.methods import METHODS, USUAL, AnyMethod
from compressor.strict import Idle, Later
from compressor.training.settings import TrainingFields

if TYPE_CHECKING:
    pass


class TeacherFields(TrainingFields):
    """How a step trains that may learn from a teacher."""

    teacher: str | None = Field(None, description="Earlier step whose answers are learnt beside the labels.")
    temperature: float = Field(
        4.0, gt=0, le=1000, description="Softens the answers of both; 1 leaves them as they are."
    )
    alpha: float = Field(0.1, ge=0, le=1, description="Share of the labels in the loss; the teacher has the rest.")

    @property
    def compared_by(self) -> Method:
        """How the answers are compared."""
        return METHODS[USUAL](name=USUAL)

    def loss_in_words(self) -> str:
        """The loss with a teacher as a person reads it."""
        smoothing = f" (smoothed by {self.label_smoothing:g})" if self.label_smoothing else ""
        labels, teacher = f"cross-entropy with the labels{smoothing}", self.compared_by.words(self.temperature)
        if self.alpha in (0, 1):
            return labels if self.alpha else teacher
        return f"{self.alpha:g} * {labels} + {1 - self.alpha:g} * {teacher}"

    def idle(self) -> list[Idle]:
        """Options without effect in their combination, and why."""
        found = super().idle()
        if self.teacher is None:
            found += [(name, "there is no teacher to learn from") for name in ("temperature", "alpha")]
        elif self.alpha == 1:
            why = Unfit("alpha 1 leaves the teacher no share in the loss", "lower it, or do without a teacher")
            found += [("teacher", why), ("temperature", why)]
        elif self.alpha == 0 and self.label_smoothing:
            found.append(("label_smoothing", "alpha 0 leaves the labels no share in the loss"))
        return found


class MethodFields(TeacherFields):
    """How a step trains that may choose how it learns from a teacher."""

    method: Annotated[AnyMethod, Later] = Field(
        METHODS[USUAL](name=USUAL), description="How the student's answers are compared with the teacher's."
    )

    @property
    def compared_by(self) -> Method:
        """`method`."""
        return self.method

    def idle(self) -> list[Idle]:
        """The method too, where the teacher has no share."""
        found = super().idle()
        return found + [("method", why) for field, why in found if field == "temperature"]
