"""Output that nobody reads: `compress … | head` does its work to the end and keeps its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PRINTS = """
import json, sys
from compressor.cli import app, progress
from compressor.cli.streams import steady
from compressor.cli.console import Console
from typer import echo

steady()
input()
for _ in range(1000):
    Console().print("rich " * 10)
    progress.JsonLines(sys.stdout)({"event": "say"})
    echo("typer")
    echo("typer", err=True)
    print("plain")
sys.exit(5)
"""


def _into_a_closed_pipe(command: list[str], cwd: Path) -> int:
    read, write = os.pipe()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=write, stderr=write, cwd=cwd) as process:
        os.close(write)
        os.close(read)
        process.communicate(b"\n", timeout=120)
    return process.returncode


@pytest.mark.skipif(os.name == "nt", reason="a closed pipe is another error on Windows")
class TestNobodyReads:
    def test_whatever_prints_goes_on_to_its_own_exit_code(self, tmp_path: Path) -> None:
        assert _into_a_closed_pipe([sys.executable, "-c", PRINTS], tmp_path) == 5

    def test_a_plan_is_made_and_a_mistake_stays_one(self, tmp_path: Path) -> None:
        compress = [sys.executable, "-m", "compressor"]
        subprocess.run([*compress, "init", "p.yaml"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
        assert _into_a_closed_pipe([*compress, "plan", "p.yaml", "--store", "s"], tmp_path) == 0
        assert _into_a_closed_pipe([*compress, "stages"], tmp_path) == 0
        assert _into_a_closed_pipe([*compress, "plan", "none.yaml"], tmp_path) == 2


def test_what_is_read_arrives_as_it_was_printed(tmp_path: Path) -> None:
    code = "from compressor.cli.streams import steady as o; o(); print('é 😀'); import sys; sys.stdout.write('b')"
    env = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, check=True)
    assert done.stdout.decode() == f"é 😀{os.linesep}b"
