"""`artifact.json` byte for byte, sizes added up, and the sentences of files that are not what they should be."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from compressor.errors import IntegrityError, ResourceError, StepError
from compressor.store import manifest
from compressor.store.digests import Digests
from compressor.store.manifest import Manifest

FILES = {"a.bin": {"sha256": "0" * 64, "bytes": 7}, "below/b.bin": {"sha256": "1" * 64, "bytes": 5}}


def made(**changes: Any) -> Manifest:
    facts: dict[str, Any] = {
        "key": "ab", "kind": "model", "stage": "train", "settings": {"rate": 0.5}, "inputs": {}, "facts": {"name": "é"},
        "record": {}, "files": FILES,
    }  # fmt: skip
    return Manifest(**{**facts, **changes})


def test_size_is_that_of_all_files() -> None:
    assert made().bytes == 12
    assert made(files={}).bytes == 0


def test_the_written_form(tmp_path: Path) -> None:
    """The digest is that of the other fields' canonical JSON, schema and digest left out."""
    manifest.write(tmp_path, made(files={}))
    text = (tmp_path / "artifact.json").read_text("ascii")
    canonical = (
        '{"facts":{"name":"\\u00e9"},"files":{},"inputs":{},"key":"ab","kind":"model","record":{},'
        '"settings":{"rate":0.5},"stage":"train"}'
    )
    seal = hashlib.sha256(canonical.encode()).hexdigest()
    assert text == (
        '{\n "schema": "compress.artifact/1",\n "facts": {\n  "name": "\\u00e9"\n },\n "files": {},\n "inputs": {},\n'
        ' "key": "ab",\n "kind": "model",\n "record": {},\n "settings": {\n  "rate": 0.5\n },\n "stage": "train",\n'
        f' "digest": "{seal}"\n}}\n'
    )
    assert manifest.read(tmp_path, "ab", "todo") == made(files={})


def test_no_folder_is_no_manifest(tmp_path: Path) -> None:
    assert manifest.read(tmp_path / "none", "ab", "todo") is None
    with pytest.raises(IntegrityError) as caught:
        manifest.read(tmp_path, "ab", "make it again")
    assert caught.value.sentence() == f"{tmp_path}/artifact.json: is missing from this artifact; make it again"


@pytest.mark.parametrize("field", ["schema", "digest"])
def test_another_schema_or_digest_is_an_alteration(tmp_path: Path, field: str) -> None:
    manifest.write(tmp_path, made())
    entry = json.loads((tmp_path / "artifact.json").read_text())
    entry[field] = entry[field][:-1] + "0" if not entry[field].endswith("0") else entry[field][:-1] + "1"
    (tmp_path / "artifact.json").write_text(json.dumps(entry))
    with pytest.raises(IntegrityError, match="was altered after it was written; todo"):
        manifest.read(tmp_path, "ab", "todo")


def test_fields_that_are_not_known_are_sealed_too_and_otherwise_ignored(tmp_path: Path) -> None:
    from compressor.store.keys import digest

    manifest.write(tmp_path, made())
    entry = json.loads((tmp_path / "artifact.json").read_text())
    del entry["digest"], entry["schema"]
    entry["later"] = 1
    sealed = {"schema": "compress.artifact/1", **entry, "digest": digest(entry)}
    (tmp_path / "artifact.json").write_text(json.dumps(sealed))
    assert manifest.read(tmp_path, "ab", "todo") == made()


def test_files_are_taken_with_their_bytes(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "b").write_bytes(b"12345")
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "artifact.json").write_text("{}")
    (tmp_path / "below" / "artifact.json").write_text("x")
    found = manifest.take_files(tmp_path)
    assert found == {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name, data in (("a", b""), ("below/artifact.json", b"x"), ("below/b", b"12345"))
    }
    assert list(found) == sorted(found)
    manifest.check_files(tmp_path, made(files=found), Digests(None), "todo")


def test_what_is_no_plain_file_is_the_step_s_fault(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    os.mkfifo(tmp_path / "below" / "pipe")
    with pytest.raises(StepError) as caught:
        manifest.take_files(tmp_path)
    assert caught.value.sentence() == f"{tmp_path}/below/pipe: is not a plain file; a stage writes plain files"


@pytest.mark.parametrize(
    ("error", "said"),
    [(OSError(errno.EIO, "Input/output error"), "input/output error"), (OSError("Odd"), "odd")],
)
def test_the_sentence_of_a_file_that_cannot_be_read(error: OSError, said: str) -> None:
    found = manifest.unreadable(Path("store/x"), error)
    assert isinstance(found, ResourceError)
    assert found.sentence() == f"store/x: cannot be read ({said}); check its permissions"


def test_another_key_is_named_by_its_first_twelve_digits(tmp_path: Path) -> None:
    manifest.write(tmp_path, made(key="0123456789abcdef"))
    with pytest.raises(IntegrityError) as caught:
        manifest.read(tmp_path, "ab", "make it again")
    assert caught.value.what == "belongs to another key, 0123456789ab"


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (seen.append((tmp_path / "artifact.json").exists()), sync(file)))
    manifest.write(tmp_path, made())
    assert seen
    assert not seen[0]
