"""Output that is closed, full, not read, or of a small alphabet: the work is done, and the exit code is the verdict's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

Run = tuple[Path, Path, Path]
pytestmark = pytest.mark.skipif(os.name == "nt", reason="a shell's redirections")
SMALL = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def call(words: list[object], redirect: str, **variables: str) -> tuple[int, bytes]:
    """Exit code and standard error of a command in a shell."""
    line = ["sh", "-c", f'"$@" {redirect}', "sh", sys.executable, "-m", "compressor", *map(str, words)]
    done = subprocess.run(line, env={**os.environ, **variables}, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr + done.stdout
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def failing(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pipeline with a budget that it breaks."""
    file = tmp_path_factory.mktemp("failing") / "tiny.yaml"
    file.write_text(tiny_run[0].read_text().replace("size_mb: {max: 1}", "size_mb: {max: 0.0001}"))
    return file


@pytest.mark.parametrize(
    ("redirect", "variables"),
    [
        (">/dev/full 2>/dev/full", SMALL),
        ("", {"PYTHONIOENCODING": "ascii"}),
        ("<&- >&- 2>&-", {}),
    ],
    ids=str,
)
def test_a_verdict_that_nobody_reads_is_the_exit_code(
    tiny_run: Run, failing: Path, tmp_path: Path, redirect: str, variables: dict[str, str]
) -> None:
    out = tmp_path / "run"
    code, _ = call(["run", failing, "--store", tiny_run[2], "--out", out], redirect, **variables)
    assert code == 5
    assert json.loads((out / "report.json").read_text())["verdict"]["state"] == "fail"
    assert {"report.html", "report.md", "bundle", "log.jsonl"} <= {path.name for path in out.iterdir()}


def test_events_that_nobody_reads(tiny_run: Run, failing: Path, tmp_path: Path) -> None:
    words = ["run", failing, "--store", tiny_run[2], "--out", tmp_path / "run", "--log-json"]
    command = [sys.executable, "-m", "compressor", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.close()
        assert running.stderr is not None
        assert b"Traceback" not in running.stderr.read()
    assert running.returncode == 5
    assert (tmp_path / "run" / "report.html").is_file()


def test_pages_checks_and_copies_are_made(tiny_run: Run, tmp_path: Path) -> None:
    shutil.copytree(tiny_run[1], tmp_path / "run")
    (tmp_path / "run" / "report.html").unlink()
    assert call(["report", tmp_path / "run"], ">/dev/full")[0] == 0
    assert (tmp_path / "run" / "report.html").is_file()
    assert call(["verify", tmp_path / "run" / "bundle"], ">&-")[0] == 0
    assert (
        call(["export", tmp_path / "run" / "bundle", "--to", "python", tmp_path / "d"], ">/dev/full", **SMALL)[0] == 0
    )
    assert (tmp_path / "d" / "run.py").is_file()


def test_an_evaluation_in_json_that_nobody_gets_is_told(tiny_run: Run) -> None:
    code, said = call(["evaluate", tiny_run[1] / "bundle", "--task", tiny_run[0], "--json"], ">/dev/full")
    assert code == 7
    assert said.startswith(b"error: standard output: takes nothing (no space left on device)")
