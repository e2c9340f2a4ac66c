"""The forms that torchvision and timm publish weights in, which their own code turns into today's names."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from compressor.models.names import Reference

State = Mapping[str, Any]


def today(one: Reference, model: nn.Module, state: State, channels: int | None = None) -> State | None:
    """The weights under the names and in the shapes of today's network, by the library's own loading; None where it has
    none for this network, or cannot take these weights. channels: of the pictures that the network is built for."""
    try:
        if one.library == "timm":
            filtered = _by_timm(one, model, state, channels)
        elif one.library == "torchvision":
            filtered = _by_torchvision(model, state)
        else:
            return None
    except Exception:  # the filters expect their authors' files and fail in any way on others
        return None
    return filtered


class _Recorder:
    """Stands in for a network: remembers what would be loaded into it."""

    state: State | None = None

    def load_state_dict(self, state: State, *_: Any, **__: Any) -> Any:
        """Keep the weights; nothing is missing and nothing unexpected."""
        self.state = state
        return torch.nn.modules.module._IncompatibleKeys([], [])


class _Given:
    """Stands in for one of torchvision's published files."""

    def __init__(self, state: State) -> None:
        self._state = state

    def get_state_dict(self, *_: Any, **__: Any) -> dict[str, Any]:
        """The weights that were given."""
        return dict(self._state)


def _by_torchvision(model: nn.Module, state: State) -> State | None:
    """Some of its modules have a `_load_state_dict(model, weights, progress)` that renames on the way, and one a
    function that resizes what transformers know of places."""
    module = sys.modules[type(model).__module__]
    place = state.get("encoder.pos_embedding")
    if place is not None and hasattr(module, "interpolate_embeddings"):
        sized: Any = model
        if place.shape != sized.encoder.pos_embedding.shape:
            filtered: State = module.interpolate_embeddings(sized.image_size, sized.patch_size, OrderedDict(state))
            return filtered
    load = getattr(module, "_load_state_dict", None)
    if load is None:
        return None
    recorder = _Recorder()
    load(recorder, _Given(state), False)
    return recorder.state


def _by_timm(one: Reference, model: nn.Module, state: State, channels: int | None) -> State | None:
    """Each architecture names its filter where it is built with pretrained weights, and nowhere else; the rest of the
    loading fits the first convolution to the pictures' channels."""
    from timm.models import _builder

    asked = _asked(one)
    if asked is None:
        return None
    config, recorder = asked["pretrained_cfg"], _Recorder()
    config = {**(config.to_dict() if hasattr(config, "to_dict") else config), "state_dict": dict(state)}
    config["label_offset"] = _offset(config, state)
    usual = (config.get("input_size") or (3,))[0]
    model.load_state_dict = recorder.load_state_dict  # type: ignore[method-assign,assignment]
    try:
        _builder.load_pretrained(
            model, pretrained_cfg=config, num_classes=config["num_classes"], in_chans=channels or usual,
            filter_fn=asked.get("filter_fn"), strict=False,
        )  # fmt: skip
    finally:
        del model.load_state_dict
    return recorder.state


def _asked(one: Reference) -> dict[str, Any] | None:
    """What timm's loading is called with where the network is built with pretrained weights."""
    import timm
    from timm.models import _builder

    found: list[dict[str, Any]] = []
    original = _builder.load_pretrained
    _builder.load_pretrained = lambda *_, **given: found.append(given)
    try:
        with torch.device("meta"):
            timm.create_model(one.bare, pretrained=True)
    except Exception:  # some networks cannot be made without their numbers
        if not found:
            timm.create_model(one.bare, pretrained=True)
    finally:
        _builder.load_pretrained = original
    return found[0] if found else None


def _offset(config: Mapping[str, Any], state: State) -> int:
    """Classes before the task's own in the last layer of some published files: only where the file has them."""
    names = config.get("classifier") or ()
    first = (names,) if isinstance(names, str) else tuple(names)
    offset = int(config.get("label_offset") or 0)
    head = state.get(f"{first[0]}.weight") if first else None
    return offset if head is not None and len(head) == config["num_classes"] + offset else 0
