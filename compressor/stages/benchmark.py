"""Measure all models and the shipped file in one experiment, so that their latencies compare."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from compressor.device.refused import Unfit
from compressor.evaluation.evaluation import Evaluation
from compressor.latency import plan
from compressor.problem.context import Context
from compressor.problem.work import Work
from compressor.stages.base import EveryPart, SettledSpec, Stage
from compressor.store.artifact import Artifact

SMOKE_ROUNDS = 2


def _listed(value: Any) -> Any:
    """A bare number stands for a list of one."""
    return (value,) if isinstance(value, int) and not isinstance(value, bool) else value


Count = Annotated[int, Field(ge=1, le=1024)]
BatchSize = Annotated[int, Field(ge=1, le=65_536)]


class BenchmarkSpec(SettledSpec):
    """onnxruntime on this machine's CPU: fresh processes, each with rounds of all models in random order."""

    stage: Literal["benchmark"] = "benchmark"
    threads: Annotated[tuple[Count, ...], BeforeValidator(_listed)] = Field(
        (1,), min_length=1, description="Thread counts to measure; the first one decides the budget."
    )
    batch_sizes: Annotated[tuple[BatchSize, ...], BeforeValidator(_listed)] = Field(
        (1,), min_length=1, description="Batch sizes to measure; the first one decides the budget."
    )
    processes: int = Field(
        plan.USUAL_PROCESSES,
        ge=plan.FEWEST_PROCESSES,
        le=1000,
        description="Fresh processes, one after the other; intervals are over them. Left out beside `rounds` below "
        "30: a third of the rounds.",
    )
    rounds: int = Field(
        plan.USUAL_PROCESSES * plan.FEWEST_ROUNDS,
        ge=plan.FEWEST_PROCESSES * plan.FEWEST_ROUNDS,
        le=10_000,
        description="Rounds of each model in all, spread over the processes, at least 3 each. Left out beside "
        "`processes` above 10: 3 each.",
    )
    min_seconds: float = Field(
        1.0, ge=0, le=3600, description="Seconds of measurement for each model and setting, over all rounds, at least."
    )

    @model_validator(mode="before")
    @classmethod
    def _fitting(cls, data: Any) -> Any:
        """Of processes and rounds, the one that the file leaves out suits the other."""
        if not isinstance(data, dict):
            return data
        processes, rounds = data.get("processes"), data.get("rounds")
        if rounds is None and type(processes) is int:
            return {**data, "rounds": max(processes * plan.FEWEST_ROUNDS, cls.model_fields["rounds"].default)}
        if processes is None and type(rounds) is int:
            few = max(plan.FEWEST_PROCESSES, rounds // plan.FEWEST_ROUNDS)
            return {**data, "processes": min(plan.USUAL_PROCESSES, few)}
        return data

    @field_validator("rounds")
    @classmethod
    def _enough(cls, rounds: int, info: ValidationInfo) -> int:
        processes = info.data.get("processes")
        if processes is not None and rounds < processes * plan.FEWEST_ROUNDS:
            raise Unfit(
                f"{rounds} rounds are fewer than {plan.FEWEST_ROUNDS} for each of {processes} processes",
                f"give at least {processes * plan.FEWEST_ROUNDS}, or fewer processes",
            )
        return rounds

    @field_validator("threads", "batch_sizes")
    @classmethod
    def _once(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(values)) < len(values):
            raise Unfit("a value is given twice", "name each once")
        return values

    @property
    def batch(self) -> int | None:
        """The one that decides."""
        return self.batch_sizes[0]

    def with_batch(self, size: int) -> str:
        """The first of the list."""
        return f"put {size} first in the benchmark's batch_sizes"

    def short(self) -> Self:
        """A round or two."""
        return self.model_copy(update={"rounds": SMOKE_ROUNDS, "min_seconds": 0.0})

    def work(self, sizes: Mapping[str, int]) -> Work:
        """Every process starts, opens all and warms up, as the smoke's one did; rounds take the time asked for."""
        settings = len(self.threads) * len(self.batch_sizes)
        return Work({"rounds": self.rounds}, self.processes - 1, sizes["models"] * settings * self.min_seconds)


def run(spec: BenchmarkSpec, inputs: Mapping[str, Artifact], context: Context) -> dict[str, Any]:
    """Write latency.json and rounds.json; tell how many rounds were disturbed and what could not be measured."""
    from compressor import machine
    from compressor.latency import experiment

    models, names = [], {}
    for role, artifact in inputs.items():
        evaluation = Evaluation.read(artifact.folder)
        sha256 = evaluation.model_sha256
        models.append(experiment.Model(sha256, artifact.file("core.onnx"), role))
        # Not by its step: pipelines whose steps have other names share the artifact and its sentences.
        names[sha256] = f"the {evaluation.precision} model of {evaluation.size_bytes:,} bytes"
    settings = experiment.Settings(
        threads=spec.threads,
        batch_sizes=spec.batch_sizes,
        processes=spec.processes,
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
    return {
        "processes": measured.latency["settings"]["processes"],
        "rounds": settings.rounds,
        "busy_rounds": sum(measured.rounds["busy"]),
        "warnings": warnings,
    }


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
    derives={"models": EveryPart("evaluation")},
    libraries=("onnxruntime", "numpy"),
    revision=3,
    isa=True,
    times=True,
)
