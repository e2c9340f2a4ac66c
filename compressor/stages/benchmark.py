"""Measure all models and the shipped file in one experiment, so that their latencies compare."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from compressor.stages.base import Context, SettledSpec, Stage
from compressor.store.artifact import Artifact

SMOKE_ROUNDS = 2


def _listed(value: Any) -> Any:
    """A bare number stands for a list of one."""
    return (value,) if isinstance(value, int) and not isinstance(value, bool) else value


Count = Annotated[int, Field(ge=1, le=1024)]
BatchSize = Annotated[int, Field(ge=1, le=65_536)]


class BenchmarkSpec(SettledSpec):
    """onnxruntime on this machine's CPU: rounds of all models in random order, in a process of their own."""

    stage: Literal["benchmark"] = "benchmark"
    threads: Annotated[tuple[Count, ...], BeforeValidator(_listed)] = Field(
        (1,), min_length=1, description="Thread counts to measure; the first one decides the budget."
    )
    batch_sizes: Annotated[tuple[BatchSize, ...], BeforeValidator(_listed)] = Field(
        (1,), min_length=1, description="Batch sizes to measure; the first one decides the budget."
    )
    rounds: int = Field(30, ge=20, le=10_000, description="Rounds of each model; an interval needs at least 20.")
    min_seconds: float = Field(
        1.0, ge=0, le=3600, description="Seconds of measurement for each model and setting, over all rounds, at least."
    )

    @field_validator("threads", "batch_sizes")
    @classmethod
    def _once(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(values)) < len(values):
            raise ValueError("a value is given twice; name each once")
        return values


def run(spec: BenchmarkSpec, inputs: Mapping[str, Artifact], context: Context) -> dict[str, Any]:
    """Write latency.json and rounds.json; tell how many rounds were disturbed and what could not be measured."""
    from compressor.latency import experiment, machine

    models, names = [], {}
    for role, artifact in inputs.items():
        evaluation = json.loads(artifact.file("evaluation.json").read_text())
        sha256 = evaluation["model_sha256"]
        models.append(experiment.Model(sha256, artifact.file("core.onnx"), role))
        # Not by its step: pipelines whose steps have other names share the artifact and its sentences.
        names[sha256] = f"the {evaluation['precision']} model of {evaluation['size_bytes']:,} bytes"
    settings = experiment.Settings(
        threads=spec.threads,
        batch_sizes=spec.batch_sizes,
        rounds=SMOKE_ROUNDS if context.smoke else spec.rounds,
        min_seconds=0 if context.smoke else spec.min_seconds,
        seed=context.seed,
        quick=context.smoke,
    )
    measured = experiment.measure(models, settings, lambda done, total: context.progress.advance(done, total, "rounds"))
    context.folder.joinpath("latency.json").write_text(json.dumps(measured.latency, indent=1))
    context.folder.joinpath("rounds.json").write_text(json.dumps(measured.rounds))
    warnings = remarks(measured.latency, measured.rounds["busy"], spec.threads, machine.default_threads(), names)
    for warning in warnings:
        context.progress.say(warning)
    return {"rounds": settings.rounds, "busy_rounds": sum(measured.rounds["busy"]), "warnings": warnings}


def remarks(
    latency: Mapping[str, Any], busy: list[bool], threads: tuple[int, ...], available: int, names: Mapping[str, str]
) -> list[str]:
    """What a reader of the figures must know, one sentence each. names: the models in words, by SHA-256."""
    sentences = []
    if any(busy):
        share = f"{latency['busy_limit']:.0%}"
        sentences.append(
            f"in {sum(busy)} of {len(busy)} latency rounds other work or the hypervisor took more than {share} of the "
            "machine's CPU time; they are marked and were kept"
        )
    if max(threads) > available:
        sentences.append(f"latency was measured with {max(threads)} threads on {available} available to this process")
    for skip in latency["skipped"]:
        sentences.append(
            f"{names[skip['model']]} takes batches of {skip['fixed_batch']} only and was not measured "
            f"at batch {skip['batch']}"
        )
    return sentences


STAGE = Stage(
    name="benchmark",
    spec=BenchmarkSpec,
    makes="measurement",
    run=run,
    takes={"models": frozenset({"onnx"})},
    libraries=("onnxruntime", "numpy"),
    isa=True,
    repeatable=False,
)
