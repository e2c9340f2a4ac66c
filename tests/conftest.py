"""What tests share: one thread, a store of their own, and runs whose work happens in this process."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

TINY = """\
version: 1
name: tiny
task: {type: image-classification, data: digits}
steps:
  teacher: {stage: finetune, model: {name: mlperf_resnet8, widths: [8, 8, 16]}, epochs: 2, batch_size: 64, learning_rate: 0.1}
  student: {stage: distill, teacher: teacher, model: {name: mlperf_resnet8, widths: [4, 8, 8]}, epochs: 1, batch_size: 64}
  slim: {stage: prune, from: student, keep: {macs: 0.7}, round_to: 1, teacher: teacher, epochs: 1, batch_size: 64}
  int8: {stage: quantize, from: slim, method: ptq, calibration_samples: 64}
  edge: {stage: export, from: int8, input: pixels_nhwc, softmax: true, parity: {sqnr_db: 0, cosine: 0, same_answers: 0}}
  latency: {stage: benchmark, rounds: 20, min_seconds: 0.1}
budget:
  size_mb: {max: 1}
"""


def work_here(request: Mapping[str, Any], on_event: Callable[[dict[str, Any]], None]) -> None:
    """`supervise.run_child` without the child: the same work, in this process."""
    from compressor.pipeline.run import child, events

    class Heard(io.StringIO):
        def write(self, line: str) -> int:
            on_event(json.loads(line))
            return len(line)

    child.work(dict(request), events.Events(Heard()))


@pytest.fixture(autouse=True)
def _no_store_of_the_user(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESS_STORE", str(tmp_path_factory.getbasetemp() / "store"))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs started in this test do their work in this process."""
    monkeypatch.setattr("compressor.pipeline.run.run.run_child", work_here)


@pytest.fixture
def compress(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], here: None
) -> Callable[..., tuple[int, str, str]]:
    """The command line in this process: words in; exit code, standard output and standard error out."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words: object) -> tuple[int, str, str]:
        from compressor.cli.app import main

        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        said = capsys.readouterr()
        return int(str(end.value.code)), said.out, said.err

    return call


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A finished run of TINY: the pipeline file, the run folder and the store."""
    folder = tmp_path_factory.mktemp("tiny")
    pipeline, out, store = folder / "tiny.yaml", folder / "run", folder / "store"
    pipeline.write_text(TINY)
    from compressor.pipeline.plan.prepare import Request
    from compressor.pipeline.run import run as running

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "run_child", work_here)
        running.run(Request(path=pipeline, store=store), out=out, on_event=lambda event: None)
    return pipeline, out, store
