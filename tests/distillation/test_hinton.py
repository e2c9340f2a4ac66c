"""The distillation loss against sums written out by hand."""

import math

import pytest
import torch

from compressor.distillation.methods import hinton


def test_softened_kl_equals_the_sum_by_hand() -> None:
    # One sample, two classes, temperature 2: logits (2 ln 3, 0) soften to (3/4, 1/4), and (0, 0) to (1/2, 1/2).
    teacher = torch.tensor([[2 * math.log(3), 0.0]])
    student = torch.tensor([[0.0, 0.0]])
    by_hand = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert hinton.softened_kl(student, teacher, 2).item() == pytest.approx(4 * by_hand, rel=1e-6)


def test_it_is_the_sum_over_samples_and_nothing_where_both_agree() -> None:
    outputs = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]])
    assert hinton.softened_kl(outputs, outputs, 4).item() == pytest.approx(0, abs=1e-6)
    other = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    each = [hinton.softened_kl(other[i : i + 1], outputs[i : i + 1], 3).item() for i in range(2)]
    assert hinton.softened_kl(other, outputs, 3).item() == pytest.approx(sum(each), rel=1e-6)


def test_the_gradient_keeps_its_size_and_spares_the_teacher() -> None:
    teacher = torch.tensor([[1.0, 0.0, -1.0]], requires_grad=True)
    sizes = []
    for temperature in (50.0, 100.0):
        student = torch.zeros(1, 3, requires_grad=True)
        hinton.softened_kl(student, teacher, temperature).backward()
        assert student.grad is not None
        sizes.append(student.grad.norm().item())
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)
    assert teacher.grad is None


def test_bfloat16_answers_are_compared_in_float32() -> None:
    assert hinton.softened_kl(torch.zeros(2, 3).bfloat16(), torch.ones(2, 3).bfloat16(), 1).dtype is torch.float32
