"""Disks that are full or refuse: by a real mount where that is allowed, and by the error numbers anywhere."""

import errno
import os
import subprocess
import tempfile

import pytest

from compressor.errors import InputError, ResourceError
from compressor.store import disk
from compressor.store.keys import digest
from compressor.store.store import Store

KEY = digest("a step")


def put(store, data=b"weights"):
    folder = store.staging(KEY)
    with disk.writing(store.root):
        (folder / "weights").write_bytes(data)
    return store.commit(KEY, folder, kind="model", stage="s", settings={}, inputs={}, facts={}, record={})


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def read_only(place):
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)


def test_a_full_disk_is_said_and_leaves_no_artifact(small_disk):
    store = Store(small_disk / "store")
    with pytest.raises(ResourceError, match=r"store: the disk is full \([\d,]+ bytes are free\); free some space"):
        put(store, b"x" * 2_000_000)
    assert store.find(KEY) is None
    with store.hold(KEY):
        assert put(store).key == KEY


def test_a_read_only_store_serves_what_it_has(small_disk):
    store = Store(small_disk / "store")
    put(store)
    read_only(small_disk)
    with store.hold(KEY):
        assert store.open(KEY).file("weights").read_bytes() == b"weights"
    store.remember("x/y", KEY, {})
    assert store.previous("x/y") is None
    assert len(store.list()) == 1
    other = digest("another")
    uses = {
        "work": lambda: store.work(other),
        "staging": lambda: store.staging(other),
        "clean": lambda: store.clean(max_size=0),
        "hold": lambda: store.hold(other).__enter__(),
    }
    for use in uses.values():
        with pytest.raises(ResourceError, match=r"cannot be written \(read-only file system\); name a folder"):
            use()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO])
@pytest.mark.parametrize("call", ["fsync", "rename", "replace"])
def test_a_refusal_at_any_moment_of_a_commit_leaves_nothing_half(tmp_path, monkeypatch, number, call):
    store = Store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, lambda *_: (_ for _ in ()).throw(OSError(number, os.strerror(number))))
        with pytest.raises(ResourceError, match=str(tmp_path)):
            put(store)
    assert store.find(KEY) is None
    assert put(store).key == KEY
    store.open(KEY)


@pytest.mark.parametrize(
    ("number", "kind", "what"),
    [
        (errno.ENOSPC, ResourceError, "the disk is full ("),
        (errno.EDQUOT, ResourceError, "the disk is full or its quota used up ("),
        (errno.EROFS, ResourceError, "cannot be written (read-only file system)"),
        (errno.EACCES, ResourceError, "cannot be written (permission denied)"),
        (errno.ENOTDIR, ResourceError, "something else stands where it was expected (not a directory)"),
        (errno.ENOENT, ResourceError, "is missing"),
        (errno.EMFILE, ResourceError, "the system has no more to give (too many open files)"),
        (errno.ENAMETOOLONG, InputError, "this name is longer than the file system allows"),
    ],
)
def test_sentences(tmp_path, number, kind, what):
    said = disk.refusal(OSError(number, ""), tmp_path / "not" / "there")
    assert isinstance(said, kind)
    assert said.where == str(tmp_path / "not" / "there")
    assert said.what.startswith(what)
    assert said.todo


def test_the_option_that_names_another_folder_is_that_folders(tmp_path):
    problem = OSError(errno.EACCES, "Permission denied", str(tmp_path))
    for named_by in (disk.STORE, "--out"):
        with pytest.raises(ResourceError) as raised, disk.writing(tmp_path, named_by):
            raise problem
        assert raised.value.todo == f"name a folder that can be written with {named_by}"
    said = disk.foreseen(problem)
    assert (said.what, said.todo) == ("the system refuses (permission denied)", "see that you may read and write it")


def test_a_full_disk_without_a_name_is_the_one_with_less_room(small_disk, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    said = disk.foreseen(OSError(errno.ENOSPC, "No space left on device"))
    assert said.where == str(small_disk)
    assert disk.foreseen(OSError(errno.ENOSPC, "full", "a/b")).where == "a/b"


def test_no_place_for_temporary_files(monkeypatch):
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/dev/null/nowhere"])
    monkeypatch.setattr(tempfile, "tempdir", None)
    with pytest.raises(FileNotFoundError) as raised:
        tempfile.gettempdir()
    said = disk.foreseen(raised.value)
    assert isinstance(said, ResourceError)
    assert said.where == "TMPDIR"


def test_errors_of_another_kind_pass(tmp_path):
    with pytest.raises(OSError, match="another"), disk.writing(tmp_path):
        raise OSError(errno.ENOTTY, "another")
