"""What a preprocessing list may say: its steps, their order and their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .preprocess import DEPTHS, INTERPOLATIONS, MODES, NUMERIC, Steps, numeric
from .refused import Unfit

GEOMETRIC = ("resize", "pad", "center_crop", "channels", "bits")


LARGEST_SIDE = 16_384
LARGEST_NUMBER = float(np.finfo(np.float32).max)


def check_preprocess(steps: Steps) -> None:
    """Refuse a list that is not one of ours with a ValueError: `item: what is wrong; what to do`."""
    seen: list[str] = []
    for place, item in enumerate(steps):
        if not isinstance(item, Mapping) or len(item) != 1:
            raise Unfit(f"item {place + 1}: {item!r} is not one `name: value`", "write one name an item")
        ((name, value),) = item.items()
        if name not in GEOMETRIC + NUMERIC:
            known = ", ".join(GEOMETRIC + NUMERIC)
            raise Unfit(f"item {place + 1}: no step is called {name!r}", f"there are {known}")
        if name in GEOMETRIC and any(before in NUMERIC for before in seen):
            raise Unfit(f"{name}: comes after {seen[-1]}", f"put {', '.join(GEOMETRIC)} before scale, mean and std")
        if name == "bits" and seen:
            raise Unfit(f"bits: comes after {seen[-1]}", "put it first")
        if name in ("channels", *NUMERIC) and name in seen:
            raise Unfit(f"{name}: stands there twice", "leave one out")
        if name in NUMERIC and any(NUMERIC.index(before) > NUMERIC.index(name) for before in seen if before in NUMERIC):
            raise Unfit(f"{name}: comes after {seen[-1]}", "the order is scale, mean, std")
        _check_value(name, value)
        seen.append(name)
    _check_lengths({name: value for item in steps for name, value in item.items()})
    _check_numbers(steps)


def _check_value(name: str, value: Any) -> None:
    if name == "resize":
        kinds = [key for key in ("shortest", "longest", "exact") if isinstance(value, Mapping) and key in value]
        extra = set(value) - {*kinds, "interpolation"} if isinstance(value, Mapping) else set()
        if len(kinds) != 1 or extra:
            raise Unfit(f"resize: is {value!r}", "write one of shortest, longest, exact (and interpolation)")
        size = value[kinds[0]]
        if not (_is_size(size) if kinds[0] == "exact" else _is_side(size)):
            raise Unfit(f"resize: {kinds[0]} is {size!r}", f"write {_wanted(kinds[0] == 'exact')}")
        if value.get("interpolation", "bilinear") not in tuple(INTERPOLATIONS):
            known = ", ".join(INTERPOLATIONS)
            raise Unfit(f"resize: interpolation is {value['interpolation']!r}", f"there are {known}")
    elif name == "pad":
        if not isinstance(value, Mapping) or set(value) - {"to", "fill"} or not _is_size(value.get("to")):
            raise Unfit(f"pad: is {value!r}", "write {to: [height, width], fill: 0}")
        fill = value.get("fill", 0)
        if not _is_int(fill) or not 0 <= fill <= 255:
            raise Unfit(f"pad: fill is {fill!r}", "write a whole number from 0 to 255")
    elif name == "center_crop" and not _is_size(value):
        raise Unfit(f"center_crop: is {value!r}", f"write {_wanted(True)}")
    elif name == "bits" and not (_is_int(value) and value in DEPTHS):
        raise Unfit(f"bits: is {value!r:.40}", f"write one of {', '.join(map(str, DEPTHS))}")
    elif name == "channels" and value not in tuple(MODES):
        raise Unfit(f"channels: is {value!r}", "write rgb or gray")
    elif name == "scale" and not (_is_number(value) and value > 0):
        raise Unfit(f"scale: is {value!r:.40}", "write a number above 0, such as 255")
    elif name in ("mean", "std"):
        numbers = isinstance(value, Sequence) and not isinstance(value, str) and all(_is_number(x) for x in value)
        if not numbers or len(value) not in (1, 3):
            raise Unfit(f"{name}: is {value!r}", "write a list of 1 or 3 numbers, one a channel")
        if name == "std" and min(value) <= 0:
            raise Unfit(f"std: is {value!r}", "write numbers above 0")


def _check_lengths(given: Mapping[str, Any]) -> None:
    lengths = {name: len(given[name]) for name in ("mean", "std") if name in given}
    if "channels" in given:
        lengths["channels"] = len(MODES[given["channels"]])
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise Unfit(f"{next(iter(lengths))}: {found} in this list", "give mean and std one number a channel")


def _check_numbers(steps: Steps) -> None:
    """Refuse numbers that make pixels infinite, or black and white the same, once they are float32."""
    given = [item for item in steps if not set(item).isdisjoint(NUMERIC)]
    channels = max([len(value) for item in given for value in item.values() if isinstance(value, Sequence)], default=1)
    pixels = np.array([0, 255], np.uint8)[:, None, None, None].repeat(channels, axis=3)
    for place, item in enumerate(given):
        with np.errstate(all="ignore"):
            black, white = numeric(pixels, given[: place + 1])
        if not np.isfinite([black, white]).all() or (black == white).any():
            ((name, value),) = item.items()
            problem = f"{name}: is {value!r}, with which float32 numbers cannot tell pixels apart"
            raise Unfit(problem, "write numbers nearer to 1")


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return (_is_int(value) or isinstance(value, float)) and bool(abs(value) <= LARGEST_NUMBER)


def _is_side(value: Any) -> bool:
    return _is_int(value) and 1 <= value <= LARGEST_SIDE


def _is_size(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2 and all(map(_is_side, value))


def _wanted(pair: bool) -> str:
    return f"{'[height, width]' if pair else 'a number'} of pixels, 1 to {LARGEST_SIDE:,}"
