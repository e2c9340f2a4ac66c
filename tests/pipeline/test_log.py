"""The run's log, where its place is none."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from compressor.pipeline.run.run import Log


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_that_nobody_reads_holds_no_run_up(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    log = Log(seen.append)
    log({"event": "say", "text": "before"})
    os.mkfifo(tmp_path / "log.jsonl")
    log.open(tmp_path / "log.jsonl")
    log({"event": "say", "text": "after"})
    assert [event["text"] for event in seen] == ["before", "after"]


def test_what_came_before_there_was_a_folder_is_written_down(tmp_path: Path) -> None:
    log = Log(lambda _: None)
    log({"event": "say", "text": "before"})
    log.open(tmp_path / "log.jsonl")
    log({"event": "say", "text": "after"})
    lines = (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["before", "after"]
