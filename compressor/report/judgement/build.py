"""The report from what a run left behind: plain values and folders of artifacts in, a `Report` out. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compressor.report.contract.report import (
    Environment,
    PipelineText,
    Report,
    Samples,
    Shipped,
    Statement,
    TaskFacts,
    TensorFacts,
    Verdict,
)
from compressor.report.contract.rows import Bits, Drop, ModelRow, Parity, Speedup
from compressor.report.judgement import cautions
from compressor.report.judgement.breakdown import details_of
from compressor.report.judgement.evidence import (
    Evaluation,
    Latencies,
    drop_finding,
    finite,
    measured,
    paired,
    quality_finding,
    read_json,
)
from compressor.report.judgement.facts import Row, RunFacts
from compressor.report.judgement.finding import Evidence, Finding
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
        evidence = _evidence(by_step, evaluations, latencies, ship, facts.baseline)
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
    baseline = evaluations.get(facts.baseline or "", Evaluation())
    made: dict[str, ModelRow] = {}
    for row in facts.rows:
        is_baseline = row.step == facts.baseline
        made[row.step] = _model(row, evaluations[row.step], None if is_baseline else baseline, latencies, made)
    return tuple(made.values())


def _model(
    row: Row,
    evaluation: Evaluation,
    baseline: Evaluation | None,
    latencies: Latencies,
    made: Mapping[str, ModelRow],
) -> ModelRow:
    about = evaluation.facts
    sha = about.get("model_sha256")
    speedup = None if baseline is None else latencies.speedup(baseline.facts.get("model_sha256"), sha)
    parent = made.get(row.parent or "") if row.stage in ("quantize", "export") else None
    macs = _first(about.get("macs"), parent.macs if parent else None)
    unseen = None if evaluation.all_unseen else measured(_qualities(evaluation.of_unseen(), "unseen test samples"))
    return ModelRow(
        step=row.step,
        stage=row.stage,
        kind="model" if row.kind == "model" else "onnx",
        precision=about.get("precision"),
        parent=row.parent,
        teacher=row.teacher,
        key=row.key,
        reused=row.reused,
        seconds=row.seconds,
        quality=measured(_qualities(evaluation, "test samples")),
        quality_unseen=unseen,
        against_baseline=_drops(baseline, evaluation, "test samples")[1],
        size_bytes=about.get("size_bytes"),
        # Quantizing and exporting change neither count, and their graphs no longer tell it.
        params=_first(about.get("params"), parent.params if parent else None),
        macs=macs,
        macs_unknown=about.get("macs_unknown") if macs is None else None,
        latency=latencies.of(sha),
        speedup=None if speedup is None else Speedup(value=speedup.value or 0.0, low=speedup.low, high=speedup.high),
        operators=about.get("operators"),
        float_convolutions=about.get("float_convolutions"),
        float_matmuls=about.get("float_matmuls"),
        bits=Bits(**about["bits"]) if about.get("bits") else None,
        parity=_parity(about.get("parity")),
        curves=tuple(finite(point) for point in row.facts["curves"]) if row.facts.get("curves") else None,
    )


def _first(own: int | None, inherited: int | None) -> int | None:
    return inherited if own is None else own


def _parity(numbers: Mapping[str, Any] | None) -> Parity | None:
    if not numbers:
        return None
    return Parity(**{key: finite(numbers.get(key)) for key in Parity.model_fields})


def _qualities(evaluation: Evaluation, whose: str) -> dict[str, Finding]:
    return {metric: quality_finding(scores, whose) for metric, scores in evaluation.scores.items() if len(scores)}


def _drops(
    baseline: Evaluation | None, this: Evaluation, whose: str
) -> tuple[dict[str, Finding], dict[str, Drop] | None]:
    """Drops by metric as findings and as the report's `against_baseline`; empty where the samples differ."""
    findings: dict[str, Finding] = {}
    drops: dict[str, Drop] = {}
    if baseline is None or not paired(baseline, this):
        return findings, None
    for metric, scores in this.scores.items():
        if metric in baseline.scores and len(scores):
            findings[metric], drops[metric] = drop_finding(baseline.scores[metric], scores, whose)
    return findings, drops or None


def _evidence(
    by_step: Mapping[str, ModelRow],
    evaluations: Mapping[str, Evaluation],
    latencies: Latencies,
    ship: str,
    baseline: str | None,
) -> Evidence:
    this, before = evaluations[ship], evaluations.get(baseline or "", Evaluation())
    whose = "test samples" if this.all_unseen else "unseen test samples"
    drops, _ = _drops(before.of_unseen(), this.of_unseen(), whose)
    return Evidence(
        shipped=by_step[ship],
        baseline=by_step.get(baseline or ""),
        quality=_qualities(this.of_unseen(), whose),
        drops=drops,
        speedup=latencies.speedup(before.facts.get("model_sha256"), this.facts.get("model_sha256")),
    )


def _task(facts: RunFacts, evaluations: Mapping[str, Evaluation]) -> TaskFacts:
    """The task, its count of unseen test samples taken from the evaluations where the plan did not give it."""
    given: dict[str, Any] = {key: facts.task[key] for key in TaskFacts.model_fields if facts.task.get(key) is not None}
    samples = {key: count for key, count in dict(given.pop("samples", {})).items() if key in Samples.model_fields}
    known = next((evaluation for evaluation in evaluations.values() if evaluation.unseen is not None), None)
    if known is not None and known.unseen is not None:
        samples.setdefault("test", len(known.unseen))
        samples["test_unseen"] = int(known.unseen.sum())
    return TaskFacts(**given, samples=Samples(**samples))


def _shipped(facts: RunFacts, evaluations: Mapping[str, Evaluation], ship: str | None) -> Shipped | None:
    about = evaluations[ship].facts if ship is not None else {}
    if not about.get("model_sha256"):
        return None
    ends = {name: TensorFacts(**about[name]) if about.get(name) else None for name in ("input", "output")}
    return Shipped(bundle=facts.bundle, model_sha256=about["model_sha256"], **ends)


def _environment(given: Mapping[str, Any], timed_on: Mapping[str, Any]) -> Environment:
    """The run's machine; what it does not say is taken from the machine that the latencies were measured on."""
    known = {key: given.get(key, timed_on.get(key)) for key in Environment.model_fields}
    return Environment(**{key: value for key, value in known.items() if value is not None})
