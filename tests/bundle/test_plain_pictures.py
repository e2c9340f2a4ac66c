"""What a bundle shows of a picture: its pixels, upright, and nothing else."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from compressor.bundle import golden
from compressor.bundle.plain_pictures import LARGEST, encode, forms, plain
from compressor.device.pictures import decode
from compressor.device.preprocess import prepare
from compressor.device.samples import load_samples

RGB = [{"channels": "rgb"}]
SMALL = [{"resize": {"shortest": 256}}, {"center_crop": [224, 224]}, {"scale": 255}]
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
    found = plain(given, RGB)
    assert not any(secret in found for secret in SECRETS)
    with Image.open(io.BytesIO(found)) as shown:
        shown.load()
        assert shown.size == (40, 60)  # turned
        assert not shown.getexif()
        assert not shown.info
        assert np.array_equal(np.asarray(shown), np.asarray(decode(given)))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_kind_of_picture_gives_the_same_network_input(mode: str) -> None:
    stream = io.BytesIO()
    Image.fromarray(photo()).convert(mode).save(stream, "TIFF" if mode == "CMYK" else "PNG")
    before, after = inputs(stream.getvalue(), RGB)
    assert np.array_equal(before, after)


def inputs(given: bytes, steps: list[dict[str, Any]]) -> list[np.ndarray]:
    """What the network gets of the file, and of the picture that the bundle shows of it."""
    return [np.asarray(prepare(decode(one), steps)) for one in (given, plain(given, steps))]


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize(("form", "dtype"), [("PNG", "<u2"), ("PPM", "<u2"), ("TIFF", ">u2"), ("TIFF", "<i4")])
def test_grey_pixels_of_more_than_eight_bits_keep_their_shades(form: str, dtype: str, bits: int) -> None:
    shades = np.random.default_rng(0).integers(0, 2**bits, (40, 60)).astype(dtype)
    stream = io.BytesIO()
    Image.fromarray(shades).save(stream, form)
    steps = [{"bits": bits}, {"resize": {"shortest": 20}}, {"channels": "gray"}, {"scale": 255}]
    before, after = inputs(stream.getvalue(), steps)
    assert len(np.unique(before)) > 100
    assert np.array_equal(before, after)
    with Image.open(io.BytesIO(plain(stream.getvalue(), steps))) as shown:
        assert np.asarray(shown).max() > 255


def test_a_large_picture_of_16_bits_keeps_the_eight_that_the_network_sees() -> None:
    shades = np.random.default_rng(0).integers(0, 2**12, (200, 220)).astype(np.uint16)
    stream = io.BytesIO()
    Image.fromarray(shades).save(stream, "PNG")
    steps = [{"bits": 12}, {"channels": "gray"}]
    before, after = inputs(stream.getvalue(), steps)
    assert np.array_equal(before[0], shades >> 4)
    assert np.array_equal(before, after)
    assert len(plain(stream.getvalue(), steps)) <= LARGEST < 200 * 220 * 2


def test_a_large_black_and_white_picture_stays_grey() -> None:
    noise = np.random.default_rng(0).integers(0, 2, (900, 900)).astype(np.uint8) * 255
    stream = io.BytesIO()
    Image.fromarray(noise).convert("1", dither=Image.Dither.NONE).save(stream, "PNG")
    assert len(stream.getvalue()) > LARGEST
    before, after = inputs(stream.getvalue(), [{"resize": {"exact": [40, 50]}}, {"scale": 255}])
    assert before.shape == after.shape == (1, 40, 50)
    assert np.abs(before - after).max() < 0.2


def test_a_palette_with_transparency_that_no_png_has_keeps_it() -> None:
    picture = Image.fromarray(np.dstack([photo(), photo()[:, :, :1]])).convert("PA")
    stream = io.BytesIO()
    picture.save(stream, "TIFF")
    steps = [{"resize": {"exact": [20, 30]}}, {"channels": "rgb"}]
    before, after = inputs(stream.getvalue(), steps)
    assert np.array_equal(before, after)


def test_transparency_of_a_palette_stays() -> None:
    stream = io.BytesIO()
    Image.fromarray(photo()).convert("P").save(stream, "PNG", transparency=3)
    with Image.open(io.BytesIO(plain(stream.getvalue(), RGB))) as shown:
        assert shown.info == {"transparency": 3}


@pytest.mark.parametrize("size", [(800, 600), (3000, 2000)])
def test_large_pictures_become_small_files(size: tuple[int, int]) -> None:
    given = saved(Image.fromarray(photo(*size)), "JPEG", quality=95)
    found = plain(given, SMALL)
    assert len(found) <= LARGEST
    assert found.startswith(golden.JPEG)


@pytest.mark.parametrize("steps", [[{"scale": 255}], [{"center_crop": [500, 500]}], [{"pad": {"to": [800, 700]}}]])
def test_a_picture_stays_as_large_as_the_network_needs_it(steps: list[dict[str, Any]]) -> None:
    stream = io.BytesIO()
    Image.fromarray(photo(600, 700)).save(stream, "JPEG", quality=100)
    before, after = inputs(stream.getvalue(), steps)
    assert before.shape == after.shape
    sizes = [len(one) for one in forms(stream.getvalue(), steps)]
    assert max(sizes) <= LARGEST
    assert min(sizes) < 4_000


def test_samples_fit_into_a_million_bytes_or_the_smallest_is_taken() -> None:
    assert golden.fitting([150_000] * 16) == [0, 3, 6, 9, 12, 15]  # 7 are too many
    assert golden.fitting([60_000] * 16) == list(range(16))
    assert golden.fitting([900_000, 700_000, 800_000]) == [1]
    assert golden.fitting([2_000_000, 1_000_001]) == []


class Model:
    """The half of the runner's model that makes inputs."""

    def __init__(self, steps: list[dict[str, Any]]) -> None:
        self.facts = {"preprocess": steps}

    def prepare(self, image: Image.Image) -> np.ndarray:
        return np.asarray(prepare(image, self.facts["preprocess"]))


@pytest.mark.parametrize("steps", [[{"scale": 255}], [{"resize": {"exact": [160, 160]}}, {"scale": 255}]])
def test_an_input_that_is_larger_than_the_file_may_be_is_there_with_a_picture_that_packs(
    steps: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(golden, "LARGEST_FILE", 50_000)  # of 307,200 bytes that an input has
    raw = []
    for seed in range(2):
        stream = io.BytesIO()
        pixels = np.random.default_rng(seed).integers(0, 256, (160, 160, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(stream, "JPEG", quality=90)
        raw.append(stream.getvalue())
    kept, encoded, given = golden.pictures(raw, Model(steps), 4_000)
    assert (len(kept), len(encoded), given.shape, given.dtype) == (1, 1, (1, 3, 160, 160), np.float32)
    assert np.array_equal(given[0], prepare(decode(encoded[0]), steps))
    output, place = np.random.default_rng(0).random((1, 1000), np.float32), np.array([0])
    golden.write(tmp_path / "samples.npz", golden.Golden(encoded, given, output, place, place, 0, 0, 0))
    assert (tmp_path / "samples.npz").stat().st_size <= golden.LARGEST_FILE
    assert len(load_samples(tmp_path / "samples.npz")["encoded"]) == 1


def test_few_samples_of_a_huge_input_are_tried() -> None:
    assert [len(golden.choose(np.arange(20), size)) for size in (2**20, 2**24, 2**26, 2**30)] == [8, 8, 2, 1]


@pytest.mark.parametrize(("mode", "size"), [("RGB", (192, 192)), ("L", (192, 192)), ("RGB", (192, 3))])
def test_a_picture_of_the_report_is_small(mode: str, size: tuple[int, int]) -> None:
    noise = Image.fromarray(photo(*size)).convert(mode)
    kind, encoded = encode(noise, 32_000)
    assert len(encoded) <= 32_000
    assert kind == ("image/png" if size == (192, 3) else "image/jpeg")
    with Image.open(io.BytesIO(encoded)) as shown:
        assert (shown.size, Image.MIME[shown.format or ""]) == (size, kind)
