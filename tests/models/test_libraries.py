"""torchvision's and timm's networks, without any download."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from compressor.errors import InputError
from compressor.models import catalogue, checkpoints, fitting, heads, names, pretrained
from compressor.models.names import Named


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


def test_torchvisions_transformers_take_squares_of_whole_patches() -> None:
    with pytest.raises(InputError, match="take square pictures, and the task gives 3x32x48; crop them to a square"):
        catalogue.build("torchvision:vit_b_16", outputs=5, input_shape=(3, 32, 48))
    with pytest.raises(InputError, match=r"cannot take an input of 3x30x30 .*indivisible by patch size"):
        catalogue.build("torchvision:vit_b_16", outputs=5, input_shape=(3, 30, 30))


def test_the_declared_preprocessing_is_that_of_the_libraries() -> None:
    assert catalogue.declared_preprocess(Named("torchvision:mobilenet_v3_small", "default")) == [
        {"channels": "rgb"},
        {"resize": {"shortest": 256, "interpolation": "bilinear"}},
        {"center_crop": [224, 224]},
        {"scale": 255},
        {"mean": [0.485, 0.456, 0.406]},
        {"std": [0.229, 0.224, 0.225]},
    ]
    lite = catalogue.declared_preprocess(Named("timm:tf_efficientnet_lite0", "some/file.safetensors"))
    assert lite is not None
    assert lite[1] == {"resize": {"shortest": 256, "interpolation": "bicubic"}}  # floor(224 / 0.875)
    assert lite[4:] == [{"mean": [0.5, 0.5, 0.5]}, {"std": [0.5, 0.5, 0.5]}]
    assert catalogue.declared_preprocess(Named("timm:tf_efficientnet_lite0", "none")) is None
    assert catalogue.declared_preprocess(Named("resnet20", "w.th")) is None


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


def made_for(ref: str, outputs: int, shape: tuple[int, int, int], seed: int) -> torch.nn.Module:
    return catalogue.build(ref, outputs=outputs, input_shape=shape, seed=seed, check=False).eval()


def test_weights_for_other_pictures_are_fitted_as_the_library_does_and_it_is_said() -> None:
    published = made_for("timm:test_vit", 1000, (3, 160, 160), 9)
    said: list[str] = []
    model = made_for("timm:test_vit", 5, (1, 64, 64), 0)
    given = {name: value.clone() for name, value in published.state_dict().items()}
    kept = fitting.put(
        model, given, "w", new_head=True, ref=names.reference("timm:test_vit"), input_shape=(1, 64, 64), say=said.append
    )
    assert kept == ["head.weight", "head.bias"]
    assert said == ["fitted to pictures of 1x64x64 as timm does: pos_embed, patch_embed.proj.weight"]
    colours = given["patch_embed.proj.weight"]  # a grey picture is three equal channels
    assert torch.allclose(model.patch_embed.proj.weight, colours.sum(1, keepdim=True), atol=1e-6)
    assert model.pos_embed.shape[1] == 64 // 16 * 64 // 16 + 1
    assert torch.equal(model.blocks[0].attn.qkv.weight, given["blocks.0.attn.qkv.weight"])


def test_weights_of_one_channel_are_not_fitted_again() -> None:
    published = made_for("timm:test_resnet", 5, (1, 32, 32), 9)
    model = made_for("timm:test_resnet", 5, (1, 32, 32), 0)
    fitting.put(model, published.state_dict(), "w", ref=names.reference("timm:test_resnet"), input_shape=(1, 32, 32))
    assert torch.equal(model(torch.ones(1, 1, 32, 32)), published(torch.ones(1, 1, 32, 32)))


def vit(outputs: int, size: int) -> Any:
    from torchvision.models import VisionTransformer

    return VisionTransformer(size, 32, 1, 2, 8, 8, num_classes=outputs)


def test_torchvisions_transformer_takes_weights_of_larger_pictures() -> None:
    given = {old_vit(name): value for name, value in vit(1000, 96).state_dict().items()}
    model, said = vit(5, 64), list[str]()
    ref = names.reference("torchvision:vit_b_32")
    with pytest.raises(InputError, match="answer with 1000 classes and the task has 5"):
        fitting.put(model, given, "w", ref=ref, input_shape=(3, 64, 64))
    kept = fitting.put(model, given, "w", new_head=True, ref=ref, input_shape=(3, 64, 64), say=said.append)
    assert kept == ["heads.head.weight", "heads.head.bias"]
    assert said == ["fitted to pictures of 3x64x64 as torchvision does: encoder.pos_embedding"]
    assert model.encoder.pos_embedding.shape == (1, 5, 8)
    assert torch.equal(model.encoder.pos_embedding[:, 0], given["encoder.pos_embedding"][:, 0])
    assert torch.equal(
        model.encoder.layers[0].mlp[0].weight, given["encoder.layers.encoder_layer_0.mlp.linear_1.weight"]
    )


def test_what_no_library_fits_says_that_the_pictures_may_be_of_another_size() -> None:
    model = made_for("timm:test_vit", 5, (3, 64, 64), 0)
    other = made_for("timm:test_vit", 5, (3, 32, 32), 0)
    with pytest.raises(InputError, match="another architecture, or of pictures of another size: 1 of another shape"):
        fitting.put(model, other.state_dict(), "w", input_shape=(3, 64, 64))


def old_swin(name: str) -> str:
    """As Microsoft's own file has it: a stage ends with what joins places, where timm's next one begins with it."""
    name = re.sub(r"layers\.(\d)\.downsample", lambda found: f"layers.{int(found[1]) - 1}.downsample", name)
    return name.replace("head.fc.", "head.")


def empty(ref: str, outputs: int, shape: tuple[int, int, int]) -> torch.nn.Module:
    """The network with zeros for weights, which is quicker than drawing them."""
    with torch.device("meta"):
        made = catalogue.build(ref, outputs=outputs, input_shape=shape, check=False)
    made = made.to_empty(device="cpu")
    for value in (*made.parameters(), *made.buffers()):
        value.detach().zero_()
    return made


def test_swins_own_form_loads_with_what_it_computes_by_itself() -> None:
    import timm

    def made(outputs: int) -> Any:
        sizes = {"img_size": 64, "window_size": 4, "embed_dim": 8, "depths": (2, 1, 1), "num_heads": (1, 2, 4)}
        return timm.create_model("swin_tiny_patch4_window7_224", num_classes=outputs, **sizes)

    published, model = made(1000).eval(), made(5).eval()
    state = {old_swin(name): value for name, value in published.state_dict().items()}
    state["layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(16, 16, dtype=torch.int64)
    state["layers.0.blocks.1.attn_mask"] = torch.zeros(16, 16, 16)
    ref = names.reference("timm:swin_tiny_patch4_window7_224")
    said: list[str] = []
    kept = fitting.put(model, state, "w", new_head=True, ref=ref, input_shape=(3, 64, 64), say=said.append)
    assert kept == ["head.fc.weight", "head.fc.bias"]
    assert said == []  # names moved from layer to layer, and nothing was fitted to other pictures
    merged = model.layers[1].downsample.reduction.weight
    assert torch.equal(merged, state["layers.0.downsample.reduction.weight"])
    sample = torch.rand(1, 3, 64, 64)
    assert torch.equal(model.forward_features(sample), published.forward_features(sample))


def test_distilled_transformers_begin_both_heads_anew() -> None:
    ref, shape = "timm:deit_tiny_distilled_patch16_224", (3, 224, 224)
    model = empty(ref, 5, shape)
    kept = fitting.put(
        model, empty(ref, 1000, shape).state_dict(), "w", new_head=True, ref=names.reference(ref), input_shape=shape
    )
    assert kept == ["head.weight", "head.bias", "head_dist.weight", "head_dist.bias"]


def test_published_files_with_auxiliary_heads_load() -> None:
    import torchvision

    with torch.device("meta"):
        published = torchvision.models.googlenet(weights=None, init_weights=False, aux_logits=True)
    state = {name: torch.zeros(value.shape, dtype=value.dtype) for name, value in published.state_dict().items()}
    assert any(name.startswith("aux1.") for name in state)
    model = empty("torchvision:googlenet", 5, (3, 64, 64))
    kept = fitting.put(
        model, state, "w", new_head=True, ref=names.reference("torchvision:googlenet"), input_shape=(3, 64, 64)
    )
    assert kept == ["fc.weight", "fc.bias"]
