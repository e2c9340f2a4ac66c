"""What a reader must know before believing the figures: one sentence each, with the reason and the way out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from compressor.evaluation.evaluation import Evaluation
from compressor.evaluation.quality import Finding
from compressor.report.contract.report import Statement, StatementState
from compressor.report.contract.rows import ModelRow
from compressor.report.judgement import words
from compressor.report.judgement.latencies import Latencies
from compressor.report.judgement.measures import MEASURES
from compressor.report.judgement.verdict import state_of

if TYPE_CHECKING:
    from compressor.report.contract.report import Report
    from compressor.report.judgement.facts import ModelFacts
    from compressor.store.artifact import Kind

_SMALL_MACS = 10_000_000
_CLEARLY_CHEAPER = 0.95
_UNFUSED = ("QuantizeLinear", "DequantizeLinear")
_ENDS = 4
"""Quantize and dequantize operators that even a well fused graph keeps, at its inputs and outputs."""


def of(
    report: Report,
    rows: Sequence[ModelFacts],
    evaluations: Mapping[str, Evaluation],
    latencies: Latencies,
    told: Sequence[str] = (),
) -> list[str]:
    """The warnings of a report, the gravest first. told: what the steps said themselves."""
    made = {row.step: row.kind for row in rows}
    sentences = [
        *_slower_int8(report, made, evaluations, latencies),
        *_wrapped(report, made, evaluations, latencies),
        *_cheaper_but_slower(report, rows, evaluations, latencies),
        *_seen_samples(report),
        *_by_point(report),
        *told,
        *_evaluated(evaluations),
        *_of_steps(rows),
    ]
    return list(dict.fromkeys(sentences))


def _float_ancestor(row: ModelRow, by_step: Mapping[str, ModelRow]) -> ModelRow | None:
    """The nearest float model that a row was made from."""
    parent = by_step.get(row.parent or "")
    while parent is not None and parent.precision != "float32":
        parent = by_step.get(parent.parent or "")
    return parent


def _slower_int8(
    report: Report, made: Mapping[str, Kind], evaluations: Mapping[str, Evaluation], latencies: Latencies
) -> Iterator[str]:
    by_step = {row.step: row for row in report.models}
    for row in report.models:
        before = _float_ancestor(row, by_step)
        # A shipped file does more than its core graph, so it is no fair partner of a float one.
        if row.precision not in ("int8", "mixed") or before is None or made[row.step] == "bundle":
            continue
        ratio = latencies.speedup(evaluations[before.step].model_sha256, evaluations[row.step].model_sha256)
        if ratio is None or ratio.value is None or ratio.high is None or ratio.high >= 1:
            continue
        yield (
            f"{row.step} takes {1 / ratio.value:.2f} times as long as {before.step}, the float model it was made from, "
            f"in the same rounds, because {_reason(row, evaluations[row.step], report.environment.isa)}; "
            f"ship {before.step}, unless size is what counts"
        )


def _wrapped(
    report: Report, made: Mapping[str, Kind], evaluations: Mapping[str, Evaluation], latencies: Latencies
) -> Iterator[str]:
    by_step = {row.step: row for row in report.models}
    for row in report.models:
        core = by_step.get(row.parent or "")
        if made[row.step] != "bundle" or core is None:
            continue
        ratio = latencies.speedup(evaluations[core.step].model_sha256, evaluations[row.step].model_sha256)
        if ratio is not None and ratio.value and ratio.high is not None and ratio.high < _CLEARLY_CHEAPER:
            yield (
                f"{row.step} takes {1 / ratio.value:.2f} times as long as {core.step}, the graph inside it: that is "
                "what preprocessing and softmax in the file cost, which the other rows leave to their caller"
            )


def _reason(row: ModelRow, evaluation: Evaluation, isa: str | None) -> str:
    """Why integer arithmetic did not pay, as far as the graph and the processor tell."""
    operators = row.operators or {}
    floats = (row.float_convolutions or 0) + (row.float_matmuls or 0)
    if floats:
        names = evaluation.float_names
        named = f" ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})" if names else ""
        return f"{floats} of its convolutions or products still run in float{named}"
    unfused = sum(operators.get(name, 0) for name in _UNFUSED)
    if unfused > _ENDS:
        return f"{unfused} quantize and dequantize operators were not fused into integer kernels"
    if row.macs is not None and row.macs < _SMALL_MACS:
        return (
            f"a network of {row.macs / 1e6:.2g} million multiply-accumulates is too small: what a call and the "
            "rounding cost outweighs the cheaper arithmetic"
        )
    if isa and not any(unit in isa for unit in ("vnni", "amx", "dot", "i8mm")):
        return f"this processor ({isa}) has no instructions for 8-bit products"
    return "its integer kernels are slower than the float ones for these shapes on this processor"


def _cheaper_but_slower(
    report: Report, rows: Sequence[ModelFacts], evaluations: Mapping[str, Evaluation], latencies: Latencies
) -> Iterator[str]:
    todo = {row.step: row.if_slower for row in rows}
    by_step = {row.step: row for row in report.models}
    for row in report.models:
        before = by_step.get(row.parent or "")
        if not todo[row.step] or before is None or not row.macs or not before.macs:
            continue
        ratio = latencies.speedup(evaluations[before.step].model_sha256, evaluations[row.step].model_sha256)
        if ratio is None or ratio.value is None or ratio.high is None or ratio.high >= 1:
            continue
        if row.macs < _CLEARLY_CHEAPER * before.macs:
            yield (
                f"{row.step} has {1 - row.macs / before.macs:.0%} fewer multiply-accumulates than {before.step} but "
                f"takes {1 / ratio.value:.2f} times its time: its widths do not suit this processor's vectors; "
                f"{todo[row.step]}"
            )


def _seen_samples(report: Report) -> Iterator[str]:
    samples = report.task.samples
    if samples.test is None or samples.test_unseen is None or samples.test_unseen == samples.test:
        return
    yield (
        f"{samples.test - samples.test_unseen:,} of the {samples.test:,} test samples served as validation, so choices "
        f"were made on them: the statements count the {samples.test_unseen:,} unseen ones alone"
    )


def _by_point(report: Report) -> Iterator[str]:
    if report.details.decide != "point" or not report.verdict.statements:
        return
    unsure = [one for one in report.verdict.statements if one.value is not None and _by_interval(one) == "open"]
    if not unsure:
        yield "the budget is decided by the values alone (decide: point); the intervals would decide the same"
        return
    named = " and ".join(f"the {words.subject(one, report)}" for one in unsure)
    across = f"interval of {named} reaches across its limit"
    if len(unsure) > 1:
        across = f"intervals of {named} reach across their limits"
    samples = report.task.samples.test_unseen or report.task.samples.test
    if samples and not any(one.measure in MEASURES for one in unsure):
        across += f", which {samples:,} test samples cannot decide"
    yield f"the budget is decided by the values alone (decide: point): the {across}"


def _by_interval(one: Statement) -> StatementState:
    """What the whole interval would have decided."""
    return state_of(Finding(one.value, one.low, one.high), one.limit, "interval")


def _evaluated(evaluations: Mapping[str, Evaluation]) -> Iterator[str]:
    """What the evaluations said, with the step that each is about."""
    for step, evaluation in evaluations.items():
        for warning in evaluation.warnings:
            yield f"{step}: {warning}"


def _of_steps(rows: Sequence[ModelFacts]) -> Iterator[str]:
    """Of what goes to a device in a bundle, the bundle's own step says it."""
    shipped = {row.parent for row in rows if row.kind == "bundle"}
    for row in rows:
        if row.caution and row.step not in shipped:
            yield f"{row.step} {row.caution}"
