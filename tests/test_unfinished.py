"""What is written or used for a while: whole, and gone after the next run even where a kill ends it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from compressor import unfinished
from compressor.data.image_check import Memory
from compressor.data.image_folder import PictureFile
from compressor.store.keys import digest
from compressor.store.store import Store

UNIX = pytest.mark.skipif(os.name == "nt", reason="locks on folders")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A TMPDIR of the test's own."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return place


def killed(code: str, *words: object) -> None:
    """Run code in a process that kills itself, `die()`."""
    head = "import os, signal, sys\ndie = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
    ended = subprocess.run([sys.executable, "-c", head + code, *map(str, words)], check=False)
    assert ended.returncode == -signal.SIGKILL


def test_write_whole_leaves_the_old_text_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "note.json"
    unfinished.write_whole(path, "old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(OSError, match="full"):
        unfinished.write_whole(path, "new", durable=True)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_half_written_is_swept(tmp_path: Path) -> None:
    dead = 2**22 + 7  # above the largest number that Linux gives a process
    mine = os.getppid()
    names = {
        f".report.html.{dead}.tmp": False,
        f".abc.json.{dead}-0123456789ab": False,
        f".report.html.{mine}.tmp": True,
        f"report.html.{dead}.tmp": True,
        ".hidden": True,
        "report.html": True,
    }
    for name in names:
        (tmp_path / name).write_text("half")
    (tmp_path / f".folder.{dead}.tmp").mkdir()
    unfinished.sweep(tmp_path)
    assert {name: (tmp_path / name).exists() for name in names} == names
    unfinished.sweep(tmp_path / "nowhere")


@UNIX
@pytest.mark.parametrize("kind", ["work", "smoke"])
def test_a_folder_of_a_killed_process_goes_and_one_in_use_stays(temporary: Path, kind: str) -> None:
    killed(
        "from compressor import unfinished\n"
        "with unfinished.folder(sys.argv[1]) as made:\n"
        "    (made / 'half').write_text('x')\n"
        "    die()",
        kind,
    )
    (left,) = temporary.iterdir()
    assert (left / "half").is_file()
    (temporary / "compress-work-a").mkdir()  # a name like those, and not of ours
    with unfinished.folder() as mine:
        unfinished.sweep_folders()
        assert sorted(temporary.iterdir()) == sorted([mine, temporary / "compress-work-a"])
    assert not mine.exists()


@UNIX
def test_links_are_no_leftovers(temporary: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (temporary / "compress-work-abcdefgh").symlink_to(tmp_path / "kept")
    unfinished.sweep_folders()
    assert (tmp_path / "kept").is_dir()


@UNIX
def test_a_new_folder_that_was_taken_for_a_leftover_is_made_again(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = unfinished._held

    def late(path: str, *, waiting: bool = True) -> int | None:
        """Another process sweeps between the making and the holding, with the folder open already."""
        mark = hold(path, waiting=waiting)
        os.rmdir(path)
        monkeypatch.setattr(unfinished, "_held", hold)
        return mark

    monkeypatch.setattr(unfinished, "_held", late)
    with unfinished.folder() as made:
        assert made.is_dir()
    assert list(temporary.iterdir()) == []


@UNIX
def test_what_is_remembered_of_pictures_is_swept(tmp_path: Path) -> None:
    picture = PictureFile(tmp_path / "a.png", "a", None)
    killed(
        "from pathlib import Path\n"
        "from compressor.data.image_check import Memory\n"
        "os.replace = die\n"
        "memory = Memory(Path(sys.argv[1]), {})\n"
        "memory._keep()",
        tmp_path / "store" / "digests",
    )
    (left,) = (tmp_path / "store" / "digests").iterdir()
    store = Store(tmp_path / "store")
    store.sweep()
    assert not left.exists()
    assert Memory(store.root / "digests", {picture.path: "0"}).look([picture]) == [
        {"problem": "cannot be read (No such file or directory)", "todo": "replace or remove it"}
    ]


def test_folders_that_became_no_artifact_go_unless_somebody_works_on_them(tmp_path: Path) -> None:
    store = Store(tmp_path, wait_seconds=0)
    dead, held, resumable, damaged, done = map(digest, ("dead", "held", "resumable", "damaged", "done"))
    left = store.staging(dead)
    (left / "weights").write_bytes(b"half")
    (tmp_path / "work" / "trash-1-abc").mkdir()
    (store.folder(damaged).with_name(f"{damaged}.old-7-abc")).mkdir(parents=True)
    evidence = store.folder(damaged).with_name(f"{damaged}.damaged")
    evidence.mkdir()
    (store.work(resumable) / "checkpoint").write_bytes(b"x")
    made = store.staging(done)
    (made / "weights").write_bytes(b"whole")
    store.commit(done, made, kind="model", stage="finetune", settings={}, inputs={}, facts={}, record={})
    (store.work(done) / "checkpoint").write_bytes(b"x")  # killed after the artifact was in its place
    with store.hold(held):
        at_work = store.staging(held)
        store.sweep()
        assert at_work.is_dir()
    assert not left.exists()
    assert not (tmp_path / "work" / "trash-1-abc").exists()
    assert list(store.folder(damaged).parent.iterdir()) == [evidence]
    assert (tmp_path / "work" / resumable / "checkpoint").is_file()
    assert not (tmp_path / "work" / done).exists()
