"""Networks in folders: the same network comes back, pruned or not."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from compressor.errors import InputError, IntegrityError
from compressor.models import catalogue, network
from tests.toy import TOY_MODEL, toy_model


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    model = toy_model(seed=3).eval()
    network.save(tmp_path, model, TOY_MODEL, 3, (1, 8, 8))
    inputs = torch.randn(2, 1, 8, 8)
    again = network.read(tmp_path)
    assert not again.training
    assert torch.equal(again(inputs), model(inputs))
    described = network.describe(tmp_path)
    assert described == {"model": TOY_MODEL, "outputs": 3, "input_shape": [1, 8, 8], "shapes": None}


def test_bytes_do_not_depend_on_the_memory_format(tmp_path: Path) -> None:
    model = toy_model()
    for folder, one in (("a", model), ("b", model.to(memory_format=torch.channels_last))):
        (tmp_path / folder).mkdir()
        network.save(tmp_path / folder, one, TOY_MODEL, 3, (1, 8, 8))
    for name in ("network.json", "weights.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def narrower() -> nn.Module:
    """A ResNet-8 whose streams are cut by hand: 16-32-64 to 12-20-40, the pads uneven."""
    model = catalogue.build("resnet8", outputs=3, input_shape=(1, 8, 8))
    wanted = network.shapes(model)
    widths = {"layer1": (12, 10), "layer2": (20, 24), "layer3": (40, 30)}
    before = 12
    wanted["conv1"]["out"] = wanted["bn1"]["out"] = 12
    for layer, (stream, inside) in widths.items():
        wanted[f"{layer}.0.conv1"] |= {"in": before, "out": inside}
        wanted[f"{layer}.0.bn1"]["out"] = inside
        wanted[f"{layer}.0.conv2"] |= {"in": inside, "out": stream}
        wanted[f"{layer}.0.bn2"]["out"] = stream
        wanted[f"{layer}.0"]["pad"] = [1, stream - before - 1] if layer != "layer1" else [0, 0]
        before = stream
    wanted["linear"]["in"] = 40
    return network.with_shapes(model, wanted)


def test_a_pruned_network_is_replayed_from_its_shapes(tmp_path: Path) -> None:
    model = narrower().eval()
    network.save(tmp_path, model, "resnet8", 3, (1, 8, 8), network.shapes(model))
    again = network.read(tmp_path)
    inputs = torch.randn(2, 1, 8, 8)
    assert torch.equal(again(inputs), model(inputs))
    assert again.layer2[0].pads() == (1, 7)
    assert again.layer3[0].conv2.out_channels == again.layer3[0].bn2.num_features == 40
    assert network.shapes(again) == network.shapes(model)


def test_shapes_of_foreign_layers_are_kept_too() -> None:
    class Scaled(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.gamma = nn.Parameter(torch.ones(width))
            self.depthwise = nn.Conv2d(width, width, 3, groups=width)
            self.up = nn.ConvTranspose2d(width, 2, 2)
            self.group_norm = nn.GroupNorm(2, width)
            self.layer_norm = nn.LayerNorm(width)
            self.prelu = nn.PReLU(width)

    small, large = Scaled(4), Scaled(8)
    wanted = network.shapes(small)
    assert wanted[""] == {"tensors": {"gamma": [4]}}
    assert wanted["depthwise"] == {"in": 4, "out": 4, "groups": 4}
    network.with_shapes(large, json.loads(json.dumps(wanted)))
    assert network.shapes(large) == wanted
    large.load_state_dict(small.state_dict())
    assert large.depthwise(torch.zeros(1, 4, 3, 3)).shape == (1, 4, 1, 1)
    assert large.layer_norm(torch.zeros(2, 4)).shape == (2, 4)


def test_shapes_that_do_not_belong_are_refused() -> None:
    with pytest.raises(InputError, match="no part 'layer9'"):
        network.with_shapes(toy_model(), {"layer9": {"in": 1, "out": 1, "groups": 1}})
    with pytest.raises(InputError, match=r"linear\.weight of \[3, 8\] cannot be cut to \[3, 9\]"):
        network.with_shapes(toy_model(), {"linear": {"in": 9, "out": 3}})


def test_files_that_do_not_belong_together_are_an_integrity_error(tmp_path: Path) -> None:
    network.save(tmp_path, toy_model(), TOY_MODEL, 3, (1, 8, 8))
    described = json.loads((tmp_path / "network.json").read_text())
    (tmp_path / "network.json").write_text(json.dumps({**described, "outputs": 4}))
    with pytest.raises(IntegrityError, match="do not fit the network"):
        network.read(tmp_path)
    (tmp_path / "network.json").write_text(json.dumps(described))
    whole = (tmp_path / "weights.safetensors").read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:3], b""):
        (tmp_path / "weights.safetensors").write_bytes(damaged)
        with pytest.raises(IntegrityError, match=r"weights\.safetensors: they do not fit the network"):
            network.read(tmp_path)
    (tmp_path / "network.json").write_text("{")
    with pytest.raises(IntegrityError, match="cannot be read"):
        network.read(tmp_path)
