"""A user's first afternoon: run, read, change one thing, run again, break something."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Compress = Callable[..., tuple[int, str, str]]
Run = tuple[Path, Path, Path]


def test_a_run_leaves_what_the_design_promises(tiny_run: Run) -> None:
    _, out, _ = tiny_run
    names = {path.name for path in out.iterdir()}
    assert {
        "report.html",
        "report.md",
        "report.json",
        "bundle",
        "log.jsonl",
        "pipeline.yaml",
        "pipeline.resolved.yaml",
    } <= names
    report = json.loads((out / "report.json").read_text())
    assert report["schema"] == "compress.report/1"
    assert report["verdict"]["state"] == "pass"
    assert [row["step"] for row in report["models"]] == ["teacher", "student", "slim", "int8", "edge"]
    assert report["task"]["samples"]["test"] == 360


def test_every_model_is_measured_in_one_experiment(tiny_run: Run) -> None:
    report = json.loads((tiny_run[1] / "report.json").read_text())
    for row in report["models"]:
        assert row["quality"]["accuracy"]["n"] == 360
        assert row["latency"][0]["p50_ms"] > 0
        assert (row["latency"][0]["rounds"], row["latency"][0]["processes"]) == (20, 6)
        assert (row["speedup"] is None) == (row["step"] == "teacher")


def test_pruning_keeps_the_share_that_was_asked(tiny_run: Run) -> None:
    report = json.loads((tiny_run[1] / "report.json").read_text())
    macs = {row["step"]: row["macs"] for row in report["models"]}
    assert abs(macs["slim"] / macs["student"] - 0.7) <= 0.02
    assert macs["edge"] == macs["slim"]


def test_all_convolutions_of_int8_are_integer_kernels(tiny_run: Run) -> None:
    report = json.loads((tiny_run[1] / "report.json").read_text())
    for row in report["models"]:
        if row["step"] in ("int8", "edge"):
            assert row["float_convolutions"] == 0
            assert row["operators"]["QLinearConv"] == 9


def test_an_unchanged_run_reuses_everything(tiny_run: Run, compress: Compress, tmp_path: Path) -> None:
    pipeline, _, store = tiny_run
    code, said, _ = compress("plan", pipeline, "--store", store)
    assert code == 0
    assert "0 of 12 to run" in said
    code, said, _ = compress("run", pipeline, "--store", store, "--out", tmp_path / "again")
    assert code == 0
    assert "verdict: pass" in said
    report = json.loads((tmp_path / "again" / "report.json").read_text())
    assert all(row["reused"] for row in report["models"])


def test_a_changed_temperature_runs_the_student_and_what_follows(tiny_run: Run, compress: Compress) -> None:
    pipeline, _, store = tiny_run
    code, said, _ = compress("plan", pipeline, "--store", store, "--set", "steps.student.temperature=2")
    lines = {line.split()[0]: line for line in said.splitlines() if line.strip()}
    assert code == 0
    assert "reuse" in lines["teacher"]
    assert "temperature 4 -> 2" in lines["student"].replace(".0", "")
    assert "after student" in lines["slim"]
    assert "after slim" in lines["int8"]


def test_an_altered_artifact_is_found_and_named(tiny_run: Run, compress: Compress, tmp_path: Path) -> None:
    pipeline, _, store = tiny_run
    copy = tmp_path / "store"
    shutil.copytree(store, copy)
    for victim in copy.glob("artifacts/*/*/weights.safetensors"):
        victim.write_bytes(victim.read_bytes()[:-8] + b"\0" * 8)
    code, _, said = compress("run", pipeline, "--store", copy, "--out", tmp_path / "run")
    assert code == 4
    assert "weights.safetensors" in said
    assert "--fresh" in said


def test_a_failed_run_never_shows_an_old_pass(tiny_run: Run, compress: Compress, tmp_path: Path) -> None:
    pipeline, old, store = tiny_run
    out = tmp_path / "run"
    shutil.copytree(old, out)
    (out / "previous").mkdir(exist_ok=True)
    (out / "previous" / "mine.txt").touch()
    code, _, said = compress("run", pipeline, "--store", store, "--out", out, "--set", "steps.edge.parity.sqnr_db=150")
    assert code == 3, said
    assert (out / "previous" / "mine.txt").exists()
    assert not (out / "report.json").exists()
    assert not (out / "bundle").exists()
    assert (out / "previous" / "report.json").exists()


def test_a_broken_budget_is_exit_5(tiny_run: Run, compress: Compress, tmp_path: Path) -> None:
    pipeline, _, store = tiny_run
    code, said, _ = compress("run", pipeline, "--store", store, "--out", tmp_path, "--set", "budget.size_mb.max=0.001")
    assert code == 5
    assert "broken" in said


def test_until_ends_measured_and_makes_no_bundle(tiny_run: Run, compress: Compress, tmp_path: Path) -> None:
    pipeline, _, store = tiny_run
    code, said, _ = compress("run", pipeline, "--store", store, "--out", tmp_path, "--until", "student")
    assert code == 0
    assert "verdict: measured" in said
    assert not (tmp_path / "bundle").exists()


def test_until_the_bundle_judges_nothing_and_says_how_to_repeat_it(
    tiny_run: Run, compress: Compress, tmp_path: Path
) -> None:
    pipeline, _, store = tiny_run
    broken = ("--set", "budget.size_mb.max=0.001")
    code, said, _ = compress("run", pipeline, "--store", store, "--out", tmp_path, "--until", "edge", *broken)
    assert code == 0, said
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["verdict"]["state"], report["verdict"]["statements"]) == ("measured", [])
    assert (tmp_path / "bundle" / "model.onnx").exists()
    assert "--until edge" in report["reproduce"][0]


def test_fresh_gives_the_same_bytes(tiny_run: Run, compress: Compress, tmp_path: Path) -> None:
    pipeline, _, store = tiny_run
    code, _, said = compress("run", pipeline, "--store", store, "--out", tmp_path, "--fresh", "student")
    assert code == 0, said


def test_the_bundle_verifies_and_an_altered_one_does_not(tiny_run: Run, compress: Compress, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_run[1] / "bundle", bundle)
    assert compress("verify", bundle)[0] == 0
    model = bundle / "model.onnx"
    model.write_bytes(model.read_bytes() + b"\0")
    code, _, said = compress("verify", bundle)
    assert code == 4
    assert "model.onnx" in said


def test_the_pages_come_from_report_json_alone(tiny_run: Run, compress: Compress, tmp_path: Path) -> None:
    shutil.copyfile(tiny_run[1] / "report.json", tmp_path / "report.json")
    assert compress("report", tmp_path)[0] == 0
    assert "<html" in (tmp_path / "report.html").read_text()
    assert "pass" in (tmp_path / "report.md").read_text().lower()


def test_a_failure_while_rendering_keeps_the_last_whole_results(
    tiny_run: Run, compress: Compress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, old, store = tiny_run
    out = tmp_path / "run"
    shutil.copytree(old, out)

    def fail(*_: object) -> None:
        raise RuntimeError("no ink")

    monkeypatch.setattr("compressor.pipeline.run.outcome.render", fail)
    code, _, said = compress("run", pipeline, "--store", store, "--out", out)
    assert code == 1
    assert "log.jsonl" in said
    assert not (out / "report.json").exists()
    assert json.loads((out / "previous" / "report.json").read_text())["verdict"]["state"] == "pass"


def test_the_last_event_for_machines_is_the_verdict(tiny_run: Run, compress: Compress, tmp_path: Path) -> None:
    pipeline, _, store = tiny_run
    code, said, _ = compress("run", pipeline, "--store", store, "--out", tmp_path, "--log-json")
    assert code == 0
    last = json.loads(said.splitlines()[-1])
    assert (last["event"], last["state"], last["exit_code"]) == ("verdict", "pass", 0)
