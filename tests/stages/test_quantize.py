"""The quantize stage: both ways to int8, what it tells, and a training that was killed ends with the same bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from pydantic import ValidationError

from compressor.errors import InputError
from compressor.onnx_graph import exporter, operators
from compressor.stages.quantize import STAGE, QuantizeSpec
from compressor.store.artifact import Artifact
from tests.evaluations import written
from tests.toy import ToyTask, toy_artifact, toy_context, toy_model

QAT = {"method": "qat", "epochs": 2, "batch_size": 16}


def spec(**changes: Any) -> QuantizeSpec:
    return STAGE.form(changes).model_validate({"from": "net", **changes})


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "core").mkdir()
    exporter.export_core(toy_model(), ToyTask().signature, folder / "core/core.onnx", 21)
    written(folder / "core")
    return {"from": toy_artifact(folder / "net"), "core": Artifact("core", "onnx", "evaluate", folder / "core")}


def test_ptq_writes_integer_kernels_and_tells_where_the_quality_holds(
    inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    context = toy_context(tmp_path)
    facts = STAGE.run(spec(calibration_samples=30), inputs, context)
    assert facts == {
        "method": "ptq", "weight_bits": 7, "calibration": "minmax", "calibration_samples": 30,
        "holds_on": "weights of 7 bits: no CPU saturates sums, with or without VNNI",
        "bits": {"proven": True, "because": []},
    }  # fmt: skip
    found = operators.count(context.folder / "core.onnx")
    assert (found["precision"], found["float_names"]) == ("int8", [])
    assert context.progress.steps[-1][:3] == (30, 30, "samples")


def test_eight_bits_limit_the_claim(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    facts = STAGE.run(spec(weight_bits=8), inputs, toy_context(tmp_path))
    assert "without VNNI saturate" in facts["holds_on"]
    assert facts["calibration_samples"] == ToyTask().size("train")


def test_calibration_takes_training_samples_plainly(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    asked: list[tuple[Any, ...]] = []

    class Watched(ToyTask):
        def batches(self, split: str, batch_size: int, **rest: Any) -> Any:  # type: ignore[override]
            asked.append((split, rest))
            return super().batches(split, batch_size, **rest)

    STAGE.run(spec(calibration="mse", calibration_samples=20), inputs, toy_context(tmp_path, Watched()))
    assert asked == [("train", {"limit": 20})] * 2


@pytest.mark.parametrize("changes", [{}, {"calibration": "percentile"}])
def test_the_same_step_gives_the_same_bytes(
    changes: dict[str, Any], inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    for place in "ab":
        STAGE.run(spec(**changes), inputs, toy_context(tmp_path / place))
    a, b = ((tmp_path / place / "out/core.onnx").read_bytes() for place in "ab")
    assert a == b


def test_qat_trains_in_float32_and_tells_its_curves(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    context = toy_context(tmp_path)
    facts = STAGE.run(spec(**QAT, learning_rate=0.02), inputs, context)
    assert [row["epoch"] for row in facts["curves"]] == [1, 2]
    assert facts["curves"][1]["train_loss"] < facts["curves"][0]["train_loss"]
    assert (facts["precision"], facts["loss"]) == ("float32", "the task's loss")
    assert operators.count(context.folder / "core.onnx")["precision"] == "int8"
    plain = toy_context(tmp_path / "ptq")
    STAGE.run(spec(), inputs, plain)
    assert (context.folder / "core.onnx").read_bytes() != (plain.folder / "core.onnx").read_bytes()
    assert onnx.load(context.folder / "core.onnx").graph.input[0].name == "input"


def test_a_teacher_changes_what_is_learnt_and_the_loss_is_told(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    teacher = toy_artifact(tmp_path / "teacher", {"name": "mlperf_resnet8", "widths": [6, 8, 8]}, seed=3)
    with_teacher = {**inputs, "teacher": teacher}
    taught = STAGE.run(spec(**QAT, teacher="t", alpha=0.25), with_teacher, toy_context(tmp_path / "a"))
    alone = STAGE.run(spec(**QAT), inputs, toy_context(tmp_path / "b"))
    assert taught["curves"] != alone["curves"]
    assert taught["loss"] == (
        "0.25 * cross-entropy with the labels + 0.75 * 4^2 * KL(teacher || student) at temperature 4"
    )


class _Killed(Exception):
    pass


def test_a_killed_training_ends_with_the_same_bytes(
    inputs: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compressor.training.loop.CHECKPOINT_SECONDS", 0)
    settings = spec(**QAT, ema=0.9)
    STAGE.run(settings, inputs, toy_context(tmp_path / "whole"))

    class Dying(ToyTask):
        losses = 0

        def loss(self, *given: Any, **rest: Any) -> Any:
            self.losses += 1
            if self.losses == 3:
                raise _Killed
            return super().loss(*given, **rest)

    context = toy_context(tmp_path / "killed", Dying())
    with pytest.raises(_Killed):
        STAGE.run(settings, inputs, context)
    assert list(context.work.iterdir())
    again = replace(context, task=ToyTask())
    STAGE.run(settings, inputs, again)
    assert any(line.startswith("goes on at epoch 1, batch 3") for line in again.progress.lines)
    a, b = ((tmp_path / place / "out/core.onnx").read_bytes() for place in ("whole", "killed"))
    assert a == b


@pytest.mark.parametrize(
    "changes",
    [
        {"weight_bits": 4},
        {"method": "dynamic"},
        {"precision": "bfloat16"},
        {"calibration": "entropy"},
        {"calibration_samples": 0},
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        spec(**changes)


def test_options_without_effect_are_known() -> None:
    shared, trained = (set(STAGE.forms[method].model_fields) for method in ("ptq", "qat"))
    assert {"epochs", "learning_rate", "teacher", "alpha"} <= trained - shared
    assert {name for name, _ in spec(method="qat").ineffective()} == {"temperature", "alpha"}
    assert spec(method="qat", teacher="t").ineffective() == []
    assert {name for name, _ in spec(method="qat", teacher="t", alpha=1).ineffective()} == {"teacher", "temperature"}
    alone = spec(method="qat", teacher="t", alpha=0, label_smoothing=0.1)
    assert {name for name, _ in alone.ineffective()} == {"label_smoothing"}
    assert ("momentum", "adamw has no momentum") in spec(method="qat", optimizer="adamw").ineffective()


def test_what_may_stay_float_must_be_an_operator_or_a_layer(tmp_path: Path) -> None:
    assert STAGE.untrained is not None
    network = {"from": toy_model()}
    for fine in ("Conv", "layer1", "layer1.0.conv1"):
        assert STAGE.untrained(spec(allow_float=[fine]), network, toy_context(tmp_path)) is network["from"]
    with pytest.raises(
        InputError, match=r"allow_float: 'layer1\.0\.cnv1' is neither .*; did you mean 'layer1\.0\.conv1'"
    ):
        STAGE.untrained(spec(allow_float=["layer1.0.cnv1"]), network, toy_context(tmp_path))
