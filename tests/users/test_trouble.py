"""Full and read-only disks, a store that another process holds, altered artifacts, Ctrl-C and kills: nothing is lost."""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from compressor.store.store import Store

Compress = Callable[..., tuple[int, str, str]]
Run = tuple[Path, Path, Path]


@contextmanager
def mounted(*words: str | Path) -> Iterator[None]:
    """A mount for a while; the test is skipped where mounting is refused."""
    target = words[-1]
    if not sys.platform.startswith("linux") or shutil.which("mount") is None:
        pytest.skip("there is no mount here")
    done = subprocess.run(["mount", *words], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting is refused here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", target], check=True)


def digests(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in store.glob("artifacts/*/*/*") if path.is_file()}


def test_a_full_disk(tiny_run: Run, compress: Compress, tmp_path: Path) -> None:
    file, _, _ = tiny_run
    store = tmp_path / "small"
    store.mkdir()
    with mounted("-t", "tmpfs", "-o", "size=64k", "tmpfs", store):
        code, _, said = compress("run", file, "--store", store, "--out", tmp_path / "run")
        assert code == 7, said
        assert f"{store}: the disk is full" in said
        assert "compress store clean" in said
        assert not list(store.glob("artifacts/*/*"))
    assert not (tmp_path / "run" / "report.json").exists()


def test_a_run_folder_on_a_full_disk(tiny_run: Run, compress: Compress, tmp_path: Path) -> None:
    file, _, store = tiny_run
    out = tmp_path / "small"
    out.mkdir()
    with mounted("-t", "tmpfs", "-o", "size=64k", "tmpfs", out):
        code, _, said = compress("run", file, "--store", store, "--out", out)
        assert code == 7, said
        assert str(out) in said
        assert "the disk is full" in said
        assert not (out / "report.json").exists()


def test_a_run_folder_that_may_only_be_read(tiny_run: Run, compress: Compress, tmp_path: Path) -> None:
    file, _, store = tiny_run
    place = tmp_path / "shared"
    place.mkdir()
    with mounted("-o", "bind,ro", tmp_path, place):
        if os.access(place, os.W_OK):
            pytest.skip("a bind mount stays writable here")
        code, _, said = compress("run", file, "--store", store, "--out", place / "run")
    assert code == 7, said
    todo = "name a folder that can be written with --out"
    assert f"{place / 'run'}: cannot be written (read-only file system); {todo}" in said


def test_a_store_that_may_only_be_read(tiny_run: Run, compress: Compress, tmp_path: Path) -> None:
    file, _, store = tiny_run
    shared = tmp_path / "shared"
    shared.mkdir()
    with mounted("-o", "bind,ro", store, shared):
        if os.access(shared, os.W_OK):
            pytest.skip("a bind mount stays writable here")
        code, said, _ = compress("plan", file, "--store", shared)
        assert code == 0
        assert "0 of 12 to run" in said
        code, _, said = compress("run", file, "--store", shared, "--out", tmp_path / "reused")
        assert code == 0, said
        new = ("--set", "steps.student.temperature=2")
        code, said, _ = compress("plan", file, "--store", shared, *new)
        assert code == 0
        code, _, said = compress("run", file, "--store", shared, "--out", tmp_path / "new", *new)
        assert code == 7, said
        assert f"{shared}: cannot be written (read-only file system); name a folder" in said


def test_a_store_that_another_process_holds(
    tiny_run: Run, compress: Compress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    file, _, store = tiny_run
    copy = tmp_path / "store"
    shutil.copytree(store, copy)
    wanted = ("--set", "steps.student.temperature=3", "--until", "student", "--store", copy)
    _, said, _ = compress("plan", file, *wanted)
    short = re.findall(r"student\s+distill.*?([0-9a-f]{8})\s*$", said, re.MULTILINE)[0]
    monkeypatch.setattr("compressor.pipeline.plan.prepare.Store", functools.partial(Store, wait_seconds=0.2))

    held: list[Any] = []
    hold = Store.hold

    def holding(self: Store, key: str, **more: Any) -> Any:
        """Another process takes the lock of the key just before this one would."""
        if key.startswith(short) and not held:
            lock = self._lock(key)
            lock.parent.mkdir(parents=True, exist_ok=True)
            held.append(lock.open("w"))
            fcntl.flock(held[0], fcntl.LOCK_EX)
        return hold(self, key, **more)

    monkeypatch.setattr(Store, "hold", holding)
    code, out, said = compress("run", file, "--out", tmp_path / "run", *wanted)
    held[0].close()
    assert code == 7, said
    assert "waiting up to 0.2 s" in out
    assert "is held by another process, still after 0.2 s" in said
    assert "--store" in said
    assert compress("run", file, "--out", tmp_path / "run", *wanted)[0] == 0


@pytest.mark.parametrize("victim", ["weights.safetensors", "artifact.json", "core.onnx"])
def test_the_command_that_is_named_rebuilds_an_altered_artifact(
    tiny_run: Run, compress: Compress, tmp_path: Path, victim: str
) -> None:
    file, _, store = tiny_run
    copy = tmp_path / "store"
    shutil.copytree(store, copy)
    altered = sorted(copy.glob(f"artifacts/*/*/{victim}"))[0]
    whole = altered.read_bytes()
    altered.write_bytes(whole[: len(whole) // 2])
    before = digests(copy)

    if victim == "weights.safetensors":
        later = "steps.int8.calibration_samples=33"
        code, _, said = compress("run", file, "--store", copy, "--out", tmp_path / "run", "--set", later)
        assert code == 4, said
        assert "--fresh" in said
    code, _, said = compress("run", file, "--store", copy, "--out", tmp_path / "run")
    assert str(altered) in said
    assert digests(copy) == before

    named = re.search(r"`compress (run .*? --fresh \S+)`", said)
    assert named is not None, said
    assert compress(*shlex.split(named[1]), "--out", tmp_path / "run")[0] == 0
    assert compress("run", file, "--store", copy, "--out", tmp_path / "run")[0] == 0
    assert altered.read_bytes() == whole or altered.name == "artifact.json"


LONG = """\
version: 1
name: long
task: {type: image-classification, data: digits}
steps:
  teacher: {stage: finetune, model: {name: mlperf_resnet8, widths: [4, 8, 8]}, epochs: 20, batch_size: 32}
"""


def start(words: list[str], folder: Path) -> subprocess.Popen[str]:
    """A run in a folder whose modules are nobody's business."""
    (folder / "random.py").write_text("raise SystemExit('a file of the current folder was imported')")
    # A job that a script put into the background ignores Ctrl-C, and so would all that it starts.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "compressor", *words, "--log-json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=folder, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def until_trains(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    deadline = time.monotonic() + 120
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "progress" and event["done"] > 50:
            return
        assert time.monotonic() < deadline
    raise AssertionError(process.communicate()[1])


def child_of(process: subprocess.Popen[str]) -> int:
    tasks = Path(f"/proc/{process.pid}/task")
    return int(next(pid for task in tasks.iterdir() for pid in (task / "children").read_text().split()))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for the child in /proc")
def test_interrupted_killed_and_run_twice_at_once(tmp_path: Path, compress: Compress) -> None:
    file = tmp_path / "long.yaml"
    file.write_text(LONG)
    words = ["run", str(file), "--store", str(tmp_path / "store"), "--out", str(tmp_path / "run")]

    running = start(words, tmp_path)
    until_trains(running)
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 130, said
    last = said.strip().splitlines()[-1]
    assert "go on with: compress run" in last
    again = shlex.split(last.partition("go on with: compress ")[2].partition("--log-json")[0])
    assert again == words

    running = start(again, tmp_path)
    until_trains(running)
    os.kill(child_of(running), signal.SIGKILL)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 7, said
    assert "try batch_size: 16 (it was 32)" in said

    running = start([*again[:-1], str(tmp_path / "one")], tmp_path)
    until_trains(running)
    code, out, said = compress(*again[:-1], str(tmp_path / "two"), "--log-json")  # the same at once, in this process
    assert code == 0, said
    assert '"event": "waiting"' in out
    assert "goes on at epoch" in (tmp_path / "one" / "log.jsonl").read_text()
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 0, said
    assert len(list((tmp_path / "store").glob("artifacts/*/*/weights.safetensors"))) == 1
