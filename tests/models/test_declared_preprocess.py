"""The preprocessing that weights declare gives the bits that the libraries' own transforms give, on files as they are."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import timm
import torchvision
from PIL import Image
from timm.data import create_transform, resolve_data_config

from compressor.device.pictures import decode
from compressor.device.preprocess import prepare
from compressor.errors import InputError
from compressor.models import catalogue
from compressor.models.names import Named

SHAPES = np.random.default_rng(0).integers(0, 256, (9, 12, 4)).astype(np.uint8)


def picture(mode: str, size: tuple[int, int] = (250, 190)) -> Image.Image:
    """Soft patches of colour and, in the alpha channel, of transparency."""
    return Image.fromarray(SHAPES, "RGBA").resize(size, Image.Resampling.BICUBIC).convert(mode)


def file(kind: str, mode: str, **options: Any) -> bytes:
    into = io.BytesIO()
    picture(mode).save(into, kind, **options)
    return into.getvalue()


def palette(**options: Any) -> bytes:
    into = io.BytesIO()
    picture("RGB").quantize(64).save(into, "PNG", **options)
    return into.getvalue()


FILES: Mapping[str, Callable[[], bytes]] = {
    "RGB in PNG": lambda: file("PNG", "RGB"),
    "RGB in JPEG": lambda: file("JPEG", "RGB", quality=90),
    "RGB with a transparent colour": lambda: file("PNG", "RGB", transparency=(1, 2, 3)),
    "RGBA in PNG": lambda: file("PNG", "RGBA"),
    "RGBA in WebP": lambda: file("WEBP", "RGBA", lossless=True),
    "RGBA in TIFF": lambda: file("TIFF", "RGBA"),
    "LA": lambda: file("PNG", "LA"),
    "L": lambda: file("PNG", "L"),
    "L with a transparent grey": lambda: file("PNG", "L", transparency=5),
    "L in JPEG": lambda: file("JPEG", "L"),
    "1": lambda: file("PNG", "1"),
    "P": palette,
    "P with a transparent colour": lambda: palette(transparency=3),
    "P with shares of transparency": lambda: palette(transparency=bytes(range(0, 256, 4))),
    "P in GIF": lambda: file("GIF", "RGB"),
    "P in BMP": lambda: file("BMP", "P"),
    "CMYK in JPEG": lambda: file("JPEG", "CMYK"),
    "CMYK in TIFF": lambda: file("TIFF", "CMYK"),
    "YCbCr in TIFF": lambda: file("TIFF", "YCbCr"),
    "LAB in TIFF": lambda: file("TIFF", "LAB"),
    "PPM": lambda: file("PPM", "RGB"),
}


def presets() -> tuple[dict[str, str], list[str]]:
    """By its kind of sizes, and by its means, one network of the libraries for each preset; and those that are refused."""
    found: dict[str, str] = {}
    refused = []
    listed = [f"torchvision:{name}" for name in torchvision.models.list_models(module=torchvision.models)]
    listed += [f"timm:{name}" for name in sorted({*timm.list_models(), *timm.list_pretrained()})]
    for ref in listed:
        try:
            steps = catalogue.declared_preprocess(Named(ref, "a/file.pth"))
        except InputError:
            refused.append(ref)
            continue
        assert steps is not None
        sizes, numbers = json.dumps(kind(steps[1]["resize"], steps[2]["center_crop"])), json.dumps(steps[3:])
        if sizes not in found or numbers not in found:
            found |= {sizes: ref, numbers: ref}
    return found, refused


def theirs(ref: str) -> Callable[[Image.Image], Any]:
    library, _, name = ref.partition(":")
    if library == "torchvision":
        made: Any = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    else:
        made = create_transform(**resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict()))
    return made


def compare(ref: str, name: str) -> None:
    steps = catalogue.declared_preprocess(Named(ref, "a/file.pth"))
    assert steps is not None
    assert next(iter(steps[0])) == "channels"
    data = FILES[name]()
    ours = prepare(decode(data), steps)
    wanted = theirs(ref)(Image.open(io.BytesIO(data)).convert("RGB")).numpy()

    assert np.array_equal(ours, wanted), (ref, np.abs(ours - wanted).max())


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_picture(name: str) -> None:
    compare("torchvision:resnet18", name)


def kind(resize: Mapping[str, Any], crop: list[int]) -> list[Any]:
    """What makes two presets different; above 256 pixels, which take long, what their arithmetic depends on."""
    if max(crop) <= 256:
        return [resize, crop]
    side = resize["exact"][0] if "exact" in resize else resize["shortest"]
    return ["exact" in resize, crop[0] == crop[1], resize["interpolation"], side == crop[0], (side - crop[0]) % 4]


def test_every_preset_of_the_libraries() -> None:
    found, refused = presets()
    chosen = sorted(set(found.values()))
    assert len(chosen) > 50
    for ref in chosen:
        compare(ref, "RGBA in PNG")
    assert refused
    assert all(
        timm.get_pretrained_cfg(ref.partition(":")[2]).crop_mode == "border" or is_padded(ref) for ref in refused
    )


def is_padded(ref: str) -> bool:
    """Whether the library fills up what its crop finds missing."""
    return bool(timm.get_pretrained_cfg(ref.partition(":")[2]).crop_pct > 1)


def test_sixteen_bits_in_a_colour_are_what_pillow_reads(tmp_path: Any) -> None:
    low = Image.fromarray(np.random.default_rng(1).integers(0, 256, (190, 250)).astype(np.uint16))
    into = io.BytesIO()
    low.save(into, "PNG")
    steps = catalogue.declared_preprocess(Named("torchvision:resnet18", "a/file.pth"))
    ours = prepare(decode(into.getvalue()), [{"bits": 8}, *(steps or [])])

    assert np.array_equal(ours, theirs("torchvision:resnet18")(low.convert("RGB")).numpy())


def test_a_crop_that_the_list_cannot_hold_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    config = timm.get_pretrained_cfg("test_resnet")
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda name: config)
    square = {"input_size": (3, 96, 96), "crop_mode": "center"}
    for changes in ({"crop_mode": "border"}, {**square, "input_size": (3, 96, 128)}, {**square, "crop_pct": 1.15}):
        for key, value in changes.items():
            monkeypatch.setattr(config, key, value)
        with pytest.raises(InputError, match=r"has no place in the closed list; write task\.preprocess out"):
            catalogue.declared_preprocess(Named("timm:test_resnet", "a/file.pth"))
