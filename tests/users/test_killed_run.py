"""A run that is killed with SIGKILL and started again ships the same bytes as one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PIPELINE = """\
version: 1
name: killed
task: {type: image-classification, data: digits, augment: [{random_crop: {padding: 1}}]}
steps:
  teacher: {stage: finetune, model: {name: mlperf_resnet8, widths: [8, 8, 16]}, epochs: 4, batch_size: 32, learning_rate: 0.05, ema: 0.9}
  int8: {stage: quantize, from: teacher, method: qat, epochs: 1, batch_size: 64, learning_rate: 0.01}
  edge: {stage: export, from: int8, parity: {sqnr_db: 0, cosine: 0, same_answers: 0}}
"""


def start(pipeline: Path, store: Path, out: Path) -> subprocess.Popen[str]:
    words = ["run", pipeline, "--store", store, "--out", out, "--log-json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "compressor", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)


@pytest.mark.slow
def test_killed_and_resumed_is_byte_equal(tmp_path: Path, compress: Callable[..., tuple[int, str, str]]) -> None:
    """One run goes through in this process; the other is killed in one process and goes on in this one."""
    pipeline = tmp_path / "killed.yaml"
    pipeline.write_text(PIPELINE)
    killed = start(pipeline, tmp_path / "killed", tmp_path / "b")
    assert killed.stdout is not None
    deadline = time.monotonic() + 120
    for line in killed.stdout:
        event = json.loads(line)
        if event["event"] == "progress" and event["node"] == "teacher" and event["done"] > event["total"] // 3:
            break
        assert time.monotonic() < deadline
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert list((tmp_path / "killed" / "work").glob("*/*"))
    assert not list((tmp_path / "killed" / "artifacts").glob("*/*"))

    code, out, said = compress("run", pipeline, "--store", tmp_path / "killed", "--out", tmp_path / "b")
    assert code == 0, said
    assert "goes on at epoch" in out
    code, _, said = compress("run", pipeline, "--store", tmp_path / "whole", "--out", tmp_path / "a")
    assert code == 0, said
    assert (tmp_path / "a/bundle/model.onnx").read_bytes() == (tmp_path / "b/bundle/model.onnx").read_bytes()
