"""Copies of a bundle: into a run's folder, and with the runner beside it for a device. Only listed files are copied."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import compressor.device
from compressor.bundle.bundle import Bundle, check_files, check_names, read, write
from compressor.device.manifest import MANIFEST, PACKAGE, RUNNER, file_digest, kind_of


def deliver(
    source: Path,
    target: Path,
    *,
    name: str | None = None,
    pipeline: Mapping[str, Any] | None = None,
    data: str | None = None,
) -> Bundle:
    """A copy of a bundle in the empty or missing folder `target`, with the names of the run that it is for.

    name: the pipeline's. pipeline: `{"sha256": …}` of its file. data: what the report calls the data. They are no part
    of the artifact in the store, whose key they do not belong to: pipelines of any name may share it. What is None
    stays as it is in `source`.
    """
    bundle = read(source)
    _copy_listed(bundle, target)
    changes: dict[str, Any] = {}
    if name is not None:
        changes["name"] = name
    if pipeline is not None:
        changes["pipeline"] = dict(pipeline)
    if data is not None:
        changes["task"] = bundle.manifest.task.model_copy(update={"data": data})
    return write(target, bundle.manifest.model_copy(update=changes))


def equip(source: Path, target: Path) -> Bundle:
    """A copy of a bundle in the empty or missing folder `target`, bundle.json unchanged, with run.py and runner/ in it.

    Raises:
        IntegrityError: what was copied is not what bundle.json lists, or it lists what is no file of a bundle.
    """
    bundle = read(source)
    check_names(bundle)
    _copy_listed(bundle, target)
    shutil.copyfile(source / MANIFEST, target / MANIFEST)
    put_runner(target)
    copy = read(target)
    check_files(copy)
    return copy


def _copy_listed(bundle: Bundle, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for file in bundle.manifest.files:
        shutil.copyfile(bundle.folder / file, target / file, follow_symlinks=False)


def put_runner(folder: Path) -> Path:
    """Copy run.py and runner/ into a folder; the path of run.py."""
    (folder / PACKAGE).mkdir(parents=True, exist_ok=True)
    for name, path in runner_files().items():
        shutil.copyfile(path, folder / name)
    return folder / RUNNER


def runner_files() -> dict[str, Path]:
    """What makes a bundle run on a device: names in the bundle's folder, and this version's own files."""
    package = Path(compressor.device.__file__).parent
    top = package.parent
    places = (top / "_export" / "python" / RUNNER, top.parent / "export" / "python" / RUNNER)  # a wheel's, a checkout's
    launcher = next(place for place in places if place.is_file())
    return {RUNNER: launcher, **{f"{PACKAGE}/{path.name}": path for path in sorted(package.glob("*.py"))}}


def foreign_in_runner(folder: Path) -> str | None:
    """The first file in a bundle's folder, in or instead of the runner, that is not this version's own; else None."""
    own = runner_files()
    held = [f"{PACKAGE}/{name}" for name in sorted(os.listdir(folder / PACKAGE))] if (folder / PACKAGE).is_dir() else []
    for name in dict.fromkeys([*own, *held]):
        path = folder / name
        if name not in own or kind_of(path) != "file" or file_digest(path) != file_digest(own[name]):
            return name
    return None
