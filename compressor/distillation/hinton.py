"""The arithmetic of distillation: tensors in, tensors out (Hinton, Vinyals and Dean, 2015, arXiv:1503.02531)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def softened_kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """temperature² · KL(teacher ‖ student) of scores softened by the temperature; summed over the rows, float32.

    student, teacher: logits [rows, classes] of any float type; no gradient goes to the teacher. The factor
    temperature² keeps the gradient's size when the temperature changes.
    """
    log_student = F.log_softmax(student.float() / temperature, dim=1)
    log_teacher = F.log_softmax(teacher.detach().float() / temperature, dim=1)
    return F.kl_div(log_student, log_teacher, reduction="sum", log_target=True) * temperature**2


def words(temperature: float, alpha: float, label_smoothing: float = 0.0) -> str:
    """The resolved loss as a person reads it."""
    labels = f"cross-entropy with the labels{f' (smoothed by {label_smoothing:g})' if label_smoothing else ''}"
    teacher = f"{temperature:g}^2 * KL(teacher || student) at temperature {temperature:g}"
    if alpha == 1:
        return labels
    if alpha == 0:
        return teacher
    return f"{alpha:g} * {labels} + {1 - alpha:g} * {teacher}"
