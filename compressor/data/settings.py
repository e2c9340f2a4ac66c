"""Which pictures, and which of them choices are made on: the settings as the file writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, field_validator, model_validator

from compressor.data.split_folders import TEST_SHARE
from compressor.device.refused import Unfit
from compressor.strict import expanded


class Settings(BaseModel):
    """Settings of a task, unchanged once read, without a field that nobody knows."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, protected_namespaces=(), allow_inf_nan=False
    )


def _share_or_count(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("write a share below 1, or a count")
    if not (value > 0 if isinstance(value, int) else 0 < value < 1):
        todo = "write a share between 0 and 1, or a whole number of samples, without a point"
        raise Unfit(f"{value} is neither a share nor a count", todo)
    return value


ShareOrCount = Annotated[int | float, BeforeValidator(_share_or_count)]


def _share_count_or_name(name: object) -> object:
    if not isinstance(name, str):
        return _share_or_count(name)
    if name in ("", ".", "..") or "/" in name or "\\" in name:
        raise Unfit(f"{name!r} is no name of a folder in it", "write a name without /, a share, or a count")
    return name


def _class_names(given: object) -> object:
    if isinstance(given, str | Path):
        return Path(given)
    if not isinstance(given, list | tuple):
        raise ValueError("write a list of names, or the path of a file that holds one")
    odd = next((name for name in given if isinstance(name, bool) or not isinstance(name, str | int)), None)
    if odd is not None or None in given:
        raise Unfit(f"{odd!r} is no text", "write the name in quotes")
    names = [str(name) for name in given]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None or len(names) < 2:
        raise Unfit(f"{twice!r} stands there twice", "write each once") if twice else Unfit("write two or more names")
    return tuple(names)


ShareCountOrName = Annotated[int | float | str, BeforeValidator(_share_count_or_name)]
ClassNames = Annotated[
    tuple[str, ...] | Path, BeforeValidator(_class_names, json_schema_input_type=list[str | int] | str)
]


PathOfFile = Annotated[Path, BeforeValidator(expanded)]
"""A path in a pipeline file, in which `${NAME}` takes a variable of the environment."""


class DataSettings(Settings):
    """Which pictures: a set by its name, or a folder of the user's own."""

    name: Literal["digits", "cifar10", "cifar100", "fashion_mnist", "kmnist", "mnist", "svhn", "usps"] | None = Field(
        None, description="A set by name: digits (embedded), or one of torchvision's."
    )
    root: PathOfFile | None = Field(
        None, description="Folder in which torchvision keeps the named set; COMPRESS_DATA where left out."
    )
    download: StrictBool = Field(False, description="Whether a named set that is not there may be downloaded.")
    folder: PathOfFile | None = Field(
        None, description="A folder of pictures, one folder a class, in train/ and test/ or at its top."
    )
    test: ShareCountOrName | None = Field(
        None,
        description=f"Share or count of pictures kept for testing where folder has no test/ ({TEST_SHARE} if left"
        " out), or the name of the folder in it that is the test set.",
    )
    classes: ClassNames | None = Field(
        None,
        description="Names of all classes in the order of the network's outputs, or a file of them (one a line, or a"
        " JSON list); left out: plain order of the folders' names, as torchvision's ImageFolder has it.",
    )
    broken: Literal["fail", "skip"] = Field(
        "fail", description="A picture in folder that cannot be decoded: stop, or leave it out and say so."
    )

    @field_validator("name", mode="before")
    @classmethod
    def _is_a_set(cls, name: object) -> object:
        if name == "folder":
            raise Unfit("folder is no set", "for pictures of your own write {folder: PATH} and no name")
        return name

    @model_validator(mode="after")
    def _one_source(self) -> DataSettings:
        if (self.name is None) == (self.folder is None):
            raise ValueError("write one of name (a set) and folder (your own pictures)")
        of_sets, of_folders = ["root", "download"], ["test", "broken"]
        idle = of_folders if self.name else of_sets
        if self.name == "digits":
            idle = of_sets + of_folders
        for field in idle:
            if getattr(self, field) != DataSettings.model_fields[field].default:
                raise Unfit(f"{field} has no effect on {self.name or 'a folder'}", "leave it out")
        return self


class Validation(Settings):
    """Which samples choices are made on: split off the training set, or taken from the test set."""

    from_: Literal["train", "test"] = Field(
        "train",
        alias="from",
        description="Where validation samples come from; test for a loaded model that was trained on all of train.",
    )
    size: ShareOrCount = Field(0.1, description="A share of that set, or a count.")
