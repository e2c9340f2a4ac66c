"""The forms that torchvision and timm publish weights in, which their own code turns into today's names."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from compressor.models.names import Reference

State = Mapping[str, Any]


def today(one: Reference, model: nn.Module, state: State) -> State | None:
    """The weights under the names and in the shapes of today's network, by the library's own filter; None where it has
    no filter for this network, or the filter cannot take these weights."""
    try:
        if one.library == "timm":
            filtered = _by_timm(one, model, state)
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

    def load_state_dict(self, state: State, *_: Any, **__: Any) -> None:
        """Keep the weights."""
        self.state = state


class _Given:
    """Stands in for one of torchvision's published files."""

    def __init__(self, state: State) -> None:
        self._state = state

    def get_state_dict(self, *_: Any, **__: Any) -> dict[str, Any]:
        """The weights that were given."""
        return dict(self._state)


def _by_torchvision(model: nn.Module, state: State) -> State | None:
    """Some of its modules have a `_load_state_dict(model, weights, progress)` that renames on the way."""
    load = getattr(sys.modules[type(model).__module__], "_load_state_dict", None)
    if load is None:
        return None
    recorder = _Recorder()
    load(recorder, _Given(state), False)
    return recorder.state


def _by_timm(one: Reference, model: nn.Module, state: State) -> State | None:
    """Each architecture names its filter where it is built with pretrained weights, and nowhere else."""
    import timm
    from timm.models import _builder

    found: list[Callable[..., State] | None] = []
    original = _builder.load_pretrained
    _builder.load_pretrained = lambda *_, **given: found.append(given.get("filter_fn"))
    try:
        timm.create_model(one.bare, pretrained=True)
    finally:
        _builder.load_pretrained = original
    if not found or found[0] is None:
        return None
    try:
        return found[0](dict(state), model)
    except TypeError:
        return found[0](dict(state))
