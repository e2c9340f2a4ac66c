"""The finetune stage: from nothing, from foreign weights, from an earlier step."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from compressor.models import network
from compressor.stages.finetune import STAGE, FinetuneSpec
from compressor.store.artifact import Artifact
from tests.toy import TOY_MODEL, ToyTask, toy_artifact, toy_context, toy_model


def spec(**changes: Any) -> FinetuneSpec:
    given = {"epochs": 2, "batch_size": 16, "learning_rate": 0.05, "precision": "float32", **changes}
    return FinetuneSpec.model_validate(given if "from" in given else {"model": TOY_MODEL, **given})


def test_it_trains_from_nothing_and_says_how(tmp_path: Path) -> None:
    context = toy_context(tmp_path)
    facts = STAGE.run(spec(label_smoothing=0.1), {}, context)
    assert [row["epoch"] for row in facts["curves"]] == [1, 2]
    assert facts["precision"] == "float32"
    assert facts["loss"] == "the task's loss with labels smoothed by 0.1"
    assert json.dumps(facts)
    assert not torch.equal(network.read(context.folder).conv1.weight, toy_model().conv1.weight)


def test_two_runs_are_equal_byte_for_byte(tmp_path: Path) -> None:
    facts = [STAGE.run(spec(precision="bfloat16"), {}, toy_context(tmp_path / place)) for place in "ab"]
    assert facts[0] == facts[1]
    a, b = ((tmp_path / place / "out/weights.safetensors").read_bytes() for place in "ab")
    assert a == b


def test_label_smoothing_changes_the_loss_that_is_trained(tmp_path: Path) -> None:
    plain = STAGE.run(spec(epochs=1), {}, toy_context(tmp_path / "a"))
    smooth = STAGE.run(spec(epochs=1, label_smoothing=0.5), {}, toy_context(tmp_path / "b"))
    assert plain["curves"][0]["train_loss"] != smooth["curves"][0]["train_loss"]


def test_a_head_of_other_classes_is_replaced_and_told(tmp_path: Path) -> None:
    other = toy_model(seed=9, task=ToyTask(classes=10))
    save_file(other.state_dict(), tmp_path / "w.safetensors")
    context = toy_context(tmp_path)
    wanted = spec(weights="w.safetensors", epochs=1, freeze=("conv1", "bn1"))
    STAGE.run(wanted, {}, context)
    made = network.read(context.folder)
    assert made.linear.weight.shape == (3, 8)
    assert torch.equal(made.conv1.weight, other.conv1.weight)
    assert context.progress.lines[0] == "the last layer is new, for 3 classes: linear.weight, linear.bias"


def test_it_goes_on_from_an_earlier_step_pruned_or_not(tmp_path: Path) -> None:
    narrow = network.with_shapes(toy_model(), {
        "layer3.0.conv1": {"in": 4, "out": 6, "groups": 1}, "layer3.0.bn1": {"out": 6},
        "layer3.0.conv2": {"in": 6, "out": 8, "groups": 1},
    })  # fmt: skip
    (tmp_path / "before").mkdir()
    network.save(tmp_path / "before", narrow, TOY_MODEL, 3, (1, 8, 8), network.shapes(narrow))
    before = Artifact("key", "model", "prune", tmp_path / "before")
    context = toy_context(tmp_path)
    STAGE.run(spec(**{"from": "before", "epochs": 1, "freeze": ("conv1",)}), {"from": before}, context)
    made = network.read(context.folder)
    assert made.layer3[0].conv1.out_channels == 6
    assert torch.equal(made.conv1.weight, narrow.conv1.weight)
    assert not torch.equal(made.layer3[0].conv1.weight, narrow.layer3[0].conv1.weight)


def test_the_artifact_it_starts_from_is_only_read(tmp_path: Path) -> None:
    before = toy_artifact(tmp_path / "before")
    weights = load_file(before.file("weights.safetensors"))
    STAGE.run(spec(**{"from": "before", "epochs": 1}), {"from": before}, toy_context(tmp_path))
    after = load_file(before.file("weights.safetensors"))
    assert all(torch.equal(after[name], value) for name, value in weights.items())


def test_a_sketch_is_the_network_before_training(tmp_path: Path) -> None:
    assert STAGE.untrained is not None
    context = toy_context(tmp_path)
    model = toy_model()
    assert STAGE.untrained(spec(**{"from": "x"}), {"from": model}, context) is model
    assert torch.equal(STAGE.untrained(spec(), {}, context).conv1.weight, toy_model().conv1.weight)


def test_weights_are_needed_where_a_library_has_some() -> None:
    assert spec().weights is None
    with pytest.raises(ValidationError, match="is needed for torchvision:resnet18; write none, default, or the path"):
        spec(model="torchvision:resnet18")


def test_options_without_effect_are_named() -> None:
    assert spec().ineffective() == []
    assert spec(schedule="onecycle", warmup_epochs=0, early_stopping=5).ineffective() == []
    found = spec(epochs=1, schedule="onecycle", warmup_epochs=1, early_stopping=5, key="ema").ineffective()
    assert [field for field, _ in found] == ["key", "warmup_epochs", "early_stopping"]
    assert spec(warmup_epochs=2).ineffective() == [("schedule", "warmup_epochs 2 takes all of the 2 epochs")]


def test_short_forms_stand_for_their_long_ones() -> None:
    assert spec(freeze="conv1") == spec(freeze=["conv1"])
    short = FinetuneSpec.model_validate({"factory": "nets.mine:make"})
    assert short == FinetuneSpec.model_validate({"model": {"factory": "nets.mine:make"}})


def test_adamw_has_a_rate_of_its_own() -> None:
    assert FinetuneSpec(model="resnet8", optimizer="adamw").learning_rate == 0.001
    assert FinetuneSpec(model="resnet8", optimizer="adamw", learning_rate=0.01).learning_rate == 0.01
    assert FinetuneSpec(model="resnet8").learning_rate == 0.1
