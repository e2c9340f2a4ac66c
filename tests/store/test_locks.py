"""Two processes on one store, and processes that are killed."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from compressor.errors import ResourceError
from compressor.store.keys import digest
from compressor.store.store import Store

KEY = digest("a step")

HOLDER = """
import sys, time
from pathlib import Path
from compressor.store.store import Store
store = Store(sys.argv[1])
with store.hold(sys.argv[2], needs=["needed"]):
    (store.work(sys.argv[2]) / "epoch").write_text("1")
    (store.staging(sys.argv[2]) / "half").write_text("half")
    print("held", flush=True)
    sys.stdin.readline()
"""

COMMITTER = """
import sys
from compressor.store.store import Store
store, key = Store(sys.argv[1]), sys.argv[2]
with store.hold(key):
    if store.find(key) is None:
        folder = store.staging(key)
        (folder / "weights").write_bytes(b"x" * 1_000_000)
        store.commit(key, folder, kind="model", stage="s", settings={}, inputs={}, facts={}, record={"seconds": 1})
        print("made")
print(store.open(key).file("weights").stat().st_size)
"""


def process(code, *arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


@pytest.fixture
def holder(tmp_path):
    """Another process that holds KEY until a line is sent to it."""
    other = process(HOLDER, tmp_path, KEY)
    assert other.stdout.readline() == "held\n"
    yield other
    other.kill()
    other.communicate()


def test_who_holds_a_key_is_said_when_waiting_begins_and_when_it_ends(tmp_path, holder):
    told = []
    with pytest.raises(ResourceError) as caught, Store(tmp_path, wait_seconds=0.2).hold(KEY, told.append):
        pytest.fail("not to be reached")
    (waiting,) = told
    who = f"is held by process {holder.pid} on {os.uname().nodename} (`-c "
    assert waiting.startswith(f"step key {KEY[:12]} in the store {tmp_path} {who}")
    assert waiting.endswith("waiting up to 0.2 s for it")
    assert caught.value.what.startswith(who)
    assert caught.value.what.endswith("still after 0.2 s")
    assert "--store" in caught.value.todo


def test_a_waiter_goes_on_when_the_holder_is_done(tmp_path, holder):
    threading.Timer(0.2, lambda: holder.communicate("\n")).start()
    with Store(tmp_path, wait_seconds=30).hold(KEY):
        assert holder.wait(10) == 0


def test_a_killed_holder_holds_nothing_and_leaves_no_damage(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    store = Store(tmp_path, wait_seconds=0)
    assert list((tmp_path / "work").glob(f"{KEY}.staging-*"))
    assert store.find(KEY) is None
    with store.hold(KEY):
        assert not list((tmp_path / "work").glob(f"{KEY}.staging-*"))
        assert (store.work(KEY) / "epoch").read_text() == "1"


def test_cleaning_takes_nothing_from_a_process_at_work(tmp_path, holder):
    store = Store(tmp_path)
    freed = store.clean(max_size=0)
    assert [row.key for row in freed.spared] == [KEY]
    assert freed.rows == ()
    assert freed.leftovers == 0
    assert len(list((tmp_path / "work").glob(f"{KEY}.staging-*"))) == 1
    note = json.loads((tmp_path / "work" / f"{KEY}.lock.json").read_text())
    assert note["needs"] == ["needed"]
    holder.kill()
    holder.wait()
    freed = store.clean(max_size=0)
    assert [row.key for row in freed.rows] == [KEY]
    assert freed.leftovers == 1
    assert list((tmp_path / "work").iterdir()) == []


def test_two_processes_make_one_artifact(tmp_path):
    both = [process(COMMITTER, tmp_path, KEY) for _ in range(2)]
    said = sorted(one.communicate()[0].split() for one in both)
    assert said == [["1000000"], ["made", "1000000"]]


def test_a_key_can_be_held_again_and_other_keys_meanwhile(tmp_path):
    store = Store(tmp_path, wait_seconds=0)
    with store.hold(KEY), store.hold(digest("another")):
        pass
    with store.hold(KEY):
        assert Path(tmp_path / "work" / f"{KEY}.lock").exists()
    assert not (tmp_path / "work" / f"{KEY}.lock.json").exists()


def test_an_error_inside_sets_the_key_free(tmp_path):
    store = Store(tmp_path, wait_seconds=0)
    with pytest.raises(KeyboardInterrupt), store.hold(KEY):
        raise KeyboardInterrupt
    with store.hold(KEY):
        pass


def test_a_lock_that_is_no_plain_file_is_neither_followed_nor_opened(tmp_path):
    store = Store(tmp_path / "store")
    lock = store.work(KEY).with_name(f"{KEY}.lock")
    victim = tmp_path / "victim"
    odd = {
        "a link": lambda: lock.symlink_to(victim),
        "a folder": lock.mkdir,
        "no plain file": lambda: os.mkfifo(lock),
    }
    for what, make in odd.items():
        make()
        said = f"{KEY}.lock: is {what}, and a lock is a plain file; remove it"
        with pytest.raises(ResourceError, match=said), store.hold(KEY):
            pass
        lock.rmdir() if lock.is_dir() else lock.unlink()
    assert not victim.exists()
    with store.hold(KEY):
        pass


@pytest.mark.parametrize(
    "note",
    [
        b"[" * 100_000, b"\xff\xfe{", b"{}", b"null", b'{"pid": 1e999}', b"x" * 2_000_000,
        b'{"pid": 1, "host": "h", "command": "c", "since": "s", "needs": 5}',
        b'{"pid": [], "host": 1, "command": {}, "since": null, "needs": [[1], {}]}',
    ],
    ids=["deep", "no text", "empty", "null", "huge number", "megabytes", "no list", "other types"],
)  # fmt: skip
def test_a_note_of_nonsense_is_nobody_s(tmp_path, note, holder):
    store = Store(tmp_path, wait_seconds=0.01)
    path = store.work(KEY).with_name(f"{KEY}.lock.json")
    path.write_bytes(note)
    with pytest.raises(ResourceError, match="is held by another process"), store.hold(KEY):
        pass
    assert store.clean().rows == ()


def test_a_note_of_controls_is_shown(tmp_path, holder):
    store = Store(tmp_path, wait_seconds=0.01)
    entry = {
        "pid": 7,
        "host": "\x1b]0;h\x07",
        "command": "c\nverdict: pass\u202e",
        "since": "s",
        "needs": [],
        "more": 1,
    }
    store.work(KEY).with_name(f"{KEY}.lock.json").write_text(json.dumps(entry))
    with pytest.raises(ResourceError) as said, store.hold(KEY):
        pass
    assert r"held by process 7 on \x1b]0;h\x07 (`c verdict: pass\u202e`) since s, still" in said.value.sentence()
