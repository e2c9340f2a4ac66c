"""What a bundle shows of a picture: its pixels, upright, and nothing else."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from compressor.bundle import golden
from compressor.bundle.plain_pictures import LARGEST, plain
from compressor.runner import runner

SECRETS = (b"Jane Doe", b"SERIAL-12345", b"secret comment", b"a profile", b"<x:xmpmeta")


def photo(width: int = 60, height: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def saved(picture: Image.Image, form: str, **settings: object) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x013B], exif[0xA431] = "Jane Doe", "SERIAL-12345"
    exif.get_ifd(0x8825)[1] = "N"
    stream = io.BytesIO()
    picture.save(stream, form, exif=exif, icc_profile=b"a profile", **settings)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("form", "settings"),
    [
        ("JPEG", {"comment": "secret comment", "quality": 100}),
        ("PNG", {"pnginfo": PngImagePlugin.PngInfo()}),
        ("WEBP", {"xmp": b"<x:xmpmeta>", "lossless": True}),
        ("TIFF", {}),
    ],
)
def test_only_the_upright_pixels_stay(form: str, settings: dict[str, object]) -> None:
    if "pnginfo" in settings:
        settings["pnginfo"].add_text("Comment", "secret comment")  # type: ignore[attr-defined]
    given = saved(Image.fromarray(photo()), form, **settings)
    assert any(secret in given for secret in SECRETS)
    found = plain(given)
    assert not any(secret in found for secret in SECRETS)
    with Image.open(io.BytesIO(found)) as shown:
        shown.load()
        assert shown.size == (40, 60)  # turned
        assert not shown.getexif()
        assert not shown.info
        assert np.array_equal(np.asarray(shown), np.asarray(runner().decode(given)))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_kind_of_picture_gives_the_same_network_input(mode: str) -> None:
    picture = Image.fromarray(photo()).convert("L" if mode == "I;16" else "RGB")
    picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 255) if mode == "I;16" else picture.convert(mode)
    stream = io.BytesIO()
    picture.save(stream, "TIFF" if mode == "CMYK" else "PNG")
    steps = [{"channels": "rgb"}]
    before, after = (
        runner().prepare(runner().decode(one), steps) for one in (stream.getvalue(), plain(stream.getvalue()))
    )
    assert np.array_equal(before, after)


def test_transparency_of_a_palette_stays() -> None:
    stream = io.BytesIO()
    Image.fromarray(photo()).convert("P").save(stream, "PNG", transparency=3)
    with Image.open(io.BytesIO(plain(stream.getvalue()))) as shown:
        assert shown.info == {"transparency": 3}


@pytest.mark.parametrize("size", [(800, 600), (3000, 2000)])
def test_large_pictures_become_small_files(size: tuple[int, int]) -> None:
    found = plain(saved(Image.fromarray(photo(*size)), "JPEG", quality=95))
    assert len(found) <= LARGEST
    assert found.startswith(golden.JPEG)


def test_samples_fit_into_a_million_bytes_and_one_always_does() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (16, 150_000), dtype=np.uint8)
    assert golden.fitting([b""] * 16, noise, 0) == [0, 3, 6, 9, 12, 15]  # 6 of 150 kB each, 7 are too many
    assert golden.fitting([b""] * 16, np.zeros((16, 150_000), np.uint8), 40) == list(range(16))
    assert golden.fitting([b""], np.random.default_rng(0).integers(0, 256, (1, 2_000_000), dtype=np.uint8), 0) == [0]
