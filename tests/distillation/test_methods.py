"""Every distillation method: found by its file, written short or long, and at rest where both agree."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from compressor import discovery
from compressor.distillation import methods
from compressor.distillation.learning import MethodFields
from compressor.distillation.methods import METHODS, USUAL
from compressor.problem.batch import Logits


def fields(**changes: Any) -> MethodFields:
    return MethodFields.model_validate({"teacher": "t", **changes})


def rows(*values: list[float]) -> Logits:
    made = torch.tensor(values, requires_grad=True)
    return Logits(made, torch.arange(len(values)), torch.arange(len(values)))


def test_every_file_of_methods_is_one() -> None:
    assert len(METHODS) == len(discovery.files(methods))


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_named_cited_and_chosen_by_its_name(name: str) -> None:
    assert re.search(r"arXiv:\d{4}\.\d{5}", METHODS[name].__doc__ or "")
    assert fields(method=name) == fields(method={"name": name})
    assert fields(method=name).compared_by == METHODS[name](name=name)


@pytest.mark.parametrize("name", METHODS)
def test_where_both_agree_there_is_no_distance_and_the_teacher_gets_no_gradient(name: str) -> None:
    method = METHODS[name](name=name)
    student, teacher = rows([1.0, -2.0, 0.5], [0.0, 3.0, 1.0]), rows([1.0, -2.0, 0.5], [0.0, 3.0, 1.0])
    assert method.distance(student, teacher, 4).item() == pytest.approx(0, abs=1e-5)
    other = rows([0.0, 0.0, 0.0], [1.0, 1.0, 1.0])
    found = method.distance(other, teacher, 2)
    assert found.dtype is torch.float32
    assert found.item() > 0
    found.backward()
    assert other.rows.grad is not None
    assert teacher.rows.grad is None


def test_the_usual_one_needs_no_word_and_others_are_mistakes() -> None:
    assert fields().method.name == USUAL
    with pytest.raises(ValidationError):
        fields(method="guessing")
    with pytest.raises(ValidationError):
        fields(method={"name": USUAL, "beta": 8})


def test_a_method_without_a_teacher_has_no_effect() -> None:
    assert ("method", "there is no teacher to learn from") in fields(teacher=None).idle()
    assert "method" in dict(fields(alpha=1).idle())
    assert "method" not in dict(fields().idle())


def test_the_loss_in_words() -> None:
    words = "0.1 * cross-entropy with the labels + 0.9 * 4^2 * KL(teacher || student) at temperature 4"
    assert fields().loss_in_words() == words
    assert fields(temperature=2.5, alpha=0).loss_in_words() == "2.5^2 * KL(teacher || student) at temperature 2.5"
    assert fields(alpha=1, label_smoothing=0.1).loss_in_words() == "cross-entropy with the labels (smoothed by 0.1)"
