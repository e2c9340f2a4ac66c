"""The own networks: their shapes, their shortcuts, their cost, against numbers that others published."""

import pytest
import torch
from torch import nn

from compressor.errors import InputError
from compressor.models import catalogue, cost, names
from compressor.models.small_resnets import Block


def parameters(ref: object, input_shape: tuple[int, int, int] = (3, 32, 32)) -> int:
    return cost.count(catalogue.build(ref, outputs=10, input_shape=input_shape), input_shape).params


def test_the_family_has_the_sizes_of_the_paper() -> None:
    # He et al., table 6: 0.27, 0.46, 0.66, 0.85 and 1.7 million.
    published = {
        "resnet20": 269_722,
        "resnet32": 464_154,
        "resnet44": 658_586,
        "resnet56": 853_018,
        "resnet110": 1_727_962,
    }
    assert {name: parameters(name) for name in published} == published


def test_mlperf_tiny_has_its_published_size_and_work() -> None:
    # Keras counts 78,666: there each of the 7 convolutions before a norm has a bias (240 in all), and norms have 4
    # numbers a channel, of which 2 are not trained: 78,666 - 240 - 480.
    model = catalogue.build("mlperf_resnet8", outputs=10, input_shape=(3, 32, 32))
    assert cost.count(model, (3, 32, 32)) == cost.Cost(macs=12_501_632, params=77_946)
    large = catalogue.build("mlperf_resnet8_large", outputs=10, input_shape=(3, 32, 32))
    assert [large.conv1.out_channels, large.linear.in_features] == [26, 104]


def test_option_a_takes_every_second_pixel_and_puts_zeros_around() -> None:
    block = Block(2, 4, 2, "pad").eval()
    nn.init.zeros_(block.bn2.weight)
    inputs = torch.arange(1.0, 33.0).reshape(1, 2, 4, 4)
    made = block(inputs)
    assert made.shape == (1, 4, 2, 2)
    assert made[0, 0].tolist() == made[0, 3].tolist() == [[0, 0], [0, 0]]
    assert made[0, 1].tolist() == [[1, 3], [9, 11]]
    assert made[0, 2].tolist() == [[17, 19], [25, 27]]


def test_pads_follow_the_real_widths() -> None:
    block = Block(2, 5, 2, "pad")
    assert block.pads() == (1, 2)
    block.pad = (3, 0)
    assert block.pads() == (3, 0)
    block.conv2 = nn.Conv2d(5, 4, 3, padding=1, bias=False)  # narrower than `pad` knows
    assert block.pads() == (1, 1)


@pytest.mark.parametrize("ref", ["resnet8", {"name": "mlperf_resnet8", "widths": [4, 8, 8]}])
@pytest.mark.parametrize("input_shape", [(1, 8, 8), (3, 28, 32), (2, 4, 4)])
def test_any_reasonable_input_goes_through(ref: object, input_shape: tuple[int, int, int]) -> None:
    model = catalogue.build(ref, outputs=7, input_shape=input_shape).eval()
    assert model(torch.zeros(3, *input_shape)).shape == (3, 7)


def test_an_input_that_collapses_is_refused() -> None:
    with pytest.raises(InputError, match="3x3x8 collapses to nothing"):
        catalogue.build("resnet8", outputs=10, input_shape=(3, 3, 8))


def test_seeds_decide_the_weights_and_the_global_stream_is_left_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, again, other = (
        catalogue.build("resnet8", outputs=10, input_shape=(1, 8, 8), seed=seed).conv1.weight for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_names_are_checked_without_torch() -> None:
    assert names.mistake("resnet20") is None
    assert names.mistake("timm:anything") is None
    assert names.mistake({"factory": "mine:make"}) is None
    assert names.mistake("resnt56") == ("'resnt56' is no network of the catalogue", "did you mean 'resnet56'?")
    assert "names no library" in (names.mistake("tim:resnet18") or ("", ""))[0]
    assert "names no library" in (names.mistake("timm:") or ("", ""))[0]
    assert "2 widths" in (names.mistake({"name": "resnet8", "widths": [4, 4]}) or ("", ""))[0]
    assert "fall" in (names.mistake({"name": "resnet8", "widths": [8, 4, 8]}) or ("", ""))[0]
    assert names.mistake({"name": "mlperf_resnet8", "widths": [8, 4, 8]}) is None
    assert "own networks take widths" in (names.mistake({"name": "timm:vit", "widths": [8, 4, 8]}) or ("", ""))[1]


def test_references_come_back_from_json() -> None:
    for ref in ("resnet8", {"name": "mlperf_resnet8", "widths": [4, 8, 8]}, {"factory": "a.b:c", "args": {"n": 1}}):
        assert names.reference(ref).json() == ref
        assert names.reference(names.reference(ref)) == names.reference(ref)
    assert names.declares("timm:resnet18")
    assert names.declares("torchvision:resnet18", "weights.pth")
    assert not names.declares("timm:resnet18", "none")
    assert not names.declares("resnet8")
