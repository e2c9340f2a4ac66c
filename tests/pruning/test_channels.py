"""Which channels go together, and that removing them removes nothing else."""

import random
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compressor.errors import InputError
from compressor.models import cost, network
from compressor.models.small_resnets import Block, SmallResNet
from compressor.pruning import channels, surgery
from tests.pruning.networks import FAMILIES, INPUT_SHAPE, build


def some(found: channels.Channels, share: float, seed: int = 1) -> surgery.Removed:
    """Random units: about the share of each family stays."""
    made = random.Random(seed)
    scores = [[made.random() for _ in family.units] for family in found.families]
    kept = [max(1, round(len(family.units) * share)) for family in found.families]
    return surgery.chosen(found, scores, kept)


def zeroed(model: nn.Module, removed: surgery.Removed) -> nn.Module:
    """The model with gamma = beta = 0 for removed channels of every norm, and rows of zeros where no norm follows."""
    state = {name: value.clone() for name, value in model.state_dict().items()}
    for (name, side), places in removed.items():
        for tensor in ("weight", "bias"):
            if side == "out" and f"{name}.{tensor}" in state:
                state[f"{name}.{tensor}"][list(places)] = 0
    model.load_state_dict(state)
    return model


@pytest.mark.parametrize("name", FAMILIES)
def test_a_pruned_network_computes_what_the_zeroed_one_does(name: str) -> None:
    model = build(name).double()
    removed = some(channels.find(model.float(), INPUT_SHAPE), 0.6)
    pruned = surgery.remove(model, removed)
    inputs = torch.randn(4, *INPUT_SHAPE, dtype=torch.float64)
    before, after = cost.count(model, INPUT_SHAPE), cost.count(pruned, INPUT_SHAPE)
    assert after.params < 0.7 * before.params
    assert after.macs < 0.7 * before.macs
    with torch.no_grad():
        got, whole = pruned.double()(inputs), model.double()(inputs)
        # A sigmoid makes 0.5 of the zeros: there the consumers' weights have to be masked as well.
        masked = surgery.masked(model, removed) if name == "flattened" else zeroed(model, removed)
        expected = masked(inputs)
    torch.testing.assert_close(got, expected, rtol=1e-8, atol=1e-10)
    assert not torch.allclose(got, whole, rtol=1e-3)  # the test would see nothing if the removed channels were idle


@pytest.mark.parametrize("name", ["option A, three blocks", "option A, odd widths", "mobilenet_v3_small"])
def test_pruning_twice_and_travelling_with_the_shapes(name: str, tmp_path: Path) -> None:
    once = build(name)
    for seed in (1, 2):
        removed = some(channels.find(once, INPUT_SHAPE), 0.7, seed)
        pruned = surgery.remove(once, removed)
        surgery.check(once, pruned, removed, INPUT_SHAPE, "step")
        once = pruned
    again = network.with_shapes(FAMILIES[name](), network.shapes(once))
    again.load_state_dict(once.state_dict())
    inputs = torch.randn(2, *INPUT_SHAPE)
    with torch.no_grad():
        assert torch.equal(again.eval()(inputs), once(inputs))


def test_streams_of_option_a_are_tied_through_their_padding() -> None:
    model = SmallResNet(1, (4, 8, 16), "pad", 3, 5)
    streams = [("layer1.0.conv2", "out"), ("layer2.0.conv2", "out"), ("layer3.0.conv2", "out")]
    units = [
        tuple(unit.get(axis, (None,))[0] for axis in streams)  # type: ignore[call-overload]
        for family in channels.find(model, (3, 16, 16)).families
        if streams[2] in family.touches
        for unit in family.units
    ]
    stage1 = [(place, place + 2, place + 6) for place in range(4)]  # pads: 2 before stage 2, 4 before stage 3
    stage2 = [(None, place, place + 4) for place in (0, 1, 6, 7)]
    stage3 = [(None, None, place) for place in (0, 1, 2, 3, 12, 13, 14, 15)]
    assert sorted(units, key=str) == sorted(stage1 + stage2 + stage3, key=str)


def test_paddings_follow_the_channels_that_stay() -> None:
    model = SmallResNet(1, (4, 8, 16), "pad", 3, 5)
    found = channels.find(model, (3, 16, 16))
    removed: dict[channels.Axis, tuple[int, ...]] = {}
    for family in found.families:  # remove channel 0 of stage 2's stream, which is 4 of stage 3's
        for unit in family.units:
            if unit.get(("layer2.0.conv2", "out")) == (0,):
                removed = dict(unit)
    assert removed["layer3.0.conv2", "out"] == (4,)
    pruned = surgery.remove(model, removed)
    assert [block.pads() for block in pruned.modules() if isinstance(block, Block)] == [(0, 0), (1, 2), (4, 4)]


@pytest.mark.parametrize("name", ["mlperf", "mobilenet_v3_small", "flattened"])
def test_outputs_and_inputs_of_the_network_stay(name: str) -> None:
    model = build(name)
    pruned = surgery.remove(model, some(channels.find(model, INPUT_SHAPE), 0.5))
    assert pruned(torch.zeros(2, *INPUT_SHAPE)).shape == (2, 5)


def test_every_unit_is_in_one_family_and_every_family_is_alike() -> None:
    found = channels.find(build("tf_efficientnet_lite0"), INPUT_SHAPE)
    seen: set[tuple[channels.Axis, int]] = set()
    for family in found.families:
        for unit in family.units:
            assert {axis: len(places) for axis, places in unit.items()} == family.touches
            members = {(axis, place) for axis, places in unit.items() for place in places}
            assert not members & seen
            seen |= members
    assert all(place < found.sizes[axis] for axis, place in seen)


class Grouped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.grouped = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=4)
        self.free, self.last = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 5, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.last(self.free(self.grouped(self.first(inputs)))).mean((2, 3))


def test_channels_of_grouped_convolutions_stay() -> None:
    (family,) = channels.find(Grouped(), (3, 8, 8)).families
    assert set(family.touches) == {("free", "out"), ("last", "in")}


class Padded(nn.Module):
    """Foreign code with an option-A shortcut whose padding is a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.wide, self.answer = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 16, 1), nn.Linear(16, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        inside = torch.relu(self.first(inputs))
        inside = self.wide(inside) + F.pad(inside, (0, 0, 0, 0, 4, 4))
        return self.answer(inside.mean((2, 3)))


def test_what_passes_a_constant_padding_in_foreign_code_stays() -> None:
    assert channels.find(Padded(), (3, 8, 8)).families == ()


class Fixed(nn.Module):
    """Foreign code that relies on a width."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.middle = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1)
        self.last = nn.Conv2d(8, 5, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        inside = self.middle(self.first(inputs))
        return self.last(inside.reshape(len(inputs), 8, -1, 8)).mean((2, 3))


def test_a_network_that_does_not_run_pruned_is_refused_with_the_module_named() -> None:
    model = Fixed().eval()
    removed: surgery.Removed = {("first", "out"): (0,)}  # its consumer keeps eight inputs
    with pytest.raises(InputError, match=r"^steps\.slim: the network does not run .*: middle fails"):
        surgery.check(model, surgery.remove(model, removed), removed, (3, 8, 8), "steps.slim")


def test_a_removal_that_changes_other_channels_is_refused() -> None:
    model = build("mlperf")
    removed = some(channels.find(model, INPUT_SHAPE), 0.6)
    pruned = surgery.remove(model, removed)
    surgery.check(model, pruned, removed, INPUT_SHAPE, "steps.slim")
    with torch.no_grad():
        pruned.get_parameter("layer2.0.conv1.weight")[0] *= 1.01
    with pytest.raises(InputError, match="cannot be followed"):
        surgery.check(model, pruned, removed, INPUT_SHAPE, "steps.slim")


def test_the_model_given_is_left_alone() -> None:
    model = build("mlperf").train()
    model.conv1.weight.requires_grad_(False)  # type: ignore[operator, union-attr]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    surgery.remove(model, some(channels.find(model, INPUT_SHAPE), 0.5))
    assert model.training
    assert not model.get_parameter("conv1.weight").requires_grad
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("name", FAMILIES)
def test_nothing_is_lost_in_networks_that_can_be_followed(name: str) -> None:
    assert channels.find(build(name), INPUT_SHAPE).lost == ()
