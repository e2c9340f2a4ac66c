"""Re-parametrized layers made plain: weights that are computed from others become the weights that they compute."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm, SpectralNormLoadStateDictPreHook
from torch.nn.utils.weight_norm import WeightNorm

from compressor.errors import InputError


def bake(model: nn.Module) -> list[str]:
    """Compute weight norms, spectral norms, pruning masks and parametrizations into the weights, in place, as they
    are in eval mode; in words what was computed, `weight_norm of 3.weight`.

    Raises:
        InputError: a parametrization whose weight cannot stand alone.
    """
    model.eval()
    found = []
    for name, module in list(model.named_modules()):
        found += [f"{what} of {name + '.' if name else ''}{tensor}" for what, tensor in _bake(module, name)]
    return found


def _bake(module: Any, name: str) -> Iterator[tuple[str, str]]:
    """What is computed into which tensor of one module."""
    for hook in list(module._forward_pre_hooks.values()):
        if isinstance(hook, WeightNorm):
            remove_weight_norm(module, hook.name)
            yield "weight_norm", hook.name
        elif isinstance(hook, SpectralNorm):
            remove_spectral_norm(module, hook.name)
            _forget_loading(module, hook)
            yield "spectral_norm", hook.name
        elif isinstance(hook, prune.BasePruningMethod):
            prune.remove(module, hook._tensor_name)  # type: ignore[no-untyped-call]
            yield "the mask", hook._tensor_name
    for tensor in list(module.parametrizations) if parametrize.is_parametrized(module) else ():
        kinds = ", ".join(type(one).__name__.lstrip("_") for one in module.parametrizations[tensor])
        try:
            parametrize.remove_parametrizations(module, tensor, leave_parametrized=True)
        except (RuntimeError, ValueError) as problem:
            reason = str(problem).splitlines()[0]
            raise InputError(
                f"its part `{name}`",
                f"{tensor} is parametrized by {kinds}, which cannot become plain weights ({reason})",
                "call `torch.nn.utils.parametrize.remove_parametrizations` on it before you return the network",
            ) from problem
        yield kinds, tensor


def _forget_loading(module: Any, norm: SpectralNorm) -> None:
    """Drop the hook that would look for the norm's own tensors in what is loaded; torch leaves it behind."""
    for key, held in list(module._load_state_dict_pre_hooks.items()):
        hook = getattr(held, "hook", held)
        if isinstance(hook, SpectralNormLoadStateDictPreHook) and hook.fn is norm:
            del module._load_state_dict_pre_hooks[key]
