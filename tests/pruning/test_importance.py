"""Importance by hand."""

import math

import pytest
import torch
from torch import nn

from compressor.pruning import importance
from compressor.pruning.channels import Channels, Family

WEIGHT = torch.tensor([[[[1.0, -2.0]], [[2.0, 0.0]]], [[[0.0, 0.0]], [[-3.0, 4.0]]]])  # [out 2, in 2, 1, 2]


def test_norms_by_hand() -> None:
    assert importance.by_norm(WEIGHT, 0, 1).tolist() == [5.0, 7.0]
    assert importance.by_norm(WEIGHT, 1, 1).tolist() == [3.0, 9.0]
    assert importance.by_norm(WEIGHT, 0, 2).tolist() == [3.0, 5.0]
    assert importance.by_norm(WEIGHT, 1, 2).tolist() == pytest.approx([math.sqrt(5), math.sqrt(29)])


def test_taylor_by_hand() -> None:
    gradient = torch.tensor([[[[1.0, 1.0]], [[0.5, 9.0]]], [[[7.0, 7.0]], [[1.0, 1.0]]]])
    assert importance.by_taylor(WEIGHT, gradient, 0).tolist() == [4.0, 7.0]  # 1 + 2 + 1 + 0, 0 + 0 + 3 + 4
    assert importance.by_taylor(WEIGHT, gradient, 1).tolist() == [3.0, 8.0]  # 1 + 2 + 0 + 0, 1 + 0 + 3 + 4


def tiny() -> nn.Sequential:
    model = nn.Sequential(nn.Conv2d(2, 2, (1, 2), bias=False), nn.BatchNorm2d(2), nn.Conv2d(2, 3, 1))
    with torch.no_grad():
        model[0].weight.copy_(WEIGHT)
        model[1].weight.copy_(torch.tensor([-3.0, 1.0]))
    return model


def test_axes_are_scaled_to_a_mean_of_one() -> None:
    axes = importance.of_axes(tiny(), "l1")
    assert set(axes) == {("0", "in"), ("0", "out"), ("2", "in"), ("2", "out")}
    assert axes["0", "out"].tolist() == pytest.approx([5 / 6, 7 / 6])
    assert axes["2", "in"].mean() == pytest.approx(1)


def test_bn_reads_the_size_of_scales() -> None:
    axes = importance.of_axes(tiny(), "bn")
    assert {axis: values.tolist() for axis, values in axes.items()} == {("1", "out"): [1.5, 0.5]}


def test_units_have_the_mean_of_their_axes() -> None:
    family = Family({("a", "out"): 1, ("b", "in"): 2}, ({("a", "out"): (1,), ("b", "in"): (0, 1)},))
    blind = Family({("c", "out"): 1}, ({("c", "out"): (0,)}, {("c", "out"): (1,)}))
    axes = {("a", "out"): torch.tensor([9.0, 3.0]), ("b", "in"): torch.tensor([2.0, 4.0])}
    scores, unmeasured = importance.of_units(Channels((family, blind), {}), axes)  # type: ignore[arg-type]
    assert scores == [[3.0], [1.0, 1.0]]
    assert unmeasured == 1


def test_sizes_of_gradients_are_summed_and_leave_no_trace() -> None:
    model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.BatchNorm1d(1)).eval()
    model[1].running_var.fill_(1 - 1e-5)
    inputs = torch.tensor([[1.0, 2.0], [-3.0, 4.0]])
    found = importance.gradients(model, (model(row[None]).sum() for row in inputs))
    assert found["0"].tolist() == [pytest.approx([4.0, 6.0], rel=1e-4)]
    assert model[0].weight.grad is None


def test_a_transposed_convolution_has_its_outputs_second() -> None:
    """Weight [in 2, out 3, 1]: sums over inputs 1 + 4, 2 + 5, 3 + 6, mean 7; over outputs 6 and 15, mean 21/2."""
    model = nn.Sequential(nn.ConvTranspose1d(2, 3, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[[1.0], [-2.0], [3.0]], [[4.0], [5.0], [-6.0]]]))
    axes = importance.of_axes(model, "l1")
    assert axes["0", "out"].tolist() == pytest.approx([5 / 7, 1, 9 / 7])
    assert axes["0", "in"].tolist() == pytest.approx([12 / 21, 30 / 21])


def test_l2_and_taylor_of_axes_by_hand() -> None:
    """Outputs of length 5 and 10; |weight · gradient| is 3 + 0 and 6 + 8 there, 9 and 8 for the inputs."""
    model = nn.Sequential(nn.Linear(2, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[3.0, -4.0], [6.0, 8.0]]))
    assert importance.of_axes(model, "l2")["0", "out"].tolist() == pytest.approx([2 / 3, 4 / 3])
    gradient = {"0": torch.tensor([[-1.0, 0.0], [1.0, 1.0]])}
    axes = importance.of_axes(model, "taylor", gradient)
    assert axes["0", "out"].tolist() == pytest.approx([3 / 8.5, 14 / 8.5])
    assert axes["0", "in"].tolist() == pytest.approx([9 / 8.5, 8 / 8.5])
    with pytest.raises(ValueError, match="gradients"):
        importance.of_axes(model, "taylor")


def test_the_inputs_of_a_grouped_convolution_are_its_outputs_and_count_once() -> None:
    assert set(importance.of_axes(nn.Sequential(nn.Conv2d(4, 4, 1, groups=2)), "l1")) == {("0", "out")}
    plain = nn.Sequential(nn.BatchNorm2d(2, affine=False))
    assert importance.of_axes(plain, "bn") == {}


def test_channels_of_zeros_matter_alike_and_of_little_in_proportion() -> None:
    model = nn.Sequential(nn.Linear(1, 2))
    nn.init.zeros_(model[0].weight)
    assert importance.of_axes(model, "l1")["0", "out"].tolist() == [1.0, 1.0]
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[0.25], [0.75]]))  # a mean of 1/2, below one
    assert importance.of_axes(model, "l1")["0", "out"].tolist() == [0.5, 1.5]


def test_a_layer_that_a_loss_does_not_reach_has_no_gradient() -> None:
    model = nn.ModuleDict({"used": nn.Linear(1, 1, bias=False), "idle": nn.Linear(1, 1)})
    found = importance.gradients(model, [model["used"](torch.tensor([[3.0]])).sum()])
    assert {name: values.tolist() for name, values in found.items()} == {"used": [[3.0]], "idle": [[0.0]]}


def test_means_over_places_and_over_axes_by_hand() -> None:
    """Places 2 and 6 of one axis are 4, place 1 of the other 9: (4 + 9) / 2."""
    family = Family({("a", "out"): 2, ("b", "in"): 1}, ({("a", "out"): (0, 2), ("b", "in"): (1,)},))
    axes = {("a", "out"): torch.tensor([2.0, 5.0, 6.0]), ("b", "in"): torch.tensor([1.0, 9.0])}
    scores, unmeasured = importance.of_units(Channels((family,), {}), axes)  # type: ignore[arg-type]
    assert (scores, unmeasured) == ([[6.5]], 0)
