"""From artifacts' files to the report: figures that can be counted by hand, and the warnings."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compressor.errors import InputError, IntegrityError
from compressor.report.contract.report import Report
from compressor.report.judgement import words
from compressor.report.judgement.build import build
from compressor.report.judgement.facts import ModelFacts, RunFacts
from compressor.stages import quantize
from compressor.tasks.classification_metrics.accuracy import METRIC as ACCURACY
from tests.evaluations import written

HASHES = {"teacher": "1" * 64, "int8": "2" * 64}


def small(tmp_path: Path, **changes: object) -> RunFacts:
    """Two models over eight samples: the teacher errs on the last, the int8 one on the first two."""
    scores = {"teacher": [1, 1, 1, 1, 1, 1, 1, 0], "int8": [0, 0, 1, 1, 1, 1, 1, 1]}
    rows = []
    for step, right in scores.items():
        about = {
            "precision": "float32" if step == "teacher" else "int8",
            "size_bytes": 4000 if step == "teacher" else 1000,
            "params": 10 if step == "teacher" else None,
            "macs": 20_000 if step == "teacher" else None,
            "model_sha256": HASHES[step],
            "operators": {"QLinearConv": 1},
            "float_convolutions": 0,
            "breakdown": {"per_class": [{"name": "a|b"}, {"name": "<i>"}], "confusion": [[3, 1], [0, 4]]},
        }
        unseen = [True] * 6 + [not changes.get("seen")] * 2
        folder = written(tmp_path / step, right, arrays={"unseen": unseen}, **{**about, **changes.get("about", {})})  # type: ignore[dict-item]
        stage, parent = ("load", None) if step == "teacher" else ("quantize", "teacher")
        rows.append(ModelFacts(step=step, stage=stage, kind="onnx", key=step, parent=parent, evaluation=folder))
    timed = tmp_path / "timed"
    timed.mkdir(exist_ok=True)
    slow = float(changes.get("int8_ms", 1.0))  # type: ignore[arg-type]
    rounds = {
        HASHES["teacher"]: {"1x1": [2.0] * 20},
        HASHES["int8"]: {"1x1": [slow] * 20},
        "busy": [False] * 20,
        "process": [place // 3 for place in range(20)],
    }
    (timed / "rounds.json").write_text(json.dumps(rounds))
    row = {
        "threads": 1,
        "batch": 1,
        "p50_ms": slow,
        "low_ms": slow,
        "high_ms": slow,
        "rounds": 20,
        "processes": 7,
        "samples": 100,
        "other": 1,
    }
    (timed / "latency.json").write_text(
        json.dumps({"machine": {}, "rows": {HASHES["int8"]: [row], HASHES["teacher"]: [row]}})
    )
    return RunFacts(
        name="small",
        created="2026-11-22T12:00:00+00:00",
        compress_version="0",
        pipeline_text="",
        pipeline_sha256="0" * 64,
        task={"type": "image-classification", "metric": "accuracy", "samples": {"test": 8}},
        metrics={"accuracy": ACCURACY},
        rows=rows,
        baseline="teacher",
        ship="int8",
        budget=[{"measure": "accuracy", "min": 0.1}],
        latency=timed,
    )


def test_quality_drop_and_counts_are_those_of_the_samples(tmp_path: Path) -> None:
    report = build(small(tmp_path))
    teacher, int8 = report.models
    assert teacher.quality is not None
    assert teacher.quality["accuracy"].value == 7 / 8
    assert teacher.against_baseline is None
    assert teacher.speedup is None
    assert int8.against_baseline is not None
    drop = int8.against_baseline["accuracy"]
    assert (drop.drop, drop.only_baseline_right, drop.only_this_right) == (1 / 8, 2, 1)
    assert int8.speedup is not None
    assert (int8.speedup.value, int8.speedup.low) == (2.0, 2.0)
    assert (int8.params, int8.macs) == (10, 20_000)  # quantizing changes neither
    assert int8.quality_unseen is None
    assert report.exit_code == 0


def test_statements_count_the_unseen_samples_alone(tmp_path: Path) -> None:
    report = build(replace(small(tmp_path, seen=True), budget=[{"measure": "accuracy", "min": 0.9, "max_drop": 0.2}]))
    quality, drop = report.verdict.statements
    assert quality.value == 4 / 6
    assert drop.value == pytest.approx(2 / 6)
    assert report.models[1].quality_unseen is not None
    assert report.models[1].quality_unseen["accuracy"].n == 6
    assert report.models[1].quality is not None
    assert report.models[1].quality["accuracy"].n == 8
    assert report.task.samples.test_unseen == 6
    assert any("2 of the 8 test samples served as validation" in warning for warning in report.warnings)


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({}, "too small"),
        (
            {"float_convolutions": 2, "float_names": ["conv1", "conv2"]},
            "2 of its convolutions or products still run in float (conv1, conv2)",
        ),
        (
            {"operators": {"QuantizeLinear": 9, "DequantizeLinear": 9}},
            "18 quantize and dequantize operators were not fused",
        ),
    ],
    ids=["small", "float-island", "unfused"],
)
def test_slower_int8_is_said_with_its_reason(tmp_path: Path, about: dict[str, object], reason: str) -> None:
    report = build(small(tmp_path, int8_ms=3.0, about=about))
    warnings = [warning for warning in report.warnings if warning.startswith("int8 takes")]
    assert len(warnings) == 1
    assert "1.50 times as long as teacher, the float model it was made from, in the same rounds" in warnings[0]
    assert reason in warnings[0]


def test_faster_int8_needs_no_warning(tmp_path: Path) -> None:
    assert build(small(tmp_path)).warnings == ()


@pytest.mark.parametrize(
    ("budget", "sentence"),
    [
        (
            [{"measure": "accuracy", "min": 0.1, "max_drop": 0.3}],
            "interval of the drop in accuracy reaches across its limit, which 8 test samples cannot decide",
        ),
        (
            [{"measure": "accuracy", "min": 0.7, "max_drop": 0.3}, {"measure": "size_mb", "max": 1}],
            "intervals of the accuracy and the drop in accuracy reach across their limits, which 8 test samples "
            "cannot decide",
        ),
        ([{"measure": "accuracy", "min": 0.1}], ""),
    ],
    ids=["one", "two", "none"],
)
def test_deciding_by_the_value_is_said_with_what_it_is_about(
    tmp_path: Path, budget: list[dict[str, object]], sentence: str
) -> None:
    report = build(replace(small(tmp_path), decide="point", budget=budget))
    assert report.verdict.state == "pass"
    start = "the budget is decided by the values alone (decide: point)"
    expected = f"{start}: the {sentence}" if sentence else f"{start}; the intervals would decide the same"
    assert report.warnings == (expected,)
    assert words.headline(report).endswith(" of the budget, by the values alone.")


def test_eight_bit_weights_limit_the_claim(tmp_path: Path) -> None:
    facts = small(tmp_path)
    caution = quantize.STAGE.caution({"weight_bits": 8, "holds_on": "holds on VNNI"})
    rows = [facts.rows[0], replace(facts.rows[1], caution=caution)]
    assert quantize.STAGE.caution({"weight_bits": 7}) == ""
    report = build(replace(facts, rows=rows))
    assert "8-bit weights" in report.warnings[0]
    assert "holds on VNNI" in report.warnings[0]
    shipped = ModelFacts("edge", "export", "bundle", "edge", rows[1].evaluation, parent="int8")
    said = replace(facts, rows=[*rows, shipped], warnings=["the file that ships says it"])
    assert build(said).warnings == ("the file that ships says it",)
    assert len(build(replace(facts, rows=rows, warnings=["as every file with 8-bit weights"])).warnings) == 2


def test_a_step_that_was_not_reached_is_measured_and_no_more(tmp_path: Path) -> None:
    report = build(replace(small(tmp_path), ship="edge", latency=None))
    assert report.verdict.state == "measured"
    assert report.verdict.ship is None
    assert report.shipped is None
    assert report.models[1].latency is None
    assert report.models[1].speedup is None


def test_curves_that_are_no_number_become_null(tmp_path: Path) -> None:
    facts = small(tmp_path)
    rows = [replace(facts.rows[0], facts={"curves": [{"epoch": 1, "train_loss": float("nan")}]}), facts.rows[1]]
    report = build(replace(facts, rows=rows))
    assert report.models[0].curves == ({"epoch": 1, "train_loss": None},)
    assert "NaN" not in report.text()


def test_a_metric_that_is_no_share_gets_a_bootstrap(tmp_path: Path) -> None:
    facts = small(tmp_path)
    written(facts.rows[1].evaluation, np.linspace(0, 0.9, 8), model_sha256=HASHES["int8"])
    report = build(facts)
    assert "bootstrap" in report.verdict.statements[0].how
    drop = (report.models[1].against_baseline or {})["accuracy"]
    assert drop.only_baseline_right is None
    assert drop.low is not None


def test_a_damaged_evaluation_is_an_integrity_error(tmp_path: Path) -> None:
    facts = small(tmp_path)
    (facts.rows[0].evaluation / "predictions.npz").write_bytes(b"PK")
    with pytest.raises(IntegrityError, match=r"predictions.npz: cannot be read"):
        build(facts)


def test_the_file_is_the_report(report: Report, tmp_path: Path) -> None:
    report.save(tmp_path / "report.json")
    assert Report.load(tmp_path / "report.json") == report
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["schema"] == "compress.report/1"
    assert content["verdict"]["statements"][0]["limit"] == {"min": 0.85}
    assert [model["step"] for model in content["models"]] == ["teacher", "plain", "student", "slim", "int8", "edge"]
    assert content["models"][5]["kind"] == "onnx"
    assert content["models"][5]["stage"] == "export"
    assert set(content) == {
        "schema",
        "name",
        "created",
        "compress_version",
        "pipeline",
        "task",
        "verdict",
        "models",
        "shipped",
        "environment",
        "reproduce",
        "warnings",
        "details",
    }


def test_the_design_s_chain_is_undecided(report: Report) -> None:
    assert report.verdict.state == "undecided"
    assert report.exit_code == 6
    states = {(one.measure, *one.limit.model_dump()): one.state for one in report.verdict.statements}
    assert states[("accuracy", "max_drop")] == "open"
    assert states[("accuracy", "min")] == "holds"
    assert "exact McNemar p" in report.verdict.statements[1].how


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "compress.report/2"}'])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"compress.report/1"):
        Report.load(path)


def test_the_schema_is_published() -> None:
    schema = Report.model_json_schema(mode="serialization")
    assert "schema" in schema["properties"]
    assert "schema_" not in schema["properties"]


def test_the_report_loads_nothing_heavy() -> None:
    heavy = ("torch", "onnx", "onnxruntime", "sklearn", "scipy", "matplotlib", "jinja2")
    code = (
        "import sys, compressor.report.judgement.build, compressor.report.pages.save, compressor.api.report;"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_what_preprocessing_in_the_file_costs_is_said(tmp_path: Path) -> None:
    facts = small(tmp_path, int8_ms=3.0)
    core, file = facts.rows
    report = build(replace(facts, rows=[core, replace(file, stage="export", kind="bundle")]))
    assert [warning for warning in report.warnings if "preprocessing and softmax in the file" in warning] == [
        "int8 takes 1.50 times as long as teacher, the graph inside it: that is what preprocessing and softmax in the "
        "file cost, which the other rows leave to their caller"
    ]


def test_each_int8_row_says_what_was_proven_of_its_bits(tmp_path: Path) -> None:
    from compressor.report.pages import html, markdown

    doubts = ["layer_norm (float)", "gelu (float)", "softmax (float)", "qlinear_add (tie)", "resize (float)"]
    for found, told in (
        (None, ""),
        ({"proven": True, "because": []}, "proven"),
        (
            {"proven": False, "because": doubts},
            "not proven, because layer_norm (float), gelu (float), softmax (float), qlinear_add (tie) and 1 more",
        ),
    ):
        report = build(small(tmp_path, about={"bits": found} if found else {}))
        row = report.row("int8")
        assert row is not None
        assert (row.bits.model_dump(mode="json") if row.bits else None) == found
        assert words.bits(row) == told
        assert words.bits(report.row("teacher")) == ""
        assert (f"bits: {told}" in html.page(report)) is bool(told)
        page = markdown.page(report).replace("\\", "")
        assert (f"Bits: int8 {told}." in page) is bool(told)
