import hashlib
import json
import os
import time

import pytest

from compressor.errors import InputError
from compressor.store.digests import Digests


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def later() -> int:
    """A clock an hour ahead, so that what was just written counts as settled."""
    return time.time_ns() + 3600 * 10**9


@pytest.fixture
def reads(monkeypatch):
    """Counts the files that are really hashed."""
    seen = []
    real = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda stream, kind: seen.append(stream.name) or real(stream, kind))
    return seen


def test_file_is_hashed_once(tmp_path, reads):
    path = tmp_path / "weights.pt"
    path.write_bytes(b"weights")
    for _ in range(3):
        assert Digests(tmp_path / "memory", clock=later).file(path) == sha256(b"weights")
    assert len(reads) == 1


def test_a_file_just_written_is_not_remembered(tmp_path, reads):
    path = tmp_path / "weights.pt"
    path.write_bytes(b"weights")
    for _ in range(2):
        Digests(tmp_path / "memory").file(path)
    assert len(reads) == 2
    assert not (tmp_path / "memory").exists()


def test_altered_file_with_its_old_size_and_time_is_found(tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(b"weights")
    before = path.stat()
    digests = Digests(tmp_path / "memory", clock=later)
    digests.file(path)
    path.write_bytes(b"weightz")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert digests.file(path) == sha256(b"weightz")


def test_replaced_file_is_found(tmp_path):
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_bytes(b"one")
    other.write_bytes(b"two")
    digests = Digests(tmp_path / "memory", clock=later)
    digests.file(path)
    os.replace(other, path)
    assert digests.file(path) == sha256(b"two")


def test_memory_that_is_damaged_is_forgotten(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    digests = Digests(tmp_path / "memory", clock=later)
    digests.file(path)
    (memory,) = (tmp_path / "memory").iterdir()
    for text in ("{", "null", '{"files": 3}', '{"files": {"": [[1], 2, 3]}}', '{"files": {"": 7}}'):
        memory.write_text(text)
        assert digests.file(path) == sha256(b"one")


@pytest.mark.parametrize("value", [None, 7, [], "", "0123"])
def test_a_remembered_value_that_is_no_digest_is_forgotten(tmp_path, value):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    digests = Digests(tmp_path / "memory", clock=later)
    digests.file(path)
    (memory,) = (tmp_path / "memory").iterdir()
    entry = json.loads(memory.read_text())
    entry["files"][""][1] = value
    memory.write_text(json.dumps(entry))
    assert digests.file(path) == sha256(b"one")


def test_memory_that_cannot_be_written_changes_nothing(tmp_path):
    (tmp_path / "memory").write_text("a file where the folder should be")
    path = tmp_path / "a"
    path.write_bytes(b"one")
    assert Digests(tmp_path / "memory", clock=later).file(path) == sha256(b"one")
    assert Digests(None).file(path) == sha256(b"one")


def test_tree_counts_names_and_bytes_but_not_its_place_or_times(tmp_path):
    for name in ("here", "there"):
        (tmp_path / name / "cats").mkdir(parents=True)
        (tmp_path / name / "cats" / "1.png").write_bytes(b"cat")
        (tmp_path / name / "notes.txt").write_text(name)
    os.utime(tmp_path / "there" / "cats" / "1.png", (0, 0))
    digests = Digests(None)
    assert digests.tree(tmp_path / "here", [".png"]) == digests.tree(tmp_path / "there", [".PNG"])
    assert digests.tree(tmp_path / "here") != digests.tree(tmp_path / "there")
    (tmp_path / "there" / "cats" / "1.png").rename(tmp_path / "there" / "cats" / "2.png")
    assert digests.tree(tmp_path / "here", [".png"]) != digests.tree(tmp_path / "there", [".png"])


def test_tree_hashes_only_what_changed(tmp_path, reads):
    folder = tmp_path / "data"
    folder.mkdir()
    for name in "abc":
        (folder / name).write_text(name)
    digests = Digests(tmp_path / "memory", clock=later)
    first = digests.tree(folder)
    (folder / "b").write_text("another")
    assert digests.tree(folder) != first
    assert [os.path.basename(name) for name in reads] == ["a", "b", "c", "b"]


def test_tree_follows_links_and_survives_a_loop(tmp_path):
    real, linked = tmp_path / "real", tmp_path / "linked"
    for folder in (real, linked):
        (folder / "train").mkdir(parents=True)
    (real / "train" / "1.png").write_bytes(b"one")
    (linked / "train").rmdir()
    (linked / "train").symlink_to(real / "train")
    assert Digests(None).tree(linked) == Digests(None).tree(real)
    (real / "train" / "loop").symlink_to(real)
    assert Digests(None).tree(real) == Digests(None).tree(linked)


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.pt: there is no such file; check the path"):
        Digests(None).file(tmp_path / "nothing.pt")
    with pytest.raises(InputError, match="there is no such folder"):
        Digests(None).tree(tmp_path / "nothing")
    with pytest.raises(InputError, match="this is a folder, and a file is wanted"):
        Digests(None).file(tmp_path)
