"""A copy of a bundle with the runner that needs no torch beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from compressor.api.verify import verify
from compressor.errors import InputError, ResourceError

if TYPE_CHECKING:
    from compressor.bundle.bundle import Bundle

LANGUAGES = ("python",)


def export(
    bundle: str | Path, to: str | Path, *, language: str = "python", limits: tuple[int, int] | None = None
) -> Bundle:
    """Make `to` a copy of a bundle with the language's runner in it; an older copy there is replaced.

    The bundle is verified first; limits: as for `verify`. Returns the copy.

    Raises:
        InputError: no such language, or a folder that holds something else. IntegrityError: the bundle was altered.
        ResourceError: the folder cannot be written.
    """
    from compressor.bundle.bundle import CARD, Bundle
    from compressor.bundle.copies import equip
    from compressor.device.manifest import MODEL, SAMPLES

    if language not in LANGUAGES:
        raise InputError("--to", f'no runner for "{language}"', f"there is one for {', '.join(LANGUAGES)}")
    verify(bundle, limits=limits)
    source, target = Path(bundle).resolve(), Path(to).resolve()
    if source == target or source in target.parents:
        raise InputError("--to", f"{to} is the bundle itself or lies in it", "name another folder")
    beside, aside = (target.with_name(f".{target.name}.{name}") for name in ("new", "old"))
    for left in (beside, aside):  # of an export that was killed
        _check_own(left, _held(left), (MODEL, CARD, SAMPLES))
    try:
        if aside.is_dir() and not target.exists():
            aside.rename(target)  # where a kill came between the two below
        _check_replaceable(target)
        shutil.rmtree(beside, ignore_errors=True)
        made = equip(source, beside)
        shutil.rmtree(aside, ignore_errors=True)
        if target.is_dir():
            target.rename(aside)
        beside.rename(target)
        shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        if aside.is_dir() and not target.exists():
            aside.rename(target)
        what = f"cannot be written ({error.strerror})"
        raise ResourceError(str(to), what, "free space or name another folder") from error
    return Bundle(target, made.manifest)


def _check_replaceable(target: Path) -> None:
    """See that `target` is empty, missing, or an older copy.

    Raises:
        InputError: it holds something that is no part of a bundle.
    """
    from compressor.bundle.bundle import read
    from compressor.device.manifest import MANIFEST

    held = _held(target)
    if held and MANIFEST not in held:
        raise InputError("--to", f"{target} holds {held[0]} and is no bundle", "name an empty or a new folder")
    if held:
        _check_own(target, held, read(target).manifest.files)


def _held(folder: Path) -> list[str]:
    """The names of what lies in a folder; of its `runner/`, what lies in there."""
    from compressor.device.manifest import PACKAGE, kind_of

    if folder.exists() and not folder.is_dir():
        raise InputError("--to", f"{folder} is a file", "name a folder")
    if not folder.is_dir():
        return []
    runner = folder / PACKAGE
    inside = [f"{PACKAGE}/{name}" for name in os.listdir(runner)] if kind_of(runner) == "a folder" else [PACKAGE]
    names = [[name] if name != PACKAGE else inside for name in os.listdir(folder)]
    return sorted(name for some in names for name in some)


def _check_own(folder: Path, held: Sequence[str], files: Iterable[str]) -> None:
    """InputError where a folder that would be removed holds more than a bundle's files, its list and the runner."""
    from compressor.bundle.copies import runner_files
    from compressor.device.manifest import MANIFEST, PACKAGE

    own = {MANIFEST, f"{PACKAGE}/__pycache__", *runner_files(), *files}
    foreign = [name for name in held if name not in own]
    if foreign:
        raise InputError("--to", f"{folder} holds {foreign[0]}, which is no part of its bundle", "move it elsewhere")
