"""The folder that goes to a device: its contract in types, reading it without trust, writing it, answering with it.

bundle/
  model.onnx    one file         bundle.json   all that a device must know, with a digest of itself
  samples.npz   golden samples   README.md     the model card         run.py, runner/   only when asked
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compressor.bundle import card
from compressor.device import manifest as description
from compressor.device.manifest import MANIFEST, MODEL, PACKAGE, RUNNER, SAMPLES, SCHEMA
from compressor.device.refused import Refused
from compressor.errors import CompressError, InputError, IntegrityError, ResourceError

CARD = "README.md"
REQUIRED = frozenset({MODEL, CARD})
BESIDE = ((RUNNER, "file"), (PACKAGE, "a folder"))
"""What may lie in the folder without being listed."""
FRESH_COPY = "get a fresh copy of the bundle, or run the pipeline again"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True, protected_namespaces=())


class FileEntry(_Part):
    """A file beside bundle.json."""

    sha256: Sha256
    bytes: int = Field(ge=0, le=2 * 2**30)


class TensorEntry(_Part):
    """An input or output of model.onnx; an open batch is the word `batch` in `shape`."""

    name: str
    dtype: str
    shape: tuple[Annotated[int, Field(ge=1)] | str, ...] = Field(min_length=1)
    layout: str = ""
    meaning: str = ""


class RuntimeEntry(_Part):
    """made_with: the onnxruntime that computed the golden samples. oldest: the first release that reads the file's
    opset and IR version by table, null where that is newer than the table."""

    made_with: str
    oldest: str | None = None


class BitsEntry(_Part):
    """Whether model.onnx gives the same bits on every CPU, and the kinds of operators for which that is not proven."""

    proven: bool
    because: tuple[Annotated[str, Field(pattern=r"^[a-z0-9_]{1,80} \([a-z0-9 -]{1,40}\)$")], ...] = ()


class TaskEntry(_Part):
    """The problem. data: what the report calls it."""

    type: str
    metric: str
    data: str | None = None


class Manifest(_Part):
    """bundle.json, schema `compress.bundle/1`. digest: SHA-256 of the canonical JSON of all other fields.

    preprocess: the whole list from picture to network. in_graph: those of its steps, and what its answers come
    out of (`softmax`, `sigmoid`, `log_softmax`, `log_sigmoid`), that model.onnx does itself and a device must not do
    again. samples: whether golden samples, pictures of the test set, are in the bundle. name and
    pipeline are null until a run puts the bundle into its folder.
    """

    schema_: Literal["compress.bundle/1"] = Field("compress.bundle/1", alias="schema")
    digest: Sha256 | None = None
    name: str | None = None
    task: TaskEntry
    files: dict[FileName, FileEntry] = Field(max_length=64)
    inputs: tuple[TensorEntry, ...] = Field(min_length=1, max_length=64)
    outputs: tuple[TensorEntry, ...] = Field(min_length=1, max_length=64)
    preprocess: tuple[dict[str, Any], ...] = ()
    in_graph: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    precision: str
    weight_bits: int | None = None
    bits: BitsEntry | None = None
    opset: int
    ir_version: int
    onnxruntime: RuntimeEntry
    parity: dict[str, dict[str, Any] | None]
    quality: dict[str, dict[str, Any]]
    quality_unseen: dict[str, dict[str, Any]] | None = None
    step_key: str | None = None
    pipeline: dict[str, Any] | None = None
    licence: str | None = None
    samples: bool = True

    def facts(self) -> dict[str, Any]:
        """As JSON, unknown fields included."""
        facts: dict[str, Any] = self.model_dump(mode="json", by_alias=True)
        return facts


@dataclass(frozen=True)
class Bundle:
    """A bundle's folder and its description."""

    folder: Path
    manifest: Manifest

    @property
    def model(self) -> Path:
        """The path of model.onnx."""
        return self.folder / MODEL

    @property
    def model_sha256(self) -> str:
        """The digest of model.onnx, as listed."""
        return self.manifest.files[MODEL].sha256


def read(folder: Path) -> Bundle:
    """The description of a bundle, validated; the files beside it are not opened (`check_files` does).

    Raises:
        InputError: the folder is no bundle, or of another version. IntegrityError: bundle.json was altered.
    """
    from compressor.device.steps import check_preprocess

    if not folder.is_dir():
        raise InputError(str(folder), "no such folder", "name a bundle's folder, such as runs/NAME/bundle")
    with translated():
        facts = description.read_manifest(folder)
    try:
        manifest = Manifest.model_validate(facts)
        check_preprocess(facts["preprocess"])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise IntegrityError(str(folder / MANIFEST), f"is no {SCHEMA} ({place}: {first['msg']})", FRESH_COPY) from None
    except (ValueError, TypeError, KeyError) as error:
        what = f"names steps of preprocess that are not known ({error})"
        raise IntegrityError(str(folder / MANIFEST), what, FRESH_COPY) from None
    wanted = REQUIRED | {SAMPLES} if manifest.samples else REQUIRED
    missing = sorted(wanted - set(manifest.files))
    if missing:
        raise IntegrityError(str(folder / MANIFEST), f"does not list {missing[0]}", FRESH_COPY)
    return Bundle(folder, manifest)


def check_names(bundle: Bundle) -> None:
    """See that bundle.json lists files of a bundle and no others; IntegrityError names the first other one."""
    with translated():
        description.check_names(bundle.folder, bundle.manifest.facts())


def check_files(bundle: Bundle) -> None:
    """Compare every file with its size and digest, and the folder's content with the list.

    Raises:
        IntegrityError: names the first file that differs, is missing, is a link, or is not listed. `run.py` and
            `runner/` need not be listed: they are what `compress export` puts there.
    """
    with translated():
        description.check_files(bundle.folder, bundle.manifest.facts())
    listed = {MANIFEST, *bundle.manifest.files}
    for entry in sorted(os.listdir(bundle.folder)):
        kind = description.kind_of(bundle.folder / entry)
        if kind == "a link":
            raise IntegrityError(str(bundle.folder / entry), "is a link, not a file", "move it elsewhere")
        if entry not in listed and (entry, kind) not in BESIDE:
            raise IntegrityError(str(bundle.folder / entry), f"is not listed in {MANIFEST}", "move it elsewhere")


def write(folder: Path, manifest: Manifest) -> Bundle:
    """Write README.md and bundle.json, digests included, for the files that lie in `folder`.

    What is written depends on those files and the manifest alone.
    """
    (folder / CARD).write_text(card.render(manifest.facts()), encoding="utf-8", newline="\n")
    paths = [folder / entry for entry in sorted(os.listdir(folder)) if entry not in (MANIFEST, RUNNER)]
    files = {path.name: {"sha256": description.file_digest(path), "bytes": path.stat().st_size} for path in paths}
    facts = Manifest.model_validate({**manifest.facts(), "files": files, "digest": None}).facts()
    facts["digest"] = description.manifest_digest(facts)
    text = json.dumps(facts, indent=1, allow_nan=False) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8", newline="\n")
    return read(folder)


class translated:  # noqa: N801  # reads as a word in `with translated():`
    """Turns the runner's one-line refusals into this package's errors with the same exit codes."""

    def __enter__(self) -> None:
        """Nothing to set up."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Raise the package's error in place of the runner's."""
        if error is not None and isinstance(error, Refused):
            kinds: dict[int, type[CompressError]] = {int(one.exit_code): one for one in (IntegrityError, ResourceError)}
            made = kinds.get(error.code, InputError)
            raise made(error.place, error.problem, error.todo) from None
