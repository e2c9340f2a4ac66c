"""The settings of image classification as the file writes them, long and short forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from compressor.data.settings import DataSettings, Settings, Validation
from compressor.device.refused import Unfit

Side = Annotated[int, Field(ge=1, le=16_384)]
Size = tuple[Side, Side]
LARGEST_RATIO = 1e6
"""Width over height of a crop; the default's is below two."""
Channels = Annotated[tuple[float, ...], Field(min_length=1, max_length=3)]


class _Compact(Settings):
    """Written back as the file would write it: without the fields that are not given."""

    @model_serializer(mode="wrap")
    def _without_none(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in write(self).items() if value is not None}


class Resize(_Compact):
    """Always antialiased, as Pillow does."""

    shortest: Side | None = Field(None, description="Pixels of the shorter side afterwards; the shape is kept.")
    longest: Side | None = Field(None, description="Pixels of the longer side afterwards; the shape is kept.")
    exact: Size | None = Field(None, description="[height, width] afterwards; the shape is not kept.")
    interpolation: Literal["nearest", "bilinear", "bicubic"] = Field("bilinear", description="How pixels are computed.")

    @model_validator(mode="after")
    def _one_target(self) -> Resize:
        if sum(size is not None for size in (self.shortest, self.longest, self.exact)) != 1:
            raise ValueError("write one of shortest, longest and exact")
        return self


class Pad(Settings):
    """Puts the picture in the middle of a larger one."""

    to: Size = Field(description="[height, width] afterwards.")
    fill: int = Field(0, ge=0, le=255, description="Value of the new pixels, in every channel.")


class _OneKey(_Compact):
    """An item of a list, written `name: value`: exactly one of the fields is given."""

    @model_validator(mode="after")
    def _one_key(self) -> _OneKey:
        if len(self.model_fields_set) != 1 or None in (getattr(self, name) for name in self.model_fields_set):
            names = ", ".join(type(self).model_fields)
            given = ", ".join(sorted(self.model_fields_set)) or "nothing"
            raise Unfit(f"holds {given}", f"write one of {names} an item, with its value")
        return self

    def step(self) -> dict[str, Any]:
        """`{name: value}` with defaults filled in, as JSON; whole numbers without a point."""
        found: dict[str, Any] = self.model_dump(mode="json")
        return {name: int(x) if isinstance(x, float) and x.is_integer() else x for name, x in found.items()}


_ONE_KEY_SCHEMA: dict[str, Any] = {"minProperties": 1, "maxProperties": 1}


class PreprocessItem(_OneKey):
    """One step of preprocessing: bits, resize, pad, center_crop and channels come before scale, mean and std."""

    model_config = ConfigDict(json_schema_extra=_ONE_KEY_SCHEMA)

    bits: Literal[8, 10, 12, 16] | None = Field(
        None, description="Bits that grey pixels of 16 bits use, of which the upper eight are kept; comes first."
    )
    resize: Resize | None = Field(None, description="Change the size: `{shortest: 256}` or `{exact: [224, 224]}`.")
    pad: Pad | None = Field(None, description="Widen to a size, the picture in the middle.")
    center_crop: Size | None = Field(None, description="[height, width] cut from the middle.")
    channels: Literal["rgb", "gray"] | None = Field(None, description="Convert pictures to three channels or one.")
    scale: float | None = Field(None, gt=0, description="Number that pixels are divided by.")
    mean: Channels | None = Field(None, description="Subtracted from each channel.")
    std: Channels | None = Field(None, description="Each channel is divided by it.")


class RandomCrop(Settings):
    """Cuts the picture's own size out of the padded picture, at a random place."""

    padding: int = Field(4, ge=1, le=512, description="Pixels of black added on every side.")


class Flag(Settings):
    """An augmentation without settings."""


class RandomResizedCrop(Settings):
    """Cuts a random part and resizes it to the network's input, in place of resize and center_crop."""

    scale: tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]] = Field(
        (0.08, 1.0), description="Smallest and largest share of the picture's area."
    )
    ratio: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = Field(
        (3 / 4, 4 / 3), description="Smallest and largest width over height."
    )

    @model_validator(mode="after")
    def _ascending(self) -> RandomResizedCrop:
        for name, (low, high) in (("scale", self.scale), ("ratio", self.ratio)):
            if low > high:
                raise Unfit(f"{name} is [{low}, {high}]", "write the smaller number first")
        if self.ratio[0] < 1 / LARGEST_RATIO or self.ratio[1] > LARGEST_RATIO:
            raise Unfit(f"ratio is {list(self.ratio)}, which no picture has", "write numbers nearer to 1")
        return self


class ColorJitter(Settings):
    """Changes each by a factor drawn from [1 - x, 1 + x]."""

    brightness: float = Field(0.0, ge=0, le=1, description="Of the distance to black.")
    contrast: float = Field(0.0, ge=0, le=1, description="Of the distance to the picture's mean grey.")
    saturation: float = Field(0.0, ge=0, le=1, description="Of the distance to grey; needs three channels.")

    @model_validator(mode="after")
    def _changes_something(self) -> ColorJitter:
        if not (self.brightness or self.contrast or self.saturation):
            raise Unfit("changes nothing", "give brightness, contrast or saturation")
        return self


class Cutout(Settings):
    """Blackens a square at a random place; the part outside the picture is lost."""

    size: int = Field(ge=1, le=16_384, description="Side of the square in pixels.")


class AugmentItem(_OneKey):
    """One augmentation of training pictures, applied in the order of the list."""

    model_config = ConfigDict(json_schema_extra=_ONE_KEY_SCHEMA)

    random_crop: RandomCrop | None = Field(None, description="Shift by padding and cropping.")
    horizontal_flip: Flag | None = Field(None, description="Mirror every second picture, at random.")
    random_resized_crop: RandomResizedCrop | None = Field(None, description="A random part of the source; comes first.")
    color_jitter: ColorJitter | None = Field(None, description="Change brightness, contrast and saturation.")
    trivial_augment: Flag | None = Field(None, description="One random change of random strength (TrivialAugment).")
    cutout: Cutout | None = Field(None, description="Blacken a random square.")


_NEEDED = {"cutout": "size: 8", "color_jitter": "brightness: 0.4"}


def _long_item(value: object) -> object:
    if isinstance(value, str) and value in _NEEDED:
        raise Unfit(f"{value} alone does not say how", f"write {{{value}: {{{_NEEDED[value]}}}}}")
    if isinstance(value, str):
        return {value: {}}
    if isinstance(value, Mapping):
        return {name: {} if inner is None else inner for name, inner in value.items()}
    return value


def _long_data(value: object) -> object:
    if isinstance(value, str):
        value = {"name": value}
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        return {**value, "name": value["name"].replace("-", "_")}
    return value


def _long_validation(value: object) -> object:
    return {"size": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


BareWord = Literal["random_crop", "horizontal_flip", "random_resized_crop", "trivial_augment"]
Augment = Annotated[AugmentItem, BeforeValidator(_long_item, json_schema_input_type=AugmentItem | BareWord)]
SetName = Literal["digits", "cifar10", "cifar100", "fashion_mnist", "fashion-mnist", "kmnist", "mnist", "svhn", "usps"]
Data = Annotated[DataSettings, BeforeValidator(_long_data, json_schema_input_type=DataSettings | SetName)]
HowMany = Annotated[Validation, BeforeValidator(_long_validation, json_schema_input_type=Validation | float)]
