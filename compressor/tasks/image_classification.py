"""Image classification, the torch-free half: settings, the data's identity, the classes where they are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from compressor.data import digits, image_folder, torchvision_sets
from compressor.data.contents import FileDigests
from compressor.data.settings import Validation
from compressor.data.source import SPLIT_REVISION, Source
from compressor.device.refused import Unfit
from compressor.errors import InputError
from compressor.problem.metric import Metric
from compressor.problem.task import Task
from compressor.tasks.base import TaskSpec
from compressor.tasks.classification_metrics import METRICS
from compressor.tasks.image_settings import Augment, Data, HowMany, PreprocessItem


class ImageClassificationSpec(TaskSpec):
    """Telling pictures apart: one class a picture."""

    metrics: ClassVar[Mapping[str, Metric]] = METRICS

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
            from compressor.device.steps import check_preprocess

            check_preprocess([item.step() for item in items])
        return items

    @field_validator("augment")
    @classmethod
    def _holds_together(cls, items: tuple[Augment, ...]) -> tuple[Augment, ...]:
        names = [next(iter(item.step())) for item in items]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise Unfit(f"{twice} stands there twice", "leave one out")
        if "random_resized_crop" in names[1:]:
            raise Unfit("random_resized_crop cuts from the source picture", "put it first")
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
        train, test = self.source(base).contents(digests)
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
        return self.source(Path()).variables()

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
        from compressor.device.steps import check_preprocess

        try:
            steps = [PreprocessItem.model_validate(item).step() for item in declared]
            check_preprocess(steps)
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

    def source(self, base: Path) -> Source:
        """Where the pictures are."""
        return Source(self.data, base)

    def needs_download(self, base: Path) -> bool:
        """Whether the file asks for a download of a set that is not there."""
        return self.source(base).needs_download()

    def fetch(self, base: Path) -> None:
        """Download the named set that the file asked for."""
        self.source(base).fetch()

    def make(
        self, base: Path, *, smoke: bool = False, declared: Sequence[Mapping[str, Any]] | None = None,
        digests: FileDigests | None = None, cache: Path | None = None,
    ) -> Task:  # fmt: skip
        """Pictures and classes, loaded and checked; see `TaskSpec.make`."""
        from compressor.data import image_data
        from compressor.tasks.classification import ImageClassification

        data = image_data.load(
            self.source(base), self.validation, smoke=smoke, steps=self.resolved_steps(declared),
            augment=self.augment_steps(), digests=digests, cache=cache,
        )  # fmt: skip
        return ImageClassification(self, data)


SPEC = ImageClassificationSpec
