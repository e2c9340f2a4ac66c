"""Splits, and the digests of files: of what the identity of data is made."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol


class FileDigests(Protocol):
    """What a fingerprint asks for; the store's remembers large files by path, size and time."""

    def file(self, path: Path) -> str:
        """SHA-256 of a file's bytes, in hex."""

    def files(self, folder: Path, names: Iterable[str]) -> dict[str, str]:
        """The same for many files below a folder, by their names relative to it, with `/`."""


class PlainDigests:
    """Digests that nobody remembers."""

    def file(self, path: Path) -> str:
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()

    def files(self, folder: Path, names: Iterable[str]) -> dict[str, str]:
        return {name: self.file(folder / name) for name in names}
