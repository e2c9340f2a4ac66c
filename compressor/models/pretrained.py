"""The weights that a library publishes for its own networks: from its cache, or downloaded because the file asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from compressor.errors import InputError
from compressor.models import catalogue, names
from compressor.models.names import Reference


def default_weights(ref: object, input_shape: Sequence[int]) -> Mapping[str, Tensor]:
    """Weights by name: torchvision's `DEFAULT`, or timm's `pretrained`, for inputs of [channels, height, width].

    Raises:
        InputError: the library has none, or they are neither cached nor can be downloaded.
    """
    one = names.reference(ref)
    try:
        state = _of_torchvision(one) if one.library == "torchvision" else _of_timm(one, tuple(input_shape))
    except InputError:
        raise
    except Exception as problem:  # the libraries raise what their network stacks raise
        reason = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        raise InputError(
            f"model {one}",
            f"its default weights are not in the cache and cannot be fetched ({reason})",
            "go online once, or write `weights: PATH` with a file that you have",
        ) from problem
    return state


def _of_torchvision(one: Reference) -> Mapping[str, Any]:
    import torchvision

    weights = torchvision.models.get_model_weights(one.bare)
    if not list(weights):
        raise _none(one)
    state: Mapping[str, Any] = weights.DEFAULT.get_state_dict(progress=False, check_hash=True)
    return state


def _of_timm(one: Reference, input_shape: tuple[int, ...]) -> Mapping[str, Any]:
    import timm

    config = timm.get_pretrained_cfg(one.bare)
    if config is None or not config.has_weights:
        raise _none(one)
    options = catalogue.timm_options(one, input_shape)
    state: Mapping[str, Any] = timm.create_model(one.bare, pretrained=True, **options).state_dict()
    return state


def _none(one: Reference) -> InputError:
    return InputError(
        f"model {one}", f"{one.library} publishes no weights for it", "write `weights: none` or `weights: PATH`"
    )
