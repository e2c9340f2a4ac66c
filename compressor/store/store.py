"""The store: a folder of artifacts by content key. Whole or not there, checked when opened, safe to share."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from compressor.errors import InputError, ResourceError
from compressor.store import clean, locks
from compressor.store import manifest as manifests
from compressor.store.artifact import Artifact, Kind
from compressor.store.digests import Digests
from compressor.store.disk import homeless, is_read_only, last_change, refusal, writing
from compressor.store.keys import digest, folder_of
from compressor.store.manifest import Manifest
from compressor.store.placing import place
from compressor.unfinished import sweep, unique, write_whole

STAGING = ".staging-"
_REBUILD = "compress run PIPELINE --fresh STEP"


def default_root() -> Path:
    """COMPRESS_STORE, else the user's cache folder.

    Raises:
        ResourceError: the user has no home folder to keep one in.
    """
    named = os.environ.get("COMPRESS_STORE")
    if named:
        return _at_home(Path(named))
    from platformdirs import user_cache_path  # here: a store that is named costs no import

    try:
        found = user_cache_path("compressor", appauthor=False)
    except RuntimeError:
        raise homeless() from None
    if not found.is_absolute():
        raise homeless()
    return found


def _at_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise homeless() from None


class Store:
    """Artifacts under one folder.

    root: the folder; left out, COMPRESS_STORE, else the user's cache. Nothing is made before something is written.
    wait_seconds: how long `hold` waits for another process.
    rebuild: the command that makes a key's artifact again, for the sentence about a damaged one.
    """

    def __init__(
        self, root: Path | str | None = None, *, wait_seconds: float = 60.0, rebuild: Callable[[str], str] | None = None
    ) -> None:
        self.root = Path(os.path.abspath(_at_home(Path(root)) if root else default_root()))
        self.digests = Digests(self.root / "digests")
        self.wait_seconds = wait_seconds
        self.rebuild = rebuild
        self._began: os.stat_result | None = None

    # Reading

    def check_place(self) -> None:
        """See that the store's place can be one.

        Raises:
            InputError: a file stands there.
        """
        if self.root.exists() and not self.root.is_dir():
            raise InputError(str(self.root), "is a file, and a store is a folder", "name another with --store")

    def folder(self, key: str) -> Path:
        """Where the artifact of a key lies, or would."""
        return folder_of(self.root, key)

    def find(self, key: str, rebuild: str = "") -> Artifact | None:
        """The artifact of a key, or None; reads its manifest only, so this is cheap and trusts the files.

        rebuild: the command that makes it again, for the error.

        Raises:
            IntegrityError: the manifest is missing or not what was written.
        """
        manifest = self.manifest(key, rebuild)
        return None if manifest is None else manifest.artifact(self.folder(key))

    def manifest(self, key: str, rebuild: str = "") -> Manifest | None:
        """What `find` reads, with settings, inputs and files."""
        return manifests.read(self.folder(key), key, self._todo(key, rebuild))

    def open(self, key: str, rebuild: str = "") -> Artifact:
        """The artifact of a key after a check of every file, and a note that it was used.

        Raises:
            IntegrityError: it is not what was written; it stays as it is, for you to look at.
        ResourceError: it is not there any more.
        """
        folder, todo = self.folder(key), self._todo(key, rebuild)
        manifest = manifests.read(folder, key, todo)
        if manifest is None:
            raise ResourceError(str(folder), "this artifact is not in the store any more", todo)
        manifests.check_files(folder, manifest, self.digests, todo)
        self._used(folder)
        return manifest.artifact(folder)

    def interrupted(self, key: str) -> str | None:
        """When the work on a key was last saved (`2026-11-22 12:30`), None where nothing was."""
        saved = last_change(self._work(key))
        return None if saved is None else datetime.fromtimestamp(saved).strftime("%Y-%m-%d %H:%M")

    def sweep(self) -> None:
        """Remove what killed processes left half written: notes, memories, digests, folders that became no artifact.

        Checkpoints stay: a run of their step goes on from them. So do damaged artifacts, which are evidence.
        """
        for folder in (self.root, *(self.root / name for name in ("work", "slots", "digests"))):
            sweep(folder)
        clean.sweep(self.root)

    # Working

    @contextmanager
    def hold(self, key: str, waiting: Callable[[str], None] | None = None, needs: Iterable[str] = ()) -> Iterator[None]:
        """Be the only process that works on a key. Look again with `find` inside: who held it may have made it.

        waiting: told once, in a sentence, who has it. needs: keys of artifacts to be spared by `clean` meanwhile.

        Raises:
            ResourceError: still held after `wait_seconds`, or the store cannot be written and lacks the artifact.
        """
        lock = self._lock(key)
        what = f"step key {key[:12]} in the store {self.root}"
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            locks.refuse_odd(lock)
            lock.touch()
            self._began = self.root.stat()
        except OSError as error:
            if is_read_only(error) and self.find(key) is not None:
                yield
                return
            raise refusal(error, self.root) or error from error
        with locks.held(lock, what=what, wait_seconds=self.wait_seconds, waiting=waiting, needs=needs):
            for stale in lock.parent.glob(f"{key}{STAGING}*"):
                shutil.rmtree(stale, ignore_errors=True)
            yield

    def work(self, key: str) -> Path:
        """The folder of a key's checkpoints, kept until its artifact is committed."""
        with writing(self.root):
            self._work(key).mkdir(parents=True, exist_ok=True)
        return self._work(key)

    def clear_work(self, key: str) -> None:
        """Forget a key's checkpoints, to begin anew."""
        with writing(self.root):
            shutil.rmtree(self._work(key), ignore_errors=not self._work(key).exists())

    def staging(self, key: str) -> Path:
        """A new empty folder for the files of an artifact, on the store's own file system. Hold the key first."""
        folder = Path(unique(f"{self._work(key)}{STAGING}"))
        with writing(self.root):
            folder.mkdir(parents=True)
        return folder

    def commit(
        self, key: str, folder: Path, *, kind: Kind, stage: str, settings: Mapping[str, Any], inputs: Mapping[str, str],
        facts: Mapping[str, Any], record: Mapping[str, Any], replace: bool = False,
    ) -> Artifact:  # fmt: skip
        """Make a staging folder the artifact of a key, whole or not at all; its checkpoints are forgotten.

        An artifact that is there already stays if it has the same bytes and facts; a damaged one makes way and is kept
        as `<key>.damaged` until `clean`. replace: a sound one with other bytes makes way too.

        Raises:
            IntegrityError: other bytes or facts than the stored ones; the stored ones stay.
            ResourceError: the disk is full, or the store cannot be written.
            StepError: the folder holds links or other things that are no files.
        """
        with writing(self.root):
            if self._began is not None and not os.path.samestat(self._began, self.root.stat()):
                what = "is another folder than when the step began, so what earlier steps made is missing"
                raise ResourceError(str(self.root), what, "put the store back, and start the same command again")
            files = manifests.take_files(folder)
            manifest = Manifest(key, kind, stage, settings, inputs, facts, record, files)
            manifests.write(folder, manifest)
            target = self.folder(key)
            place(folder, target, manifest, replace=replace)
            shutil.rmtree(self._work(key), ignore_errors=True)
        self._used(target)
        placed = self.find(key)
        assert placed is not None
        return placed

    # Memory for the plan's "why"

    def remember(self, slot: str, key: str, identity: Mapping[str, Any]) -> None:
        """Note what a place in a pipeline (`cifar10/student`) was last made of; a store that refuses forgets it."""
        path = self._slot(slot)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps({"slot": slot, "key": key, "identity": dict(identity)}, sort_keys=True))
        except OSError:
            return

    def previous(self, slot: str) -> tuple[str, dict[str, Any]] | None:
        """The key and identity that `remember` noted last for a slot."""
        try:
            entry = json.loads(self._slot(slot).read_text("utf-8"))
            return str(entry["key"]), dict(entry["identity"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    # Housekeeping

    def list(self) -> tuple[clean.Row, ...]:
        """All artifacts and all interrupted work, the last used first."""
        return clean.rows(self.root)

    def clean(self, older_than: timedelta | None = None, max_size: int | None = None) -> clean.Freed:
        """Remove what was not used for `older_than`, then the least recently used until `max_size` bytes are left.

        What a running process holds or needs stays. Leftovers of killed processes go in any case.
        """
        return clean.clean(self.root, self.wait_seconds, older_than, max_size)

    def _todo(self, key: str, rebuild: str) -> str:
        command = rebuild or (self.rebuild(key) if self.rebuild else _REBUILD)
        return f"build it again with `{command}`"

    def _used(self, folder: Path) -> None:
        try:
            os.utime(folder / manifests.NAME)
        except OSError:
            return  # a store shared read-only keeps no count of its readers

    def _work(self, key: str) -> Path:
        return self.folder(key).parents[2] / "work" / key

    def _lock(self, key: str) -> Path:
        return self._work(key).with_name(f"{key}.lock")

    def _slot(self, slot: str) -> Path:
        return self.root / "slots" / f"{digest(slot)}.json"
