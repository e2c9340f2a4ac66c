"""Softened answers (Hinton, Vinyals and Dean, 2015, arXiv:1503.02531)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from compressor.distillation.method import Method

if TYPE_CHECKING:
    from torch import Tensor

    from compressor.problem.batch import Logits


class Hinton(Method):
    """T^2 * KL(teacher || student) at temperature T (Hinton et al., 2015, arXiv:1503.02531)."""

    name: Literal["hinton"] = Field("hinton", description="Softened answers, compared by their divergence.")

    def words(self, temperature: float) -> str:
        """`4^2 * KL(teacher || student) at temperature 4`."""
        return f"{temperature:g}^2 * KL(teacher || student) at temperature {temperature:g}"

    def distance(self, student: Logits, teacher: Logits, temperature: float) -> Tensor:
        """The softened divergence of each row, summed."""
        return softened_kl(student.rows, teacher.rows, temperature)


def softened_kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """temperature² · KL(teacher ‖ student) of scores softened by the temperature; summed over the rows, float32.

    student, teacher: logits [rows, classes] of any float type; no gradient goes to the teacher. The factor
    temperature² keeps the gradient's size when the temperature changes.
    """
    from torch.nn import functional as F

    log_student = F.log_softmax(student.float() / temperature, dim=1)
    log_teacher = F.log_softmax(teacher.detach().float() / temperature, dim=1)
    return F.kl_div(log_student, log_teacher, reduction="sum", log_target=True) * temperature**2


METHOD = Hinton
