"""From the settings to three splits of checked pictures: what image classification is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from compressor.data import class_order, digits, image_folder, torchvision_sets
from compressor.data.image_check import Memory, bits_of, check
from compressor.data.pictures import DataSet, FilePictures, Pictures, PixelPictures, from_files
from compressor.data.prepared import PreparedSplit
from compressor.data.preprocess import channels_of, final_size, value_of, written
from compressor.data.split_folders import TEST_SHARE
from compressor.data.splits import count, few, hold_out
from compressor.errors import InputError

if TYPE_CHECKING:
    from compressor.data.contents import FileDigests
    from compressor.data.settings import Validation
    from compressor.data.source import Source
    from compressor.problem.task import Split

MEMORY_LIMIT = 2_000_000_000
"""Bytes of prepared pixels, all splits together, up to which they are kept in memory."""
SMOKE: Mapping[Split, int] = {"train": 512, "validation": 64, "test": 64}
Steps = list[dict[str, Any]]


@dataclass(frozen=True)
class ImageData:
    """Splits ready to be cut into batches. shape: (height, width, channels) of every prepared picture."""

    splits: Mapping[Split, PreparedSplit]
    classes: tuple[str, ...]
    steps: Steps
    augment: Steps
    shape: tuple[int, int, int]
    unseen: np.ndarray | None
    notes: tuple[str, ...]
    whole: Mapping[Split, int]


def load(
    source: Source, validation: Validation, *, smoke: bool, steps: Steps, augment: Steps,
    digests: FileDigests | None, cache: Path | None,
) -> ImageData:  # fmt: skip
    """Everything that the settings ask for, checked. steps, augment: the resolved preprocessing and augmentation.

    Raises:
        InputError: data that is missing, broken, too few, or not what the preprocessing takes.
    """
    if source.name is None:
        found, size, steps = _from_folder(source, validation, steps, digests, cache)
        channels = channels_of(steps)
    else:
        found = digits.load() if source.name == "digits" else torchvision_sets.load(source.name, source.root())
        found = _reordered(found, source.given_classes())
        size, channels = _shape_of(found.train, steps)
    _check_augment(augment, size, channels)
    chosen, unseen = _split(validation, found)
    whole: dict[Split, int] = {split: len(one.targets) for split, one in chosen.items()}
    if smoke:
        chosen, unseen = _smaller(chosen, unseen)
    shape = (*size, channels)
    keep = sum(len(one.targets) for one in chosen.values()) * int(np.prod(shape)) <= MEMORY_LIMIT
    splits = {split: PreparedSplit(one, steps, shape, keep=keep) for split, one in chosen.items()}
    return ImageData(splits, tuple(found.classes), steps, augment, shape, unseen, found.notes, whole)


def _reordered(found: DataSet, order: tuple[str, ...] | None) -> DataSet:
    """A named set with its classes in the order that the file gives."""
    if order is None:
        return found
    class_order.ordered(found.classes, order, "class")
    label = np.array([order.index(name) for name in found.classes], dtype=np.int64)

    def relabelled(part: Pictures) -> PixelPictures:
        pixels = part.arrays()
        assert pixels is not None
        return PixelPictures(pixels, label[part.targets])

    return DataSet(relabelled(found.train), relabelled(found.test), order, found.notes)


def _from_folder(
    source: Source, validation: Validation, steps: Steps, digests: FileDigests | None, cache: Path | None
) -> tuple[DataSet, tuple[int, int], Steps]:
    found = source.scan()
    trained = len(found.train)
    known = image_folder.digests_of(found, digests) if digests is not None else None
    memory, skip = Memory(cache, known), source.settings.broken == "skip"
    checked = check([*found.train, *(found.test or ())], steps, memory, skip_broken=skip)
    whole = set(checked.files)
    # The steps may only depend on pictures that are in the key of whatever is measured with them.
    looked_at = found.test if found.test is not None and validation.from_ == "test" else checked.files
    steps, deep = _with_bits(steps, [checked.deep[one] for one in looked_at if one in checked.deep])
    train = from_files([file for file in found.train[:trained] if file in whole])
    if found.test is not None:
        test = from_files([file for file in found.test if file in whole])
    else:
        share = source.settings.test if isinstance(source.settings.test, int | float) else TEST_SHARE
        held = _held(train.targets, share, "folder/test", "task.data.test")
        train, test = train.chosen(np.flatnonzero(~held)), train.chosen(np.flatnonzero(held))
    notes = [f"classes in order: {_few_names(found.classes)}", *found.notes, *checked.notes, *deep]
    notes += _shared(train, test, known)
    return DataSet(train, test, found.classes, tuple(notes)), checked.size, steps


def _with_bits(steps: Steps, largest: list[int]) -> tuple[Steps, list[str]]:
    """The steps, told how many of 16 bits grey pictures use, and a note of it. largest: each such picture's value."""
    if not largest:
        return steps, []
    given, bits = value_of(steps, "bits"), bits_of(max(largest))
    said = f"{len(largest)} pictures have 16 bits a pixel and values up to {max(largest):,}"
    done = f"taken as {given or bits} bits, of which the upper 8 are kept (bits: {given or bits} in preprocess)"
    return (steps if given else [{"bits": bits}, *steps]), [f"{said}: {done}"]


def _few_names(classes: tuple[str, ...], most: int = 50) -> str:
    shown = ", ".join(classes[:most])
    return shown if len(classes) <= most else f"{shown} and {len(classes) - most} more"


def _shared(train: FilePictures, test: FilePictures, known: Mapping[Path, str] | None) -> list[str]:
    """A note where a picture is on both sides, byte for byte: the test would praise what was learnt by heart."""
    if known is None:
        return []
    trained = {known[one.path]: one.path for one in train.files}
    both = [(trained[known[one.path]], one.path) for one in test.files if known[one.path] in trained]
    if not both:
        return []
    return [f"{len(both)} test pictures are also in train, byte for byte: {both[0][1]} is {both[0][0]}"]


def _shape_of(pictures: Pictures, steps: Steps) -> tuple[tuple[int, int], int]:
    source = pictures.arrays()
    assert source is not None
    have, wanted = source.shape[3], channels_of(steps, source.shape[3])
    if wanted != have and value_of(steps, "channels") is None:
        fixed = [{"channels": "rgb" if wanted == 3 else "gray"}, *steps]
        what = f"takes {wanted} channels, and the pictures have {have}"
        raise InputError("task.preprocess", what, f"write task.preprocess: {written(fixed)}")
    try:
        return final_size(steps, (source.shape[1], source.shape[2])), wanted
    except ValueError as error:
        raise InputError("task.preprocess", str(error), "put a resize before it, or leave the step out") from error


def _check_augment(augment: Steps, size: tuple[int, int], channels: int) -> None:
    settings = {name: given for item in augment for name, given in item.items()}
    if channels == 1 and settings.get("color_jitter", {}).get("saturation"):
        raise InputError("task.augment", "color_jitter: saturation has no effect on grey pictures", "leave it out")
    for name, side in (("cutout", settings.get("cutout", {}).get("size", 0)),):
        if side > min(size):
            what = f"{name}: a square of {side} is larger than the picture, {size[0]}x{size[1]}"
            raise InputError("task.augment", what, f"use a size of at most {min(size)}")
    padding = settings.get("random_crop", {}).get("padding", 0)
    if padding >= min(size):
        what = f"random_crop: padding of {padding} can push the whole picture, {size[0]}x{size[1]}, out of sight"
        raise InputError("task.augment", what, f"use a padding below {min(size)}")


def _split(wanted: Validation, found: DataSet) -> tuple[dict[Split, Pictures], np.ndarray | None]:
    source = found.train if wanted.from_ == "train" else found.test
    held = _held(source.targets, wanted.size, f"validation/{wanted.from_}", "task.validation")
    validation = source.chosen(np.flatnonzero(held))
    if wanted.from_ == "test":
        return {"train": found.train, "validation": validation, "test": found.test}, ~held
    train = source.chosen(np.flatnonzero(~held))
    return {"train": train, "validation": validation, "test": found.test}, None


def _held(targets: np.ndarray, size: float, purpose: str, where: str) -> np.ndarray:
    wanted = count(size, len(targets))
    try:
        return hold_out(targets, wanted, purpose)
    except ValueError as error:
        todo = f"use a share, or a count below {len(targets):,}"
        raise InputError(where, f"{size} is {wanted:,} of {len(targets):,} samples, which leaves none", todo) from error


def _smaller(
    chosen: Mapping[Split, Pictures], unseen: np.ndarray | None
) -> tuple[dict[Split, Pictures], np.ndarray | None]:
    places = {split: few(one.targets, SMOKE[split]) for split, one in chosen.items()}
    smaller = {split: one.chosen(places[split]) for split, one in chosen.items()}
    return smaller, unseen[places["test"]] if unseen is not None else None
