"""The distill stage: what the student learns from, and that the teacher stays as it is."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from compressor.models import network
from compressor.stages import distill, finetune
from compressor.stages.distill import STAGE, DistillSpec
from tests.toy import TOY_MODEL, ToyTask, toy_artifact, toy_context

TEACHER = {"name": "mlperf_resnet8", "widths": [6, 8, 8]}


def spec(**changes: Any) -> DistillSpec:
    given = {
        "teacher": "teacher",
        "epochs": 2,
        "batch_size": 16,
        "learning_rate": 0.05,
        "precision": "float32",
        **changes,
    }
    return DistillSpec.model_validate(given if "from" in given else {"model": TOY_MODEL, **given})


def test_the_student_learns_and_the_loss_is_told(tmp_path: Path) -> None:
    teacher = toy_artifact(tmp_path / "teacher", TEACHER)
    before = teacher.file("weights.safetensors").read_bytes()
    context = toy_context(tmp_path)
    facts = STAGE.run(spec(epochs=8, alpha=0), {"teacher": teacher}, context)
    assert facts["curves"][-1]["train_loss"] < 0.7 * facts["curves"][0]["train_loss"]
    assert facts["loss"] == "4^2 * KL(teacher || student) at temperature 4"
    assert context.progress.lines[0] == "loss: 4^2 * KL(teacher || student) at temperature 4"
    assert teacher.file("weights.safetensors").read_bytes() == before


def test_alpha_one_is_plain_training(tmp_path: Path) -> None:
    teacher = toy_artifact(tmp_path / "teacher", TEACHER)
    STAGE.run(spec(alpha=1, mixup=0.3), {"teacher": teacher}, toy_context(tmp_path / "a"))
    plain = finetune.FinetuneSpec(
        model=TOY_MODEL, epochs=2, batch_size=16, learning_rate=0.05, precision="float32", mixup=0.3
    )
    finetune.STAGE.run(plain, {}, toy_context(tmp_path / "b"))
    a, b = ((tmp_path / place / "out/weights.safetensors").read_bytes() for place in "ab")
    assert a == b


@pytest.mark.parametrize("changes", [{"temperature": 2}, {"alpha": 0.5}])
def test_temperature_and_alpha_reach_the_student(tmp_path: Path, changes: dict[str, Any]) -> None:
    teacher = toy_artifact(tmp_path / "teacher", TEACHER)
    first = STAGE.run(spec(epochs=1), {"teacher": teacher}, toy_context(tmp_path / "a"))
    other = STAGE.run(spec(epochs=1, **changes), {"teacher": teacher}, toy_context(tmp_path / "b"))
    assert first["curves"] != other["curves"]


def test_the_teacher_is_frozen_and_in_eval_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.nn.Module] = []
    read = network.read

    def watched(*given: Any) -> torch.nn.Module:
        seen.append(read(*given))
        return seen[-1]

    monkeypatch.setattr(network, "read", watched)
    STAGE.run(spec(epochs=1), {"teacher": toy_artifact(tmp_path / "teacher", TEACHER)}, toy_context(tmp_path))
    teacher = seen[0]
    assert not teacher.training
    assert not any(one.requires_grad or one.grad is not None for one in teacher.parameters())
    assert teacher.bn1.num_batches_tracked == 0


def test_a_student_may_come_from_an_earlier_step_and_the_teacher_be_pruned(tmp_path: Path) -> None:
    task = ToyTask()
    narrow = network.with_shapes(network.read(toy_artifact(tmp_path / "t", TEACHER).folder), {
        "layer1.0.conv1": {"in": 6, "out": 2, "groups": 1}, "layer1.0.bn1": {"out": 2},
        "layer1.0.conv2": {"in": 2, "out": 6, "groups": 1},
    })  # fmt: skip
    network.save(tmp_path / "t", narrow, TEACHER, 3, (1, 8, 8), network.shapes(narrow))
    inputs = {
        "teacher": toy_artifact(tmp_path / "other", TEACHER),
        "from": toy_artifact(tmp_path / "s", TOY_MODEL, task),
    }
    inputs["teacher"] = type(inputs["teacher"])("key", "model", "prune", tmp_path / "t")
    facts = STAGE.run(spec(**{"from": "s", "epochs": 1}), inputs, toy_context(tmp_path))
    assert len(facts["curves"]) == 1


def test_bfloat16_distillation_is_the_same_twice(tmp_path: Path) -> None:
    teacher = toy_artifact(tmp_path / "teacher", TEACHER)
    for place in "ab":
        STAGE.run(spec(precision="bfloat16"), {"teacher": teacher}, toy_context(tmp_path / place))
    a, b = ((tmp_path / place / "out/weights.safetensors").read_bytes() for place in "ab")
    assert a == b


@pytest.mark.parametrize("changes", [{"alpha": 1.1}, {"alpha": -0.1}, {"temperature": 0}, {"teacher": None}])
def test_ranges(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        spec(**changes)


def test_options_without_effect_are_named() -> None:
    assert spec().ineffective() == []
    assert [field for field, _ in spec(alpha=1).ineffective()] == ["teacher", "temperature", "method"]
    assert [field for field, _ in spec(alpha=0, label_smoothing=0.1).ineffective()] == ["label_smoothing"]


def test_the_stage_tells_its_formula_and_source() -> None:
    for text in (distill.__doc__, DistillSpec.__doc__):
        assert text
        assert "KL" in text
        assert "1503.02531" in text
