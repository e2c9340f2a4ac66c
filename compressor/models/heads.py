"""Which layer of a network answers: found by its use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from compressor.models import modes
from compressor.problem.signature import TensorSpec


def names(model: nn.Module, input_shape: Sequence[int] | None = None) -> list[str]:
    """Names of the tensors of the layer that answers: timm's classifier, else the last dense layer or convolution that
    a sample of [channels, height, width] goes through, else the last one in the network's own order."""
    declared = (getattr(model, "pretrained_cfg", None) or {}).get("classifier")
    places = [declared] if isinstance(declared, str) else list(declared or ())
    layers = dict(model.named_modules())
    if not places or not all(place in layers for place in places):
        places = [name for name, layer in layers.items() if isinstance(layer, nn.Linear | nn.Conv2d)][-1:]
        if input_shape is not None:
            places = _last_used(model, input_shape) or places
    return [f"{place}.{name}" if place else name for place in places for name in layers[place].state_dict()]


def _last_used(model: nn.Module, input_shape: Sequence[int]) -> list[str]:
    used: list[str] = []
    handles = []

    def note(name: str) -> Any:
        return lambda *_: used.append(name)

    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            handles.append(layer.register_forward_hook(note(name)))
    try:
        with modes.evaluating(model):
            model(*modes.zeros(model, (TensorSpec("input", "float32", tuple(input_shape)),)).values())
    except Exception:  # whatever the network's own code raises is told where the network is checked
        return []
    finally:
        for handle in handles:
            handle.remove()
    return used[-1:]
