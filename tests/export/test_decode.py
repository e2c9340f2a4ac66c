"""What the runner makes of a file's bytes: which readers may open it, and what EXIF data may do to it."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from compressor.device.pictures import decode
from compressor.device.samples import SAMPLE_FORMATS

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 20, 3)).astype(np.uint8)
ROTATED = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"


def directory(*entries: bytes) -> bytes:
    """A little-endian TIFF header with one directory."""
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)


def rotated(orientation: object) -> bytes:
    """EXIF data as Pillow writes them, without the word before."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()[6:]


BROKEN = {
    "empty": b"",
    "text": b"hello, this is no TIFF at all",
    "zeros": bytes(20),
    "cut in the header": b"II*\0\x08",
    "cut in the directory": rotated(6)[:11],
    "a directory that is elsewhere": b"II*\0\xff\xff\xff\x7f",
    "an orientation of 9": rotated(9),
    "an orientation in letters": directory(struct.pack("<HHI", 0x0112, 2, 4) + b"abc\0"),
    "an orientation that is a fraction": directory(struct.pack("<HHII", 0x0112, 5, 1, 90)),
    "an orientation of an unknown type": directory(struct.pack("<HHII", 0x0112, 77, 1, 6)),
    "four orientations": directory(struct.pack("<HHII", 0x0112, 3, 4, 2)),
}


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG's chunk with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def encoded(kind: str, exif: bytes = b"") -> bytes:
    """PIXELS in a file with these EXIF data; a lossy format's own pixels are what it is compared with."""
    into = io.BytesIO()
    picture = Image.fromarray(PIXELS)
    if kind == "PNG":
        picture.save(into, "PNG")
        whole = into.getvalue()
        return whole[:33] + (chunk(b"eXIf", exif) if exif else b"") + whole[33:]
    word = b"Exif\0\0" if kind == "JPEG" else b""
    picture.save(
        into, kind, **({"exif": word + exif} if exif else {}), **({"lossless": True} if kind == "WEBP" else {})
    )
    return into.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(decode(data).convert("RGB"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("name", BROKEN)
def test_exif_data_that_cannot_be_read_are_no_orientation(kind: str, name: str) -> None:
    assert np.array_equal(pixels(encoded(kind, BROKEN[name])), pixels(encoded(kind)))


@pytest.mark.parametrize("text", ["\nexif\n      30\n" + "zz" * 30, "no lines at all", "\nexif\n 4\n4578"])
def test_nor_are_those_that_a_png_holds_as_text(text: str) -> None:
    whole = encoded("PNG")
    odd = whole[:33] + chunk(b"tEXt", b"Raw profile type exif\0" + text.encode()) + whole[33:]

    assert np.array_equal(pixels(odd), PIXELS)


@pytest.mark.parametrize("kind", [1, 2, 7, 11, 12, 13, 99])
def test_a_tiff_whose_orientation_is_of_an_odd_type_is_read(kind: int) -> None:
    into = io.BytesIO()
    Image.fromarray(PIXELS).save(into, "TIFF", tiffinfo={0x0112: 6})
    data = into.getvalue()
    place = data.index(struct.pack("<HHI", 0x0112, 3, 1))
    odd = data[:place] + struct.pack("<HHI", 0x0112, kind, 1) + data[place + 8 :]

    assert sorted(pixels(odd).shape) == sorted(PIXELS.shape)


def test_a_tiff_with_a_broken_exif_directory_is_read_and_upright() -> None:
    into = io.BytesIO()
    Image.fromarray(PIXELS).save(into, "TIFF", tiffinfo={0x0112: 6, 0x8769: 7})

    assert np.array_equal(pixels(into.getvalue()), np.rot90(PIXELS, -1))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_orientation_is_applied_as_pillow_applies_it(kind: str, orientation: int) -> None:
    exif = rotated(orientation)
    if kind == "TIFF":
        into = io.BytesIO()
        Image.fromarray(PIXELS).save(into, "TIFF", tiffinfo={0x0112: orientation})
        data = into.getvalue()
    else:
        data = encoded(kind, exif)
    with Image.open(io.BytesIO(data)) as opened:
        wanted = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))

    assert np.array_equal(pixels(data), wanted)


def test_odd_metadata_warn_nobody_in_any_thread_and_leave_the_filters_alone() -> None:
    odd = encoded("JPEG", directory(struct.pack("<HHII", 0x010F, 2, 4000, 99_999), ROTATED))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(pixels, [odd] * 40))
        assert warnings.filters == before
    assert all(one.shape == (20, 12, 3) for one in found)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "MPO"])
def test_the_formats_that_the_guide_names_are_read(kind: str) -> None:
    assert pixels(encoded(kind)).shape == PIXELS.shape


@pytest.mark.parametrize("kind", ["ICO", "PCX", "SGI", "TGA", "JPEG2000", "EPS", "PDF", "AVIF", "DDS"])
def test_no_other_reader_opens_anything(kind: str) -> None:
    with pytest.raises(ValueError, match="none of PNG, JPEG, WEBP, BMP, GIF, TIFF, PPM, PGM, PBM"):
        pixels(encoded(kind))


def test_no_picture_starts_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    with pytest.raises(ValueError, match="none of"):
        decode(POSTSCRIPT)
    assert not (tmp_path / "started").exists()


def test_a_bomb_is_a_sentence() -> None:
    huge = encoded("PNG")
    size = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    with pytest.raises(ValueError, match=r"^cannot be read as a picture \(Image size .*\); replace or remove it$"):
        decode(huge[:8] + chunk(b"IHDR", size) + huge[33:])


def test_golden_samples_are_png_and_jpeg_alone() -> None:
    allowed = SAMPLE_FORMATS
    assert np.asarray(decode(encoded("PNG"), allowed)).shape == PIXELS.shape
    with pytest.raises(ValueError, match="none of PNG, JPEG"):
        decode(encoded("WEBP"), allowed)
