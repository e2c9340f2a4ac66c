"""torchvision's and timm's networks, without any download."""

import re
from pathlib import Path

import pytest
import torch

from compressor.errors import InputError
from compressor.models import catalogue, checkpoints, fitting, heads, names, pretrained


def refuse(*_: object, **__: object) -> None:
    raise OSError("no route to host")


def test_unknown_names_get_a_suggestion() -> None:
    with pytest.raises(
        InputError, match="torchvision has no network 'mobilenet_v3_smal'; did you mean 'mobilenet_v3_small'"
    ):
        catalogue.build("torchvision:mobilenet_v3_smal", outputs=5, input_shape=(3, 32, 32))
    with pytest.raises(
        InputError, match="timm has no network 'tf_efficientnet_lite00'; did you mean 'tf_efficientnet_lite0'"
    ):
        catalogue.build("timm:tf_efficientnet_lite00", outputs=5, input_shape=(3, 32, 32))


def test_torchvision_networks_take_the_tasks_classes_and_size() -> None:
    model = catalogue.build("torchvision:squeezenet1_1", outputs=5, input_shape=(3, 64, 64))
    assert heads.names(model) == ["classifier.1.weight", "classifier.1.bias"]
    with pytest.raises(InputError, match="take 3 channels, and the task gives 1"):
        catalogue.build("torchvision:squeezenet1_1", outputs=5, input_shape=(1, 64, 64))
    with pytest.raises(InputError, match="cannot take an input of 3x8x8"):
        catalogue.build("torchvision:squeezenet1_1", outputs=5, input_shape=(3, 8, 8))


def test_timm_networks_take_channels_and_a_head_of_another_task() -> None:
    model = catalogue.build("timm:test_resnet", outputs=5, input_shape=(1, 32, 32))
    other = catalogue.build("timm:test_resnet", outputs=1000, input_shape=(1, 32, 32), seed=1)
    kept = fitting.put(model, other.state_dict(), "w", new_head=True)
    assert kept == heads.names(model) != []
    assert torch.equal(next(model.parameters()), next(other.parameters()))


def test_a_transformer_of_fixed_size_is_built_for_the_tasks() -> None:
    model = catalogue.build("timm:test_vit", outputs=5, input_shape=(3, 64, 64))
    assert model.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 5)


def test_the_declared_preprocessing_is_that_of_the_libraries() -> None:
    assert catalogue.declared_preprocess("torchvision:mobilenet_v3_small", "default") == [
        {"channels": "rgb"},
        {"resize": {"shortest": 256, "interpolation": "bilinear"}},
        {"center_crop": [224, 224]},
        {"scale": 255},
        {"mean": [0.485, 0.456, 0.406]},
        {"std": [0.229, 0.224, 0.225]},
    ]
    lite = catalogue.declared_preprocess("timm:tf_efficientnet_lite0", "some/file.safetensors")
    assert lite is not None
    assert lite[1] == {"resize": {"shortest": 256, "interpolation": "bicubic"}}  # floor(224 / 0.875)
    assert lite[4:] == [{"mean": [0.5, 0.5, 0.5]}, {"std": [0.5, 0.5, 0.5]}]
    assert catalogue.declared_preprocess("timm:tf_efficientnet_lite0", "none") is None
    assert catalogue.declared_preprocess("resnet20", "w.th") is None


def test_default_weights_without_a_network_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.hub.urlopen", refuse)
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    with pytest.raises(
        InputError, match=r"cannot be fetched \(no route to host\); go online once, or write `weights: PATH`"
    ):
        pretrained.default_weights("torchvision:squeezenet1_1", (3, 64, 64))
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", refuse)
    with pytest.raises(InputError, match="timm:test_resnet: its default weights are not in the cache"):
        pretrained.default_weights("timm:test_resnet", (3, 64, 64))


def test_default_weights_come_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    published = catalogue.build("torchvision:squeezenet1_1", outputs=1000, input_shape=(3, 64, 64), seed=9)
    monkeypatch.setattr(
        torchvision.models.SqueezeNet1_1_Weights, "get_state_dict", lambda *_, **__: published.state_dict()
    )
    model = catalogue.build("torchvision:squeezenet1_1", outputs=5, input_shape=(3, 64, 64))
    state = pretrained.default_weights("torchvision:squeezenet1_1", (3, 64, 64))
    assert fitting.put(model, state, "w", new_head=True) == ["classifier.1.weight", "classifier.1.bias"]
    assert torch.equal(model.features[0].weight, published.features[0].weight)
    with pytest.raises(InputError, match="answer with 1000 classes and the task has 5"):
        fitting.put(model, state, "w")


def test_a_network_without_published_weights_says_so() -> None:
    with pytest.raises(InputError, match="timm publishes no weights for it"):
        pretrained.default_weights("timm:efficientnet_b8", (3, 64, 64))


def test_auxiliary_heads_of_the_authors_are_left_out() -> None:
    model = catalogue.build("torchvision:squeezenet1_1", outputs=5, input_shape=(3, 64, 64))
    given = {**model.state_dict(), "aux1.fc.weight": torch.zeros(2), "AuxLogits.fc.bias": torch.zeros(2)}
    assert fitting.put(model, given, "w") == []


def old_densenet(name: str) -> str:
    return re.sub(r"(denselayer\d+)\.(norm|relu|conv)([12])\.", r"\1.\2.\3.", name)


def old_vit(name: str) -> str:
    return name.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2.")


def old_convnext(name: str) -> str:
    """As Facebook's own file has it."""
    name = re.sub(r"stages\.(\d)\.blocks\.", r"stages.\1.", name)
    name = re.sub(r"stages\.(\d)\.downsample\.(\d)", r"downsample_layers.\1.\2", name).replace(
        "stem.", "downsample_layers.0."
    )
    name = name.replace("conv_dw", "dwconv").replace("mlp.fc", "pwconv").replace("head.fc.", "head.")
    return name.replace("head.norm.", "norm.")


FORMS = {
    "torchvision:densenet121": (32, old_densenet, "module."),
    "torchvision:vit_b_32": (32, old_vit, ""),
    "timm:convnext_atto": (32, old_convnext, ""),
}


@pytest.mark.parametrize("ref", FORMS)
def test_published_forms_load_and_give_the_librarys_outputs(ref: str, tmp_path: Path) -> None:
    size, old, wrapper = FORMS[ref]
    published = catalogue.build(ref, outputs=5, input_shape=(3, size, size), seed=9).eval()
    state = {f"{wrapper}{old(name)}": value for name, value in published.state_dict().items()}
    torch.save(
        {"model": {name: value for name, value in state.items() if not name.endswith("tracked")}}, tmp_path / "w.pth"
    )
    model = catalogue.build(ref, outputs=5, input_shape=(3, size, size)).eval()
    checkpoints.load_into(model, tmp_path / "w.pth", ref=names.reference(ref), input_shape=(3, size, size))
    sample = torch.rand(1, 3, size, size)
    assert torch.equal(model(sample), published(sample))


def test_layers_that_refuse_weights_without_a_version_take_them_as_todays() -> None:
    one = catalogue.build("torchvision:mnasnet0_5", outputs=5, input_shape=(3, 32, 32), seed=1)
    model = catalogue.build("torchvision:mnasnet0_5", outputs=5, input_shape=(3, 32, 32))
    fitting.put(model, {name: value.clone() for name, value in one.state_dict().items()}, "w")
    assert torch.equal(next(model.parameters()), next(one.parameters()))
