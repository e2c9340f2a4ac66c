"""Processes that are asked to end, or that a signal ends: a sentence, the right code, and the command that goes on."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from compressor.bundle.copies import put_runner
from compressor.cli.ending import code_of
from compressor.deaths import death, was_stopped
from compressor.errors import Exit, Interrupted, ResourceError
from compressor.latency.experiment import _failure
from compressor.pipeline.run.supervise import _death
from compressor.store.disk import foreseen

Run = tuple[Path, Path, Path]
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals")
STEP = {"node": "student", "relief": "batch_size: 16 (it was 32)"}


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_working_process_that_was_asked_to_end_is_interrupted(name: str) -> None:
    told = _death(-getattr(signal, name), STEP, "")
    assert isinstance(told, Interrupted)
    assert "everything finished so far is kept" in told.sentence()


@pytest.mark.parametrize(
    ("name", "meaning", "todo"),
    [
        ("SIGSEGV", "a library crashed, most often for want of memory", "batch_size: 16 (it was 32)"),
        ("SIGBUS", "a library crashed, most often for want of memory", "batch_size: 16 (it was 32)"),
        ("SIGKILL", "the system, or somebody, killed it, most often for want of memory", "batch_size: 16 (it was 32)"),
        ("SIGILL", "an instruction that this CPU does not know", "see what ended it"),
        ("SIGXCPU", "the processor time that it may take (`ulimit -t`)", "see what ended it"),
        ("SIGUSR1", "it was ended from outside", "see what ended it"),
    ],
)
def test_a_death_says_the_step_what_it_means_and_what_to_do(name: str, meaning: str, todo: str) -> None:
    code = -getattr(signal, name)
    told = _death(code, STEP, "")
    assert isinstance(told, ResourceError)
    assert told.sentence().startswith(f"step student: the working process died by {name}: ")
    assert meaning in told.sentence()
    assert "nothing is lost" in told.sentence()
    assert todo in told.sentence()
    timed = _failure(code, "", 1)
    assert timed.exit_code == Exit.RESOURCES
    assert meaning in timed.sentence()


def test_a_signal_without_a_name() -> None:
    assert death(-47).startswith("died by signal 47: ")
    assert not was_stopped(-47)
    assert not was_stopped(0)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_command_that_is_asked_to_end_says_how_to_start_again(
    name: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = getattr(signal, name)
    monkeypatch.setattr(sys, "argv", ["compress", "verify", "a bundle"])
    before = signal.signal(asked, signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)

    def command() -> None:
        os.kill(os.getpid(), asked)
        time.sleep(60)

    try:
        assert code_of(command, ["verify", "a bundle"]) == 130
        assert signal.getsignal(asked) is (signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)
    finally:
        signal.signal(asked, before)
    assert capfd.readouterr().err == "error: interrupted; start again with: compress verify 'a bundle'\n"


def test_a_request_that_is_ignored_stays_ignored(capfd: pytest.CaptureFixture[str]) -> None:
    """As `nohup` has it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert code_of(lambda: os.kill(os.getpid(), signal.SIGHUP), ["verify"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("module", ["compressor", "run.py"])
def test_ctrl_c_while_python_still_loads_shows_no_traceback(tmp_path: Path, module: str) -> None:
    """`rich` (`numpy`) is replaced by a module that takes the Ctrl-C in the middle of its import."""
    name = "rich" if module == "compressor" else "numpy"
    (tmp_path / f"{name}.py").write_text("raise KeyboardInterrupt")
    command = ["-m", "compressor"] if module == "compressor" else [str(put_runner(tmp_path / "device"))]
    done = subprocess.run(
        [sys.executable, *command, "--version"], env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=False, cwd=Path(__file__).parent,
    )  # fmt: skip
    assert done.returncode == -signal.SIGINT
    assert done.stderr.endswith(": interrupted before anything was begun\n")
    assert "Traceback" not in done.stderr


def test_the_runner_is_asked_to_end(tiny_run: Run, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_run[1] / "bundle", bundle)
    put_runner(bundle)
    command = [sys.executable, str(bundle / "run.py"), "--bench", "--rounds", "60000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
        if not children.parent.is_dir():
            running.kill()
            pytest.skip("looks for the child in /proc")
        deadline = time.monotonic() + 60
        while not children.read_text().strip():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        timed = int(children.read_text())
        running.send_signal(signal.SIGTERM)
        out, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert said == "run.py: interrupted; it has written nothing, start it again\n"
    assert out == ""
    left = Path(f"/proc/{timed}/stat")
    while left.exists() and left.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline + 60
        time.sleep(0.02)


def test_a_limit_on_the_size_of_files_is_no_full_disk(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    command = [sys.executable, "-m", "compressor", "init", str(tmp_path / "p.yaml")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512)),
    )  # fmt: skip
    assert done.returncode == 7, done.stderr
    assert not list(tmp_path.iterdir())
    told = foreseen(OSError(errno.EFBIG, "File too large", "store/weights"))
    assert isinstance(told, ResourceError)
    assert told.sentence().startswith("store/weights: a file would be larger than this process may write")
    assert "`ulimit -f`" in told.sentence()


def test_a_python_without_docstrings_says_as_much() -> None:
    words = ["-m", "compressor", "stages", "distill"]
    told = [
        subprocess.run([sys.executable, *options, *words], capture_output=True, text=True, check=True).stdout
        for options in ([], ["-OO"])
    ]
    assert told[0] == told[1]
    assert told[0].startswith("distill: Train a student")
