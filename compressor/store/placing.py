"""How a finished folder becomes an artifact: one rename, and what happens where the place is taken."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from compressor.errors import IntegrityError
from compressor.store import manifest as manifests
from compressor.store.digests import Digests
from compressor.store.disk import flush
from compressor.store.keys import canonical_json
from compressor.store.manifest import Manifest
from compressor.unfinished import unique

DAMAGED = ".damaged"
OLD = ".old-"


def place(folder: Path, target: Path, new: Manifest, *, replace: bool) -> None:
    """Make `folder`, complete with its manifest, the artifact at `target`.

    A sound artifact that is there with the same files and facts stays, and `folder` goes. A damaged one steps
    aside to `<key>.damaged`: it is evidence, and only `clean` removes it. With `replace` a sound one with other
    bytes gives way too.

    Raises:
        IntegrityError: a sound artifact with other files or facts is there and stays.
        OSError: the disk refused.
    """
    while not _moved(folder, target):
        if _stays(target, new, replace):
            shutil.rmtree(folder, ignore_errors=True)
            return


def _moved(folder: Path, target: Path) -> bool:
    """Move a finished folder into its place; False where the place is taken."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        return False
    try:
        os.rename(folder, target)
    except OSError:
        if target.exists():  # another process was quicker
            return False
        raise
    flush(target.parent)
    flush(target.parent.parent)
    return True


def _stays(target: Path, new: Manifest, replace: bool) -> bool:
    """Whether the artifact in place stays; if not it has stepped aside."""
    try:
        old = manifests.read(target, new.key, "")
        if old is None:
            return False
        manifests.check_files(target, old, Digests(None), "")
    except IntegrityError:
        aside = target.with_name(target.name + DAMAGED)
        shutil.rmtree(aside, ignore_errors=True)
        _step_aside(target, aside)
        return False
    changes = _changes(old, new)
    if not changes:
        return True
    if not replace:
        raise IntegrityError(str(target), f"made again it came out different ({', '.join(changes)})", _todo(old, new))
    aside = Path(unique(f"{target}{OLD}"))
    _step_aside(target, aside)
    shutil.rmtree(aside, ignore_errors=True)
    return False


def _step_aside(target: Path, aside: Path) -> None:
    try:
        os.rename(target, aside)
    except FileNotFoundError:
        return  # another process was quicker


def _changes(old: Manifest, new: Manifest) -> list[str]:
    """What differs, as the names of files and facts."""
    names = sorted({*old.files, *new.files})
    files = [name for name in names if old.files.get(name) != new.files.get(name)]
    facts = [
        f"fact {name}"
        for name in sorted({*old.facts, *new.facts})
        if canonical_json(old.facts.get(name)) != canonical_json(new.facts.get(name))
    ]
    return files + facts


def _todo(old: Manifest, new: Manifest) -> str:
    threads = old.record.get("threads"), new.record.get("threads")
    if None not in threads and threads[0] != threads[1]:
        return f"the stored one stays; it was made with {threads[0]} threads, this one with {threads[1]}: use as many"
    return "the stored one stays; remove its folder if the new one is to take its place"
