"""Rounding while learning: by hand, as the written graph rounds, and gone without a trace afterwards."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from compressor.quantization import fake_quant, ptq
from compressor.quantization.fake_quant import RoundedInput, round_weight
from tests.onnx_graph.networks import net


@pytest.mark.parametrize(("bits", "steps"), [(7, 64), (8, 127)])
def test_weights_by_hand_each_channel_with_its_own_step(bits: int, steps: int) -> None:
    weight = torch.tensor([[1.0, 0.3, -0.02], [-200.0, 100.0, 0.0]])
    wanted = torch.tensor([[1.0, round(0.3 * steps) / steps, round(-0.02 * steps) / steps], [-200, 100, 0]])
    wanted[1, 1] = round(100 / 200 * steps) * 200 / steps
    assert torch.allclose(round_weight(weight, bits), wanted, rtol=1e-6)


def test_a_channel_of_zeros_stays_zero() -> None:
    assert torch.equal(round_weight(torch.zeros(2, 3, 1, 1), 7), torch.zeros(2, 3, 1, 1))


def test_the_gradient_passes_through_the_rounding() -> None:
    weight = torch.tensor([[1.0, 0.3]], requires_grad=True)
    (round_weight(weight, 7) * torch.tensor([[2.0, 5.0]])).sum().backward()
    assert torch.equal(weight.grad, torch.tensor([[2.0, 5.0]]))


def test_the_written_graph_holds_the_very_weights_that_training_saw(
    core: Path, feed: Callable[[int], list[np.ndarray]], tmp_path: Path
) -> None:
    from compressor.quantization import folding

    model, _ = folding.fold(net(), (torch.zeros(2, 3, 12, 12),))
    ptq.quantize(core, tmp_path / "int8.onnx", feed)
    held = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(tmp_path / "int8.onnx").graph.initializer
    }
    for name in ("stem.0", "depthwise", "grouped", "narrow", "head"):
        scale = held[f"{name}.weight_scale"]
        weight = model.get_submodule(name).weight
        values = held[f"{name}.weight_quantized"] * scale.reshape(-1, *[1] * (weight.dim() - 1))
        assert np.allclose(values, round_weight(weight, 7).detach().numpy(), atol=1e-6), name


def test_inputs_follow_the_data_then_stand_still() -> None:
    rounding = RoundedInput(freeze_after=2).train()
    assert torch.equal(rounding(torch.tensor([-1.0, 4.1])), rounding.eval()(torch.tensor([-1.0, 4.1])))
    assert (float(rounding.low), float(rounding.high)) == pytest.approx((-1, 4.1))
    rounding.train()(torch.tensor([0.0, 14.1]))
    assert (float(rounding.low), float(rounding.high)) == pytest.approx((-0.99, 4.2))
    rounding(torch.tensor([-100.0, 100.0]))
    assert (float(rounding.low), float(rounding.high)) == pytest.approx((-0.99, 4.2))


def test_inputs_are_rounded_to_255_steps_with_zero_among_them_and_clipped() -> None:
    rounding = RoundedInput(freeze_after=1).train()
    rounding(torch.tensor([-0.5, 2.05]))
    rounding.eval()
    found = rounding(torch.tensor([0.0, 0.0131, 9.0, -9.0]))
    assert torch.allclose(found, torch.tensor([0.0, 0.01, 2.05, -0.5]), atol=1e-6)


def test_what_only_looks_changes_no_range() -> None:
    rounding = RoundedInput(freeze_after=5).eval()
    values = torch.tensor([0.1, 0.25])
    assert torch.equal(rounding(values), values)
    assert int(rounding.seen) == 0


def test_all_layers_round_and_afterwards_the_network_is_the_float_one_again() -> None:
    model = net()
    before = copy.deepcopy(model.state_dict())
    samples = torch.randn(4, 3, 12, 12, generator=torch.Generator().manual_seed(2))
    wanted = model(samples)
    fake_quant.attach(model, 7, freeze_after=1)
    assert sum(isinstance(module, RoundedInput) for module in model.modules()) == 5
    model.train()(samples)
    assert not torch.allclose(model.eval()(samples), wanted)
    fake_quant.detach(model)
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(
        torch.equal(after[name], before[name]) for name in before if "running" not in name and "num_" not in name
    )
    assert not any(isinstance(module, RoundedInput) for module in model.modules())
    assert not any(module._forward_pre_hooks for module in model.modules() if isinstance(module, nn.Conv2d))


@pytest.mark.parametrize(("values", "low", "high"), [([1.5, 2.0], 0.0, 2.0), ([-1.5, -2.0], -2.0, 0.0), ([0.0], 0, 0)])
def test_a_range_always_holds_zero(values: list[float], low: float, high: float) -> None:
    rounding = RoundedInput(freeze_after=1).train()
    found = rounding(torch.tensor(values))
    assert (rounding.low.item(), rounding.high.item()) == (low, high)
    assert torch.allclose(found, torch.tensor(values), atol=2 / 255)


@pytest.mark.parametrize(("freeze_after", "seen"), [(0, 1), (1, 1), (2, 2), (5, 3)])
def test_one_batch_at_least_is_followed(freeze_after: int, seen: int) -> None:
    """The first batch gives the range, each later one moves it by a hundredth of the way: 1, then 1.01, then 1.0199."""
    rounding = RoundedInput(freeze_after).train()
    for high in (1.0, 2.0, 2.0):
        rounding(torch.tensor([high]))
    assert int(rounding.seen) == seen
    assert rounding.high.item() == pytest.approx([1.0, 1.01, 1.0199][seen - 1])


def test_levels_by_hand() -> None:
    """From -1 to 4.1 a level is 1/50 and zero lies at the 50th: 0.029 is nearer to the first than to the second."""
    rounding = RoundedInput(freeze_after=1).train()
    rounding(torch.tensor([-1.0, 4.1]))
    found = rounding.eval()(torch.tensor([0.029, 0.031, -0.011, -7.0, 7.0, 0.0]))
    assert torch.allclose(found, torch.tensor([0.02, 0.04, -0.02, -1.0, 4.1, 0.0]), atol=1e-6)


def test_only_the_input_of_a_layer_is_rounded_and_layers_of_every_dimension_are() -> None:
    model = nn.Sequential(nn.Conv1d(1, 1, 1), nn.Conv3d(1, 1, 1), nn.Linear(1, 1), nn.BatchNorm1d(1))
    fake_quant.attach(model, 8, 1)
    assert [hasattr(layer, "input_rounding") for layer in model] == [True, True, True, False]
    fake_quant.detach(model)
    assert [hasattr(layer, "input_rounding") for layer in model] == [False] * 4


def test_a_weight_too_small_for_any_step_rounds_to_zero_and_keeps_its_gradient() -> None:
    weight = torch.full((1, 2), 1e-14, requires_grad=True)
    rounded = round_weight(weight, 8)
    rounded.sum().backward()
    assert (rounded.tolist(), weight.grad.tolist()) == ([[0.0, 0.0]], [[1.0, 1.0]])
