"""What a report is made from: plain values, and the folders of the artifacts that a run left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compressor.problem.metric import Metric
from compressor.report.judgement.evidence import Decide
from compressor.store.artifact import Kind


@dataclass(frozen=True)
class ModelFacts:
    """One model-making step (export included) and where its evaluation lies.

    kind: the artifact's kind. evaluation: folder of the `<step>.evaluation` artifact. facts: those of the step's own
    artifact (curves, …). caution: what a reader must know of it unless a bundle of it says so; follows its name.
    if_slower: what to do where it computes less than what it came from, and takes longer.
    """

    step: str
    stage: str
    kind: Kind
    key: str
    evaluation: Path
    parent: str | None = None
    teacher: str | None = None
    reused: bool = False
    seconds: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    caution: str = ""
    if_slower: str = ""


@dataclass(frozen=True)
class RunFacts:
    """All that a report is made from.

    task: {type, metric, data, fingerprint, samples: {train, validation, test, test_unseen}}. rows: in the order of
    the file. ship: None where no bundle was made. budget: `{measure, min | max | max_drop}` each. latency, comparison:
    folders of those artifacts. bundle: the bundle's folder as a reader of the report finds it.
    """

    name: str
    created: str
    compress_version: str
    pipeline_text: str
    pipeline_sha256: str
    task: Mapping[str, Any]
    metrics: Mapping[str, Metric]
    rows: Sequence[ModelFacts]
    baseline: str | None
    ship: str | None
    budget: Sequence[Mapping[str, Any]] = ()
    decide: Decide = "interval"
    latency: Path | None = None
    comparison: Path | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    reproduce: Sequence[str] = ()
    warnings: Sequence[str] = ()
    bundle: str = "bundle"
