"""Image classification, the torch-free half: settings, the data's identity, the classes where they are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from compressor.data import class_order, digits, image_folder, torchvision_sets
from compressor.data.split_folders import TEST_SHARE
from compressor.errors import InputError
from compressor.store.keys import digest
from compressor.tasks.base import FileDigests, TaskSpec
from compressor.tasks.image_settings import Augment, Data, HowMany, PreprocessItem, Validation

SPLIT_REVISION = 1
"""Raised by hand when a split of the same files changes."""


class ImageClassificationSpec(TaskSpec):
    """Telling pictures apart: one class a picture."""

    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)
    metric: ClassVar[str] = "accuracy"
    metric_ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"accuracy": (0.0, 1.0)}

    type: Literal["image-classification"] = Field("image-classification", description="One class a picture.")
    data: Data = Field(
        description="A set by name (`digits`, or one of torchvision's), or pictures of your own: {folder: PATH}."
    )
    validation: HowMany = Field(
        Validation(),
        description="Samples that choices are made on: a share or count of train, or {from: test, size: N}.",
    )
    preprocess: tuple[PreprocessItem, ...] | None = Field(
        None,
        description="Ordered steps from picture to network input; else what the weights declare, else the set's own.",
    )
    augment: tuple[Augment, ...] = Field((), description="Ordered random changes of training pictures.")

    @field_validator("preprocess")
    @classmethod
    def _is_one_list(cls, items: tuple[PreprocessItem, ...] | None) -> tuple[PreprocessItem, ...] | None:
        if items is not None:
            from compressor.runner import runner

            runner().check_preprocess([item.step() for item in items])
        return items

    @field_validator("augment")
    @classmethod
    def _holds_together(cls, items: tuple[Augment, ...]) -> tuple[Augment, ...]:
        names = [next(iter(item.step())) for item in items]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ValueError(f"{twice} stands there twice; leave one out")
        if "random_resized_crop" in names[1:]:
            raise ValueError("random_resized_crop cuts from the source picture; put it first")
        return items

    @property
    def data_name(self) -> str:
        """The set's name, or the folder's own."""
        return self.data.name or Path(self.data.folder or "").name

    def fingerprint(
        self, base: Path, digests: FileDigests, declared: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Contents of the files and what is done with them, for each of train, validation, test, preprocess, augment.

        Raises:
            InputError: data that is not there or not laid out as it must be.
        """
        train, test = self._contents(base, digests)
        validation = {"from": self.validation.from_, "size": self.validation.size, "split": SPLIT_REVISION}
        from_train = self.validation.from_ == "train"
        return {
            "train": {**train, "held_out": validation if from_train else None},
            "validation": {**(train if from_train else test), **validation},
            "test": test,
            "preprocess": self.preprocess_steps(declared),
            "augment": self.augment_steps(),
        }

    def variables(self) -> tuple[str, ...]:
        """COMPRESS_DATA where it alone tells where a named set lies."""
        asks = self.data.name not in (None, "digits") and self.data.root is None
        return (torchvision_sets.VARIABLE,) if asks else ()

    def libraries(self) -> Mapping[str, tuple[str, ...]]:
        """numpy draws splits and orders; Pillow decodes and resizes; torchvision has TrivialAugment."""
        data = ("numpy",) if self.data.name else ("numpy", "pillow")
        resizes = self.preprocess is None or any("resize" in item.step() for item in self.preprocess)
        made_by = {"random_resized_crop": "pillow", "trivial_augment": "torchvision"}
        changes = {made_by[name] for item in self.augment for name in item.step() if name in made_by}
        return {
            **dict.fromkeys(("train", "validation", "test"), data),
            "preprocess": ("pillow",) if resizes else (),
            "augment": tuple(sorted(changes)),
        }

    def preprocess_steps(self, declared: Mapping[str, Any] | None = None) -> list[dict[str, Any]] | dict[str, Any]:
        """The resolved list; where the file is silent and the weights speak, who declares it and which step we put
        first."""
        if self.preprocess is not None:
            return [item.step() for item in self.preprocess]
        if declared is not None:
            return {"declared_by": dict(declared), "first": "channels"}
        return self.default_steps()

    def resolved_steps(self, declared: Sequence[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
        """The list that holds: the file's, else what the weights declare, else the task's own.

        Raises:
            InputError: what the weights declare is not a list of ours.
        """
        if self.preprocess is not None:
            return [item.step() for item in self.preprocess]
        if declared is None:
            return self.default_steps()
        from compressor.runner import runner

        try:
            steps = [PreprocessItem.model_validate(item).step() for item in declared]
            runner().check_preprocess(steps)
        except ValueError as error:
            what = f"what the weights declare is not a list of ours ({str(error).splitlines()[0]})"
            raise InputError("task.preprocess", what, "write task.preprocess in the file") from error
        return steps

    def default_steps(self) -> list[dict[str, Any]]:
        """The task's own preprocessing, where neither the file nor the weights say anything.

        A named set: pixels to 0..1, then its own mean and deviation. A folder: 224 pixels, as ImageNet networks take.
        """
        steps: Sequence[dict[str, Any]] = image_folder.PREPROCESS
        if self.data.name is not None:
            known = self.data.name == "digits"
            steps = digits.PREPROCESS if known else torchvision_sets.SETS[self.data.name].preprocess
        return [dict(item) for item in steps]

    def augment_steps(self) -> list[dict[str, Any]]:
        """`[{name: settings}]` in order, defaults filled in."""
        return [item.step() for item in self.augment]

    def class_names(self, base: Path) -> tuple[str, ...] | None:
        """The classes in the order of the outputs; None for a set that only its own file can tell."""
        if self.data.name is None:
            return self.scan(base).classes
        if self.data.classes is not None:
            return self.given_classes(base)
        return digits.CLASSES if self.data.name == "digits" else torchvision_sets.SETS[self.data.name].classes

    def scan(self, base: Path) -> image_folder.Folder:
        """The pictures of the user's folder, none of them opened."""
        assert self.data.folder is not None
        return image_folder.scan(
            base / self.data.folder.expanduser(),
            test=self.data.test,
            classes=self.given_classes(base),
            skip_broken=self.data.broken == "skip",
        )

    def given_classes(self, base: Path) -> tuple[str, ...] | None:
        """The order that the file gives, itself or in another file."""
        return class_order.given(self.data.classes, base)

    def root(self, base: Path) -> Path:
        """The folder in which torchvision keeps the named set."""
        return torchvision_sets.root_folder(base, self.data.root)

    def needs_download(self, base: Path) -> bool:
        """Whether the file asks for a download of a set that is not there."""
        name = self.data.name
        return self.data.download and name is not None and not torchvision_sets.present(name, self.root(base))

    def _contents(self, base: Path, digests: FileDigests) -> tuple[dict[str, Any], dict[str, Any]]:
        name = self.data.name
        if name is None:
            return self._folder_contents(base, digests)
        if self.data.classes is None:
            return self._named_contents(name, base, digests)
        known = digits.CLASSES if name == "digits" else torchvision_sets.SETS[name].classes
        order = self.given_classes(base) or ()
        if known is not None:
            class_order.ordered(known, order, "class")
        train, test = self._named_contents(name, base, digests)
        return {**train, "classes": list(order)}, {**test, "classes": list(order)}

    def _named_contents(self, name: str, base: Path, digests: FileDigests) -> tuple[dict[str, Any], dict[str, Any]]:
        if name == "digits":
            both = {"data": name, "files": [digests.file(digits.path())], "split": SPLIT_REVISION}
            return both, both
        root = self.root(base)
        if self.needs_download(base):
            waiting = {"data": name, "files": "to be downloaded"}
            return waiting, waiting
        torchvision_sets.require(name, root)
        files = torchvision_sets.files(name, root)
        train, test = ([digests.file(file) for file in files[part]] for part in ("train", "test"))
        return {"data": name, "files": train}, {"data": name, "files": test}

    def _folder_contents(self, base: Path, digests: FileDigests) -> tuple[dict[str, Any], dict[str, Any]]:
        found = self.scan(base)
        common: dict[str, Any] = {"classes": list(found.classes), "broken": self.data.broken}
        known = image_folder.digests_of(found, digests)
        train = digest(image_folder.identity(found.train, known))
        if found.test is not None:
            test = digest(image_folder.identity(found.test, known))
            return {**common, "pictures": train}, {**common, "pictures": test}
        held = {"size": self.data.test or TEST_SHARE, "split": SPLIT_REVISION}
        heap = {**common, "pictures": train, "test": held}
        return heap, heap
