"""The load stage: whose weights, whose classes, and whether the network is what it should be."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from compressor.errors import InputError, StepError
from compressor.models import network
from compressor.stages.load import STAGE, LoadSpec
from tests.toy import TOY_MODEL, ToyTask, toy_context, toy_model


def spec(**changes: Any) -> LoadSpec:
    return LoadSpec.model_validate({"model": TOY_MODEL, "weights": "w.safetensors", **changes})


@pytest.fixture
def trained(tmp_path: Path) -> torch.nn.Module:
    model = toy_model(seed=4)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    return model.eval()


def test_a_file_beside_the_pipeline_is_loaded(tmp_path: Path, trained: torch.nn.Module) -> None:
    context = toy_context(tmp_path)
    assert STAGE.run(spec(), {}, context) == {}
    inputs = torch.randn(2, 1, 8, 8)
    assert torch.equal(network.read(context.folder)(inputs), trained(inputs))
    assert sorted(path.name for path in context.folder.iterdir()) == ["network.json", "weights.safetensors"]
    assert str(tmp_path) not in (context.folder / "network.json").read_text()
    assert context.progress.lines == ["mlperf_resnet8 of widths 4-4-8: 1,635 parameters, 29,208 MACs"]


def test_untrained_weights_follow_the_seed(tmp_path: Path) -> None:
    for place, seed in (("a", 0), ("b", 0), ("c", 1)):
        STAGE.run(spec(weights="none"), {}, toy_context(tmp_path / place, seed=seed))
    a, b, c = ((tmp_path / place / "out/weights.safetensors").read_bytes() for place in "abc")
    assert a == b != c


def test_expected_metrics_are_checked_on_validation(tmp_path: Path, trained: torch.nn.Module) -> None:
    facts = STAGE.run(spec(expect={"accuracy": {"min": 0.01, "max": 1}}), {}, toy_context(tmp_path))
    assert 0.01 <= facts["validation_accuracy"] <= 1
    with pytest.raises(StepError, match=r"step toy: accuracy on the validation split is .* over the 0\.001"):
        STAGE.run(spec(expect={"accuracy": {"max": 0.001}}), {}, toy_context(tmp_path))
    with pytest.raises(StepError, match=r"under the 1\.5 that `expect` asks for; check weights"):
        STAGE.run(spec(expect={"accuracy": {"min": 1.5}}), {}, toy_context(tmp_path))
    STAGE.run(spec(expect={"accuracy": {"min": 1.5}}), {}, toy_context(tmp_path, smoke=True))
    with pytest.raises(InputError, match="the task has no metric 'f1'; use accuracy"):
        STAGE.run(spec(expect={"f1": {"min": 0}}), {}, toy_context(tmp_path))


def test_other_classes_are_refused_before_anything_runs(tmp_path: Path, trained: torch.nn.Module) -> None:
    context = toy_context(tmp_path, ToyTask(classes=4))
    assert STAGE.untrained is not None
    for call in (lambda: STAGE.untrained(spec(), {}, context), lambda: STAGE.run(spec(), {}, context)):
        with pytest.raises(InputError, match="they answer with 3 classes and the task has 4"):
            call()


def test_a_sketch_downloads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compressor.models.pretrained.default_weights", lambda *_: pytest.fail("a download"))
    context = toy_context(tmp_path, ToyTask(input_shape=(3, 32, 32), classes=5))
    assert STAGE.untrained is not None
    model = STAGE.untrained(LoadSpec(model="timm:test_resnet", weights="default"), {}, context)
    assert model.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 5)


def test_default_weights_are_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from compressor.models import catalogue

    published = catalogue.build("timm:test_resnet", outputs=5, input_shape=(3, 32, 32), seed=8)
    monkeypatch.setattr("compressor.models.pretrained.default_weights", lambda *_: published.state_dict())
    context = toy_context(tmp_path, ToyTask(input_shape=(3, 32, 32), classes=5))
    STAGE.run(LoadSpec(model="timm:test_resnet", weights="default"), {}, context)
    assert json.loads((context.folder / "network.json").read_text())["model"] == "timm:test_resnet"
    made = network.read(context.folder).state_dict()
    assert all(torch.equal(value, made[name]) for name, value in published.state_dict().items())


@pytest.mark.parametrize(
    ("data", "at", "said"),
    [
        ({"model": "resnet20"}, "weights", "is needed for resnet20"),
        ({"model": "timm:resnet18"}, "weights", "is needed for timm:resnet18"),
        ({"model": "resnet20", "weights": "default"}, "weights", "has no weights of its own"),
        ({"model": "resnt20", "weights": "none"}, "model", "did you mean 'resnet20'"),
        ({"model": "resnet20", "weights": "none", "expect": {"accuracy": {}}}, "expect", "give min or max"),
    ],
)
def test_mistakes_are_told_at_their_field(data: dict[str, Any], at: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        LoadSpec.model_validate(data)
    assert caught.value.errors()[0]["loc"][0] == at


def test_a_factory_needs_no_weights_and_a_key_needs_a_file() -> None:
    one = LoadSpec.model_validate({"model": {"factory": "mine.nets:make"}, "key": "ema"})
    assert one.weights is None
    assert [field for field, _ in one.ineffective()] == ["key"]
    assert [field for field, _ in spec(key="ema").ineffective()] == ["seed"]
