"""Limits at the edges of what can be written, one rule a case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest

from compressor.pipeline.file import budget
from compressor.pipeline.file.budget import Budget, Limit
from compressor.pipeline.file.document import Document
from compressor.problem.metric import Metric
from compressor.stages.benchmark import BenchmarkSpec
from compressor.stages.export import ExportSpec
from compressor.tasks.classification_metrics.accuracy import METRIC as ACCURACY

DOCUMENT = Document({}, {("budget",): 3}, Path("x.yaml"), "")
METRICS = {
    "accuracy": ACCURACY,
    "error": replace(ACCURACY, name="error", better="lower", range=(-2.0, 6.0)),
    "loss": replace(ACCURACY, name="loss", better="lower", range=(-inf, inf)),
}


def parse(raw: Any, metrics: Mapping[str, Metric] | None = METRICS) -> tuple[Budget, list[str]]:
    found, mistakes = budget.parse(raw, metrics, DOCUMENT)
    return found, [mistake.error.sentence().removeprefix("x.yaml:3: budget") for mistake in mistakes]


def test_no_budget_limits_nothing() -> None:
    assert parse(None) == (Budget((), "interval"), [])
    assert parse({}) == (Budget((), "interval"), [])


def test_what_is_no_mapping() -> None:
    assert parse("small") == (
        Budget(),
        [': "small" is not a mapping; write a line for each measure, like `size_mb: {max: 0.2}`'],
    )


def test_limits_keep_the_order_of_the_file() -> None:
    raw = {"size_mb": {"max": 2, "min": 1}, "decide": "point", "accuracy": {"max_drop": 0.1, "min": 0.5}}
    limits = (
        Limit("size_mb", "max", 2),
        Limit("size_mb", "min", 1),
        Limit("accuracy", "max_drop", 0.1),
        Limit("accuracy", "min", 0.5),
    )
    assert parse(raw) == (Budget(limits, "point"), [])
    assert parse({"size_mb": {"max": 2, "min": None}})[0].limits == (Limit("size_mb", "max", 2),)


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("accuracy", "min", 0), ("accuracy", "min", 1), ("accuracy", "max", 0), ("accuracy", "max", 1),
        ("accuracy", "max_drop", -1), ("accuracy", "max_drop", 1),
        ("error", "min", -2), ("error", "max", 6), ("error", "max_drop", -8), ("error", "max_drop", 8),
        ("loss", "min", -1e9), ("loss", "max", 1e9), ("loss", "max_drop", 1e9),
        ("size_mb", "max", 0), ("size_ratio", "min", 0),
    ],
)  # fmt: skip
def test_a_limit_may_be_as_large_as_the_range_and_a_drop_as_its_width(name: str, kind: Any, value: float) -> None:
    """From -2 to 6 a metric can drop by 6 - -2 = 8, or gain as much."""
    assert parse({name: {kind: value}}) == (Budget((Limit(name, kind, value),)), [])


@pytest.mark.parametrize(
    ("name", "kind", "value", "sentence"),
    [
        ("accuracy", "min", -0.01, "-0.01 is out of range; accuracy is a number from 0 to 1"),
        ("accuracy", "min", 1.01, "1.01 is out of range; accuracy is a number from 0 to 1; write 0.0101 for 1.01 %"),
        ("accuracy", "max", 100, "100 is out of range; accuracy is a number from 0 to 1; write 1 for 100 %"),
        ("accuracy", "max", 100.5, "100.5 is out of range; accuracy is a number from 0 to 1"),
        ("accuracy", "max_drop", -1.5, "-1.5 is out of range; accuracy is a number from 0 to 1"),
        ("accuracy", "max_drop", 2, "2 is out of range; accuracy is a number from 0 to 1; write 0.02 for 2 %"),
        ("error", "min", -2.5, "-2.5 is out of range; error is a number from -2 to 6"),
        ("error", "max", 6.5, "6.5 is out of range; error is a number from -2 to 6"),
        ("error", "max_drop", -8.5, "-8.5 is out of range; error is a number from -2 to 6"),
        ("error", "max_drop", 8.5, "8.5 is out of range; error is a number from -2 to 6"),
    ],
)
def test_a_limit_beyond_the_range_decides_nothing(name: str, kind: str, value: float, sentence: str) -> None:
    assert parse({name: {kind: value}})[1] == [f".{name}.{kind}: {sentence}"]


def test_a_percentage_is_meant_where_the_range_is_that_of_a_share() -> None:
    assert budget.out_of_range("m", 50, 0, 1)[1] == "m is a number from 0 to 1; write 0.5 for 50 %"
    assert budget.out_of_range("m", 1, 0, 1)[1] == "m is a number from 0 to 1"
    assert budget.out_of_range("m", 50, 0, 2)[1] == "m is a number from 0 to 2"
    assert budget.out_of_range("m", 50, -inf, inf)[1] == "m is a number from -inf to inf"


def test_the_smaller_limit_is_the_min() -> None:
    assert parse({"size_mb": {"min": 2, "max": 2}})[1] == []
    assert parse({"size_mb": {"min": 3, "max": 2}})[1] == [
        ".size_mb: nothing is at least 3 and at most 2; make min the smaller one"
    ]
    assert parse({"accuracy": {"min": 0.3, "max_drop": 0.1}})[1] == []


@pytest.mark.parametrize(
    ("name", "kind"), [("accuracy", "min"), ("loss", "max"), ("speedup", "min"), ("size_ratio", "min"), ("macs", "max")]
)
def test_a_number_alone_is_no_limit(name: str, kind: str) -> None:
    assert parse({name: 0.5})[1] == [f".{name}: 0.5 is not a limit; write `{name}: {{{kind}: 0.5}}`"]


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"size_mb": {}}, ".size_mb: has no limit; give min or max"),
        ({"loss": {"min": None, "max": None}}, ".loss: has no limit; give min, max or max_drop"),
        ({"macs": {"max_drop": 1}}, ".macs.max_drop: only a metric of the task can drop; "
                                    "write min or max, or limit speedup or size_ratio"),
        ({"decide": "point"}, ".decide: has no effect without a limit; "
                              "add one, like `size_mb: {max: 0.2}`, or leave the budget out"),
        ({"decide": "dice", "macs": {"max": 1}}, '.decide: "dice" is not a way to decide; '
                                                 'write "interval" or "point"'),
    ],
)  # fmt: skip
def test_what_limits_nothing_is_a_mistake(raw: Any, sentence: str) -> None:
    found, mistakes = parse(raw)
    assert mistakes == [sentence]
    assert found.decide == ("point" if raw.get("decide") == "point" else "interval")


def test_sizes_and_times_are_not_negative() -> None:
    for kind in ("min", "max"):
        assert len(parse({"latency_p50_ms": {kind: -1e-9}})[1]) == 1
        assert parse({"loss": {kind: -1e-9}})[1] == []


def test_of_a_task_that_is_wrong_only_its_own_metrics_are_left_alone() -> None:
    found, mistakes = parse({"whatever": {"min": 1}, "macs": {"max": 1}, "params": 3}, None)
    assert found.limits == (Limit("macs", "max", 1),)
    assert mistakes == [".params: 3 is not a limit; write `params: {max: 3}`"]


@pytest.mark.parametrize("measure", ["latency_p50_ms", "latency_p99_ms", "peak_memory_mb", "speedup"])
def test_a_benchmark_measures_what_is_timed(measure: str) -> None:
    limits = Budget(
        (Limit(measure, "max", 1), Limit("size_mb", "max", 1), Limit(measure, "min", 0), Limit("loss", "max", 1))
    )

    def sentences(benchmark: bool, exports: bool, batches: tuple[int, int] | None = None) -> list[str]:
        specs = None
        if batches is not None:
            shipped = ExportSpec.model_validate({"from": "net", "batch_size": batches[1]})
            specs = BenchmarkSpec(batch_sizes=(batches[0],)), shipped
        needs = budget.Needs("benchmark", benchmark, "export", exports, specs)
        found = budget.unmeasured(limits, needs, DOCUMENT)
        return [mistake.error.sentence().removeprefix("x.yaml:3: budget") for mistake in found]

    assert sentences(True, True) == []
    assert sentences(False, True) == [
        f".{measure}: needs a benchmark step; add one, like `latency: {{stage: benchmark}}`"
    ]
    assert sentences(True, True, (1, 4)) == [
        f".{measure}: is decided at batch 1, and what ships takes batches of 4 only; "
        "put 4 first in the benchmark's batch_sizes, or export with another batch_size"
    ]
    assert sentences(True, False) == [
        ": is about what ships, and no step exports; add a step like `edge: {stage: export, from: …}`"
    ]
    assert budget.unmeasured(Budget(), budget.Needs("benchmark", False, "export", False), DOCUMENT) == []
