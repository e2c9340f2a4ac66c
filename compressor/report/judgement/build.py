"""The report from what a run left behind: plain values and folders of artifacts in, a `Report` out. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from compressor.evaluation import quality
from compressor.evaluation.evaluation import Evaluation
from compressor.evaluation.quality import Finding
from compressor.problem.metric import Metric
from compressor.report.contract.report import (
    Environment,
    MetricFacts,
    PipelineText,
    Report,
    Samples,
    Shipped,
    Statement,
    TaskFacts,
    Verdict,
)
from compressor.report.contract.rows import Drop, ModelRow, Speedup
from compressor.report.judgement import cautions
from compressor.report.judgement.breakdown import details_of
from compressor.report.judgement.evidence import Evidence
from compressor.report.judgement.facts import ModelFacts, RunFacts
from compressor.report.judgement.latencies import Latencies, finite, read_json
from compressor.report.judgement.verdict import statements, verdict_of


def build(facts: RunFacts) -> Report:
    """The report of a run; IntegrityError where an artifact's file is damaged."""
    evaluations = {row.step: Evaluation.read(row.evaluation) for row in facts.rows}
    latencies = Latencies.read(facts.latency)
    models = _models(facts, evaluations, latencies)
    by_step = {model.step: model for model in models}
    ship = facts.ship if facts.ship in by_step else None
    found: tuple[Statement, ...] = ()
    if ship is not None:
        evidence = _evidence(facts, by_step, evaluations, latencies, ship)
        found = statements(facts.budget, evidence, facts.decide)
    comparison = {} if facts.comparison is None else read_json(facts.comparison / "comparison.json")
    report = Report(
        name=facts.name,
        created=facts.created,
        compress_version=facts.compress_version,
        pipeline=PipelineText(sha256=facts.pipeline_sha256, text=facts.pipeline_text),
        task=_task(facts, evaluations),
        verdict=Verdict(state=verdict_of(found), ship=ship, baseline=facts.baseline, statements=found),
        models=models,
        shipped=_shipped(facts, evaluations, ship),
        environment=_environment(facts.environment, latencies.machine),
        reproduce=tuple(facts.reproduce),
        warnings=(),
        details=details_of(
            by_step,
            evaluations,
            latencies,
            comparison,
            {row.step: row.facts for row in facts.rows},
            facts.decide,
            (ship or next(reversed(by_step), None), facts.baseline),
        ),
    )
    warnings = cautions.of(report, facts.rows, evaluations, latencies, facts.warnings)
    return report.model_copy(update={"warnings": tuple(warnings)})


def _models(facts: RunFacts, evaluations: Mapping[str, Evaluation], latencies: Latencies) -> tuple[ModelRow, ...]:
    baseline = evaluations.get(facts.baseline or "")
    made: dict[str, ModelRow] = {}
    for row in facts.rows:
        is_baseline = row.step == facts.baseline
        before = None if is_baseline else baseline
        made[row.step] = _model(row, evaluations[row.step], before, facts.metrics, latencies, made)
    return tuple(made.values())


def _model(
    row: ModelFacts,
    about: Evaluation,
    baseline: Evaluation | None,
    metrics: Mapping[str, Metric],
    latencies: Latencies,
    made: Mapping[str, ModelRow],
) -> ModelRow:
    speedup = None if baseline is None else latencies.speedup(baseline.model_sha256, about.model_sha256)
    parent = made.get(row.parent or "") if row.kind != "model" else None
    macs = _first(about.macs, parent.macs if parent else None)
    drops = {metric: _drop(found) for metric, found in _drops(metrics, baseline, about).items()}
    return ModelRow(
        step=row.step,
        stage=row.stage,
        kind="model" if row.kind == "model" else "onnx",
        precision=about.precision,
        parent=row.parent,
        teacher=row.teacher,
        key=row.key,
        reused=row.reused,
        seconds=row.seconds,
        **{name: found or None for name, found in quality.tables(metrics, about.predictions).items()},
        against_baseline=drops or None,
        size_bytes=about.size_bytes,
        # Quantizing and exporting change neither count, and their graphs no longer tell it.
        params=_first(about.params, parent.params if parent else None),
        macs=macs,
        macs_unknown=about.macs_unknown if macs is None else None,
        latency=latencies.of(about.model_sha256),
        speedup=None if speedup is None else Speedup(value=speedup.value or 0.0, low=speedup.low, high=speedup.high),
        operators=about.operators,
        float_convolutions=about.float_convolutions,
        float_matmuls=about.float_matmuls,
        bits=about.bits,
        parity=about.parity,
        curves=tuple(finite(point) for point in row.facts["curves"]) if row.facts.get("curves") else None,
    )


def _first(own: int | None, inherited: int | None) -> int | None:
    return inherited if own is None else own


def _drops(
    metrics: Mapping[str, Metric], baseline: Evaluation | None, this: Evaluation, *, unseen: bool = False
) -> dict[str, Finding]:
    """By metric what is lost against the baseline; empty where the two did not answer the same samples."""
    if baseline is None or not np.array_equal(baseline.predictions.indices, this.predictions.indices):
        return {}
    before, after = baseline.predictions, this.predictions
    return {name: quality.drop(metric, before, after, unseen=unseen) for name, metric in metrics.items()}


def _drop(found: Finding) -> Drop:
    lost, won = found.discordant or (None, None)
    return Drop(drop=found.value or 0.0, low=found.low, high=found.high, only_baseline_right=lost, only_this_right=won)


def _evidence(
    facts: RunFacts,
    by_step: Mapping[str, ModelRow],
    evaluations: Mapping[str, Evaluation],
    latencies: Latencies,
    ship: str,
) -> Evidence:
    this, before = evaluations[ship], evaluations.get(facts.baseline or "")
    return Evidence(
        shipped=by_step[ship],
        baseline=by_step.get(facts.baseline or ""),
        quality={
            name: quality.quality(metric, this.predictions, unseen=True) for name, metric in facts.metrics.items()
        },
        drops=_drops(facts.metrics, before, this, unseen=True),
        speedup=latencies.speedup(before.model_sha256, this.model_sha256) if before else None,
    )


def _task(facts: RunFacts, evaluations: Mapping[str, Evaluation]) -> TaskFacts:
    """The task, its count of unseen test samples taken from the evaluations where the plan did not give it."""
    given: dict[str, Any] = {key: facts.task[key] for key in TaskFacts.model_fields if facts.task.get(key) is not None}
    samples = {key: count for key, count in dict(given.pop("samples", {})).items() if key in Samples.model_fields}
    if known := next(iter(evaluations.values()), None):
        samples.setdefault("test", len(known.predictions.unseen))
        samples["test_unseen"] = int(known.predictions.unseen.sum())
    metrics = {name: MetricFacts(better=one.better, unit=one.unit) for name, one in facts.metrics.items()}
    return TaskFacts(**given, metrics=metrics, samples=Samples(**samples))


def _shipped(facts: RunFacts, evaluations: Mapping[str, Evaluation], ship: str | None) -> Shipped | None:
    if ship is None:
        return None
    about = evaluations[ship]
    return Shipped(bundle=facts.bundle, model_sha256=about.model_sha256, input=about.input, output=about.output)


def _environment(given: Mapping[str, Any], timed_on: Mapping[str, Any]) -> Environment:
    """The run's machine; what it does not say is taken from the machine that the latencies were measured on."""
    known = {key: given.get(key, timed_on.get(key)) for key in Environment.model_fields}
    return Environment(**{key: value for key, value in known.items() if value is not None})
