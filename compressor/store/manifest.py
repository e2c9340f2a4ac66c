"""`artifact.json`: what an artifact says about itself, and the check that its files still are what was written."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from compressor.errors import InputError, IntegrityError, ResourceError, StepError
from compressor.store.artifact import Artifact, Kind
from compressor.store.digests import Digests
from compressor.store.disk import flush
from compressor.store.keys import canonical_json, digest
from compressor.unfinished import write_whole

NAME = "artifact.json"
SCHEMA = "compress.artifact/1"


@dataclass(frozen=True)
class Manifest:
    """One artifact in words. `inputs` are keys by role, `files` maps a relative name to its SHA-256 and bytes."""

    key: str
    kind: str
    stage: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    facts: Mapping[str, Any]
    record: Mapping[str, Any]
    files: Mapping[str, Mapping[str, Any]]

    def artifact(self, folder: Path) -> Artifact:
        """What steps see of it."""
        return Artifact(self.key, cast(Kind, self.kind), self.stage, folder, self.facts, self.record)

    @property
    def bytes(self) -> int:
        """Size of all files, without `artifact.json`."""
        return sum(int(one["bytes"]) for one in self.files.values())


_FIELDS = tuple(Manifest.__dataclass_fields__)


def read(folder: Path, key: str, todo: str) -> Manifest | None:
    """The manifest in an artifact's folder; None where there is no such folder. Files are not looked at.

    Raises:
        IntegrityError: the manifest is missing, cut short or altered; `todo` is what to do about it.
        ResourceError: it cannot be read.
    """
    path = folder / NAME
    try:
        text = path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        if not folder.exists():
            return None
        raise IntegrityError(str(path), "is missing from this artifact", todo) from None
    except UnicodeDecodeError:
        raise IntegrityError(str(path), "is not what was written (no text)", todo) from None
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        entry = json.loads(text)
        claimed = entry.pop("digest")
        whole = entry.pop("schema") == SCHEMA and claimed == digest(entry)
        manifest = Manifest(**{name: entry[name] for name in _FIELDS})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise IntegrityError(str(path), "is cut short or no manifest of an artifact", todo) from None
    if not whole:
        raise IntegrityError(str(path), "was altered after it was written", todo)
    if manifest.key != key:
        raise IntegrityError(str(path), f"belongs to another key, {manifest.key[:12]}", todo)
    return manifest


def write(folder: Path, manifest: Manifest) -> None:
    """Write `artifact.json`, sealed with its own digest, and see it onto the disk."""
    entry = json.loads(canonical_json({name: getattr(manifest, name) for name in _FIELDS}))
    entry["digest"] = digest(entry)
    text = json.dumps({"schema": SCHEMA, **entry}, indent=1)
    write_whole(folder / NAME, text + "\n", durable=True)


def take_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Describe all files that a step left in a folder, and see them onto the disk.

    Raises:
        StepError: a link or something else that is no plain file.
    """
    names = plain_files(folder, lambda name, what: StepError(str(folder / name), what, "a stage writes plain files"))
    files = {}
    for name in names:
        path = folder / name
        flush(path)
        files[name] = {"sha256": Digests(None).file(path), "bytes": path.stat().st_size}
    for parent, _, _ in os.walk(folder):
        flush(Path(parent))
    return files


def check_files(folder: Path, manifest: Manifest, digests: Digests, todo: str) -> None:
    """See that an artifact has the files that were written, each with its bytes, and no others.

    Raises:
        IntegrityError: naming the first file that is missing, too many, a link, of another size or altered.
        ResourceError: a file cannot be read.
    """
    names = plain_files(folder, lambda name, what: IntegrityError(str(folder / name), what, todo))
    for name in sorted(set(manifest.files) - set(names)):
        raise IntegrityError(str(folder / name), "is missing from this artifact", todo)
    for name in sorted(set(names) - set(manifest.files)):
        raise IntegrityError(str(folder / name), "was not written by the step that made this artifact", todo)
    for name in names:
        wanted, size = int(manifest.files[name]["bytes"]), os.lstat(folder / name).st_size
        if size != wanted:
            what = f"has {size:,} bytes where {wanted:,} were written"
            raise IntegrityError(str(folder / name), what, todo)
    try:
        found = digests.files(folder, names)
    except InputError as error:
        raise ResourceError(error.where, error.what, error.todo) from error
    for name in names:
        if found[name] != manifest.files[name]["sha256"]:
            raise IntegrityError(str(folder / name), "was altered after it was written", todo)


def plain_files(folder: Path, complain: Any) -> list[str]:
    """Relative names of the files below a folder, sorted, without `artifact.json`.

    complain: makes the error for a name that is no plain file, from the name and what is wrong with it.
    """
    names = []
    for parent, below, files in os.walk(folder):
        prefix = "" if Path(parent) == folder else Path(parent).relative_to(folder).as_posix() + "/"
        for name in (*below, *files):
            mode = os.lstat(os.path.join(parent, name)).st_mode
            if stat.S_ISLNK(mode):
                raise complain(prefix + name, "is a symbolic link, which no artifact has")
            if name in files and not stat.S_ISREG(mode):
                raise complain(prefix + name, "is not a plain file")
            if name in files and prefix + name != NAME:
                names.append(prefix + name)
    return sorted(names)


def unreadable(path: Path, error: OSError) -> ResourceError:
    """The sentence for a file of the store that cannot be read."""
    reason = (error.strerror or str(error)).lower()
    return ResourceError(str(path), f"cannot be read ({reason})", "check its permissions")
