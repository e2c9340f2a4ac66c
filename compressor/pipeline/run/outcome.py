"""From the artifacts of a walked plan to the report, its pages and the bundle in the run folder."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from compressor import machine
from compressor.pipeline.plan.prepare import installed
from compressor.pipeline.run.run_folder import RunFolder
from compressor.report.judgement.build import build
from compressor.report.judgement.facts import ModelFacts, RunFacts
from compressor.report.pages.save import render

if TYPE_CHECKING:
    from compressor.pipeline.file.spec import Pipeline
    from compressor.pipeline.plan.node import Node, NodeName
    from compressor.pipeline.plan.prepare import Prepared
    from compressor.report.contract.report import Report
    from compressor.store.artifact import Artifact

EVALUATION, COMPARISON = "evaluation", "comparison"
"""The parts of a plan that the report reads."""

LIBRARIES = (
    "torch",
    "torchvision",
    "timm",
    "torch-pruning",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "numpy",
    "pillow",
    "scikit-learn",
)


def collect(prepared: Prepared, begun: set[str], folder: RunFolder) -> Report:
    """Build the report of a plan whose nodes are all in the store, and write the run folder's results.

    begun: keys of the nodes that were not in the store when the run began.

    Raises:
        IntegrityError: an artifact is not what was written. ResourceError: the folder cannot be written.
    """
    nodes = {node.name: node for node in prepared.plan.nodes}
    artifacts: dict[str, Artifact] = {name: prepared.store.open(node.key) for name, node in nodes.items()}
    report = build(_facts(prepared, nodes, artifacts, begun))
    ship = prepared.pipeline.ship
    if ship in artifacts:
        folder.put_bundle(artifacts[ship].folder / "bundle", prepared.pipeline)
    render(report, folder.path, folder.previous)
    return report


def _facts(
    prepared: Prepared, nodes: dict[NodeName, Node], artifacts: Mapping[str, Artifact], begun: set[str]
) -> RunFacts:
    pipeline = prepared.pipeline
    made = {name: node for name, node in nodes.items() if not name.part and name.with_part(EVALUATION) in nodes}
    rows = [_row(pipeline, name, node, artifacts, begun) for name, node in made.items()]
    timed = next((artifacts[name] for name, node in nodes.items() if node.stage.times), None)
    return RunFacts(
        name=pipeline.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        compress_version=installed("compressor"),
        pipeline_text=pipeline.text,
        pipeline_sha256=pipeline.sha256,
        task=_task(prepared, artifacts),
        metrics=pipeline.task.metrics,
        rows=rows,
        baseline=pipeline.baseline if pipeline.baseline in made else None,
        ship=pipeline.ship if pipeline.ship in made else None,
        budget=[]
        if prepared.request.until
        else [{"measure": one.measure, one.kind: one.value} for one in pipeline.budget],
        decide=pipeline.decide,
        latency=timed.folder if timed else None,
        comparison=artifacts[COMPARISON].folder if COMPARISON in artifacts else None,
        environment={**machine.describe(), "libraries": {name: installed(name) for name in LIBRARIES}},
        reproduce=_reproduce(prepared, bundle=pipeline.ship in artifacts),
        warnings=[*_changed(prepared), *(one for made in artifacts.values() for one in made.facts.get("warnings", ()))],
    )


def _row(
    pipeline: Pipeline, name: NodeName, node: Node, artifacts: Mapping[str, Artifact], begun: set[str]
) -> ModelFacts:
    roles = pipeline.roles(name)
    artifact = artifacts[name]
    return ModelFacts(
        step=name,
        stage=node.stage.name,
        kind=artifact.kind,
        key=node.key,
        parent=roles.get("from"),
        teacher=roles.get("teacher"),
        reused=node.key not in begun,
        seconds=artifact.record.get("seconds"),
        evaluation=artifacts[name.with_part(EVALUATION)].folder,
        facts=artifact.facts,
        caution=node.stage.caution(artifact.facts),
        if_slower=node.stage.if_slower,
    )


def _task(prepared: Prepared, artifacts: Mapping[str, Artifact]) -> dict[str, Any]:
    task: Any = prepared.pipeline.task
    samples: dict[str, int] = next((one.facts["samples"] for one in artifacts.values() if "samples" in one.facts), {})
    return {
        "type": task.type,
        "metric": next(iter(task.metrics)),
        "data": task.data_name,
        "fingerprint": prepared.plan.task_fingerprint,
        "samples": dict(samples),
    }


def _changed(prepared: Prepared) -> list[str]:
    sets = prepared.request.sets
    return [f"this is not the file as it stands: the command line set {', '.join(sets)}"] if sets else []


def _reproduce(prepared: Prepared, *, bundle: bool) -> list[str]:
    """The variables to set, the run as it was asked for, and the check of what it shipped."""
    request, pipeline = prepared.request, prepared.pipeline
    names = sorted({*pipeline.task.variables(), *re.findall(r"\$\{(\w+)\}", pipeline.text)})
    sets = [word for one in request.sets for word in ("--set", one)]
    until = ["--until", request.until] if request.until else []
    path = request.path.name if request.path.is_absolute() else str(request.path)
    return [
        *(f"export {name}=…" for name in names),
        shlex.join(["compress", "run", path, *until, *sets, "--device", prepared.device]),
        *(["compress verify bundle"] if bundle else []),
    ]
