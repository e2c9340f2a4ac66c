"""Every picture is decoded once before training, and what is wrong with it is said with its name."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor.data import image_check
from compressor.data.image_check import Memory, bits_of, check
from compressor.data.image_folder import scan
from compressor.errors import InputError

STEPS: list[dict[str, Any]] = [{"resize": {"shortest": 8}}, {"center_crop": [8, 8]}, {"scale": 255}]


def checked(folder: Path, steps: list[dict[str, Any]] = STEPS, *, skip: bool = False) -> Any:
    return check(scan(folder).train, steps, Memory(None, None), skip_broken=skip)


def refusal(folder: Path, steps: list[dict[str, Any]] = STEPS, *, skip: bool = False) -> str:
    with pytest.raises(InputError) as caught:
        checked(folder, steps, skip=skip)
    return caught.value.sentence()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_whole_pictures_pass(pictures: Path) -> None:
    found = checked(pictures)
    assert len(found.files) == 12
    assert found.size == (8, 8)
    assert found.notes == []
    assert found.deep == {}


@pytest.mark.parametrize(
    ("largest", "bits"),
    [(255, 8), (256, 10), (1023, 10), (1024, 12), (4095, 12), (4096, 16), (65_535, 16), (2**31 - 1, 16)],
)
def test_the_bits_that_a_camera_used_are_seen_by_the_largest_value(largest: int, bits: int) -> None:
    assert bits_of(largest) == bits


def test_pictures_of_sixteen_bits_are_told_with_their_largest_value(pictures: Path, tmp_path: Path) -> None:
    for name, most in (("a.png", 4000), ("b.tif", 900), ("c.pgm", 65_535)):
        shades = np.full((12, 10), most, dtype=np.uint16)
        Image.fromarray(shades).save(pictures / "train/cat" / name)
    known = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures.rglob("*.*")}
    for _ in range(2):
        memory = Memory(tmp_path / "memory", known)
        found = check(scan(pictures).train, [{"channels": "rgb"}, *STEPS], memory, skip_broken=False)
        assert {file.name: most for file, most in found.deep.items()} == {"a.png": 4000, "b.tif": 900, "c.pgm": 65_535}


def test_pictures_of_floating_point_numbers_are_named(pictures: Path) -> None:
    Image.fromarray(np.zeros((12, 10), np.float32)).save(pictures / "train/cat/odd.tif")
    assert "odd.tif' the picture holds floating-point pixels (mode F); save it with 8 bits a channel" in refusal(
        pictures
    )


def test_a_broken_jpeg_is_named(pictures: Path, shoot) -> None:
    path = shoot("train/cat/broken.jpg", (64, 64))
    truncate(path)
    sentence = refusal(pictures)
    assert sentence.startswith(f"task.data.folder: '{path}' cannot be read as a picture (")
    assert sentence.endswith("; replace or remove it, or write broken: skip")


def test_broken_pictures_are_skipped_when_asked(pictures: Path, shoot) -> None:
    path = shoot("train/cat/broken.jpg", (64, 64))
    truncate(path)
    found = checked(pictures, skip=True)
    kept, notes = found.files, found.notes
    assert len(kept) == 12
    assert path not in [file.path for file in kept]
    assert notes == [f"1 pictures cannot be decoded and were left out: {path}"]


def test_a_class_of_broken_pictures_only_is_an_error_even_then(pictures: Path, shoot) -> None:
    truncate(shoot("train/eel/1.png", (64, 64)))
    assert "none of the 1 pictures of a class can be decoded" in refusal(pictures, skip=True)


@pytest.mark.parametrize(("mode", "called"), [("L", "grey"), ("RGBA", "RGBA"), ("I;16", "grey with 16 bits a pixel")])
def test_other_channels_are_named_with_the_list_to_write(pictures: Path, shoot, mode: str, called: str) -> None:
    path = shoot("train/cat/odd.png", mode="L").with_name("odd.png")
    if mode == "I;16":
        Image.fromarray(np.full((12, 10), 40_000, dtype=np.uint16)).save(path)
    else:
        shoot("train/cat/odd.png", mode=mode)
    assert refusal(pictures) == (
        f"task.data.folder: '{path}' is {called}, and RGB is asked; convert it, or write task.preprocess: "
        "[channels: rgb, resize: {shortest: 8}, center_crop: [8, 8], scale: 255]"
    )
    assert checked(pictures, [{"channels": "rgb"}, *STEPS]).size == (8, 8)


def test_cmyk_and_palettes(pictures: Path, shoot) -> None:
    shoot("train/cat/palette.png", mode="P")
    assert len(checked(pictures).files) == 13
    shoot("train/cat/print.jpg", mode="CMYK")
    assert "print.jpg' is CMYK, and RGB is asked" in refusal(pictures)


def test_pictures_must_end_in_one_size(pictures: Path, shoot) -> None:
    shoot("train/cat/wide.png", (12, 30))
    sentence = refusal(pictures, STEPS[:1])
    assert "pictures end in different sizes: 1.png in 9x8, wide.png in 8x20; end the resizing" in sentence


def test_a_crop_larger_than_a_picture_names_it(pictures: Path) -> None:
    sentence = refusal(pictures, [{"center_crop": [16, 16]}])
    assert sentence.startswith("task.preprocess: center_crop: the picture is 12x10, less than 16x16 ('")


def test_what_was_seen_is_remembered_by_content(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def memory() -> Memory:
        known = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures.rglob("*.png")}
        return Memory(tmp_path / "cache", known)

    files = scan(pictures).train
    first = memory().look(files)
    decoded: list[Path] = []
    inspect = image_check.inspect
    monkeypatch.setattr(image_check, "inspect", lambda path: decoded.append(path) or inspect(path))
    assert memory().look(files) == first
    assert decoded == []
    truncate(files[3].path)
    again = memory().look(files)
    assert decoded == [files[3].path]
    assert isinstance(again[3], dict)


@pytest.mark.parametrize("entry", [None, 3, {}, [], ["RGB"], ["RGB", "12", 10], [1, 12, 10], ["RGB", 0, 10]])
def test_an_entry_of_the_wrong_kind_is_forgotten(pictures: Path, tmp_path: Path, entry: Any) -> None:
    files = scan(pictures).train
    known = {file.path: str(number) for number, file in enumerate(files)}
    (tmp_path / "pictures.json").write_text(json.dumps({"0": entry, "1": ["RGB", 99, 10]}))
    assert Memory(tmp_path, known).look(files)[:3] == [["RGB", 12, 10], ["RGB", 99, 10], ["RGB", 12, 10]]


def test_an_empty_file_is_said_to_be_one(pictures: Path) -> None:
    (pictures / "train/cat/1.png").write_bytes(b"")
    (pictures / "train/cat/2.png").write_bytes(b"no picture")
    found = checked(pictures, skip=True)
    kept, notes = found.files, found.notes
    assert (len(kept), len(notes)) == (10, 1)
    assert "1.png' cannot be read as a picture (the file is empty) (and 1 more); replace" in refusal(pictures)
    (pictures / "train/cat/1.png").unlink()
    assert (
        "2.png' cannot be read as a picture (it is none of PNG, JPEG, WEBP, BMP, GIF, TIFF, PPM, PGM, PBM); replace"
        in refusal(pictures)
    )


def test_a_damaged_memory_is_forgotten(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures.json").write_text("[1, 2")
    files = scan(pictures).train
    assert (
        Memory(tmp_path, {file.path: file.name + str(file.label) for file in files}).look(files)
        == [["RGB", 12, 10]] * 12
    )
