"""Where the pictures of a data set are, and what they are: their identity, their classes, their download."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compressor.data import class_order, digits, image_folder, torchvision_sets
from compressor.data.contents import FileDigests
from compressor.data.settings import DataSettings
from compressor.data.split_folders import TEST_SHARE
from compressor.store.keys import digest

SPLIT_REVISION = 1
"""Raised by hand when a split of the same files changes."""


@dataclass(frozen=True)
class Source:
    """A named set, or a folder of the user's own. base: the folder that relative paths begin at."""

    settings: DataSettings
    base: Path

    @property
    def name(self) -> str | None:
        """The set's name; None for a folder."""
        return self.settings.name

    def scan(self) -> image_folder.Folder:
        """The pictures of the user's folder, none of them opened."""
        assert self.settings.folder is not None
        return image_folder.scan(
            self.base / self.settings.folder.expanduser(),
            test=self.settings.test,
            classes=self.given_classes(),
            skip_broken=self.settings.broken == "skip",
        )

    def classes(self) -> tuple[str, ...] | None:
        """The classes in the order of the outputs; None for a set that only its own file can tell."""
        if self.name is None:
            return self.scan().classes
        if self.settings.classes is not None:
            return self.given_classes()
        return digits.CLASSES if self.name == "digits" else torchvision_sets.SETS[self.name].classes

    def given_classes(self) -> tuple[str, ...] | None:
        """The order that the file gives, itself or in another file."""
        return class_order.given(self.settings.classes, self.base)

    def root(self) -> Path:
        """The folder in which torchvision keeps the named set."""
        return torchvision_sets.root_folder(self.base, self.settings.root)

    def variables(self) -> tuple[str, ...]:
        """COMPRESS_DATA where it alone tells where a named set lies."""
        asks = self.name not in (None, "digits") and self.settings.root is None
        return (torchvision_sets.VARIABLE,) if asks else ()

    def needs_download(self) -> bool:
        """Whether the file asks for a download of a set that is not there."""
        return self.settings.download and self.name is not None and not torchvision_sets.present(self.name, self.root())

    def fetch(self) -> None:
        """Download the named set."""
        assert self.name is not None
        torchvision_sets.fetch(self.name, self.root())

    def contents(self, digests: FileDigests) -> tuple[dict[str, Any], dict[str, Any]]:
        """What training and what test pictures are, as JSON: contents, never paths.

        Raises:
            InputError: data that is not there or not laid out as it must be.
        """
        if self.name is None:
            return self._of_folder(digests)
        if self.settings.classes is None:
            return self._of_set(self.name, digests)
        known = digits.CLASSES if self.name == "digits" else torchvision_sets.SETS[self.name].classes
        order = self.given_classes() or ()
        if known is not None:
            class_order.ordered(known, order, "class")
        train, test = self._of_set(self.name, digests)
        return {**train, "classes": list(order)}, {**test, "classes": list(order)}

    def _of_set(self, name: str, digests: FileDigests) -> tuple[dict[str, Any], dict[str, Any]]:
        if name == "digits":
            both = {"data": name, "files": [digests.file(digits.path())], "split": SPLIT_REVISION}
            return both, both
        if self.needs_download():
            waiting = {"data": name, "files": "to be downloaded"}
            return waiting, waiting
        root = self.root()
        torchvision_sets.require(name, root)
        files = torchvision_sets.files(name, root)
        train, test = ([digests.file(file) for file in files[part]] for part in ("train", "test"))
        return {"data": name, "files": train}, {"data": name, "files": test}

    def _of_folder(self, digests: FileDigests) -> tuple[dict[str, Any], dict[str, Any]]:
        found = self.scan()
        common: dict[str, Any] = {"classes": list(found.classes), "broken": self.settings.broken}
        known = image_folder.digests_of(found, digests)
        train = digest(image_folder.identity(found.train, known))
        if found.test is not None:
            test = digest(image_folder.identity(found.test, known))
            return {**common, "pictures": train}, {**common, "pictures": test}
        held = {"size": self.settings.test or TEST_SHARE, "split": SPLIT_REVISION}
        heap = {**common, "pictures": train, "test": held}
        return heap, heap
