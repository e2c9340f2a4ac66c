"""What a preprocessing list makes of pictures, before any is opened. The steps themselves are the runner's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compressor.device.preprocess import resized

Steps = Sequence[Mapping[str, Any]]
COUNTS = {"rgb": 3, "gray": 1}


def value_of(steps: Steps, name: str) -> Any:
    """The value of a step that can stand there once (channels, scale, mean, std), or None."""
    return next((item[name] for item in steps if name in item), None)


def channels_of(steps: Steps, source: int | None = None) -> int:
    """Channels of the network's input: as converted, as `mean` or `std` has numbers, as the source has, else 3."""
    converted = value_of(steps, "channels")
    if converted is not None:
        return COUNTS[converted]
    numbers = value_of(steps, "mean") or value_of(steps, "std")
    if numbers:
        return len(numbers)
    return source if source is not None else 3


def changes_geometry(steps: Steps) -> bool:
    """Whether a step changes the size of a picture."""
    return any(name in item for item in steps for name in ("resize", "pad", "center_crop"))


def final_size(steps: Steps, size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of what the steps make of a picture of (height, width).

    Raises:
        ValueError: a crop larger than the picture, or a picture larger than what it is padded to.
    """
    for item in steps:
        ((name, value),) = item.items()
        if name == "resize":
            size = resized(size, value)
        elif name == "pad":
            if size[0] > value["to"][0] or size[1] > value["to"][1]:
                raise ValueError(_too("pad", size, "more", value["to"]))
            size = (value["to"][0], value["to"][1])
        elif name == "center_crop":
            if size[0] < value[0] or size[1] < value[1]:
                raise ValueError(_too("center_crop", size, "less", value))
            size = (value[0], value[1])
    return size


def _too(step: str, size: tuple[int, int], how: str, wanted: Sequence[int]) -> str:
    return f"{step}: the picture is {size[0]}x{size[1]}, {how} than {wanted[0]}x{wanted[1]}"


def interpolation_of(steps: Steps) -> str:
    """The interpolation of the last resize, else bilinear: what a random crop is resized with."""
    found = [item["resize"].get("interpolation", "bilinear") for item in steps if "resize" in item]
    return found[-1] if found else "bilinear"


def written(steps: Steps) -> str:
    """The list as one line of YAML, for a message that asks to write it."""
    return "[" + ", ".join(f"{name}: {_inline(value)}" for item in steps for name, value in item.items()) + "]"


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_inline(inner)}" for name, inner in value.items()) + "}"
    return f"[{', '.join(map(_inline, value))}]" if isinstance(value, list | tuple) else str(value)
