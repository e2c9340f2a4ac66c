"""A run that is killed with SIGKILL and started again ships the same bytes as one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PIPELINE = """\
version: 1
name: killed
task: {type: image-classification, data: digits, augment: [{random_crop: {padding: 1}}]}
steps:
  teacher: {stage: finetune, model: {name: mlperf_resnet8, widths: [8, 8, 16]}, epochs: 6, batch_size: 32, learning_rate: 0.05, ema: 0.9}
  int8: {stage: quantize, from: teacher, method: qat, epochs: 1, batch_size: 64, learning_rate: 0.01}
  edge: {stage: export, from: int8, parity: {sqnr_db: 0, cosine: 0, same_answers: 0}}
"""


def start(pipeline: Path, store: Path, out: Path) -> subprocess.Popen[str]:
    words = [
        sys.executable,
        "-m",
        "compressor",
        "run",
        str(pipeline),
        "--store",
        str(store),
        "--out",
        str(out),
        "--log-json",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)


def finish(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=240)
    return process.returncode


@pytest.mark.slow
def test_killed_and_resumed_is_byte_equal(tmp_path: Path) -> None:
    pipeline = tmp_path / "killed.yaml"
    pipeline.write_text(PIPELINE)
    whole = start(pipeline, tmp_path / "whole", tmp_path / "a")
    assert finish(whole) == 0

    killed = start(pipeline, tmp_path / "killed", tmp_path / "b")
    assert killed.stdout is not None
    deadline = time.monotonic() + 120
    for line in killed.stdout:
        event = json.loads(line)
        if event["event"] == "progress" and event["node"] == "teacher" and event["done"] > event["total"] // 3:
            break
        assert time.monotonic() < deadline
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert finish(start(pipeline, tmp_path / "killed", tmp_path / "b")) == 0

    assert (tmp_path / "a/bundle/model.onnx").read_bytes() == (tmp_path / "b/bundle/model.onnx").read_bytes()
