"""Copies of a bundle: into a run's folder, and with the runner beside it for a device. Only listed files are copied."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compressor.bundle.bundle import MANIFEST, RUNNER, Bundle, check_files, read, write
from compressor.runner import runner_path


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
    """A copy of a bundle in the empty or missing folder `target`, bundle.json unchanged, with run.py beside it.

    Raises:
        IntegrityError: what was copied is not what bundle.json lists.
    """
    bundle = read(source)
    _copy_listed(bundle, target)
    shutil.copyfile(source / MANIFEST, target / MANIFEST)
    if RUNNER in bundle.manifest.files:
        write(target, bundle.manifest)
    shutil.copyfile(runner_path(), target / RUNNER)
    copy = read(target)
    check_files(copy)
    return copy


def _copy_listed(bundle: Bundle, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for file in bundle.manifest.files:
        if file != RUNNER:
            shutil.copyfile(bundle.folder / file, target / file, follow_symlinks=False)
