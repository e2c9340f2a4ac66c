"""Runs the nodes of a plan in their order and commits what they leave to the store. Lives in the child."""

from __future__ import annotations

import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compressor.errors import CompressError, Exit, StepError, shortage
from compressor.pipeline.plan.plan import DAMAGED
from compressor.pipeline.plan.prepare import Prepared
from compressor.pipeline.run import preflight, user_code
from compressor.pipeline.run.events import Events, StepProgress
from compressor.problem.context import Context
from compressor.store.disk import refusal

if TYPE_CHECKING:
    from compressor.pipeline.plan.node import Node
    from compressor.problem.task import Task
    from compressor.store.artifact import Artifact


class Execution:
    """One walk over a plan."""

    def __init__(self, prepared: Prepared, events: Events) -> None:
        self._prepared, self._events = prepared, events
        self._store, self._pipeline = prepared.store, prepared.pipeline
        self._task: Task | None = None

    def run(self) -> None:
        """Check everything, then run what is not in the store.

        Raises:
            CompressError: with the step's name in front where it came from a step.
        """
        nodes = self._prepared.plan.nodes
        if any(node.status != "reuse" for node in nodes):
            preflight.check_device(self._prepared.device)
            preflight.check(nodes, self.task, self._context_to_check, self._store.open)
        self._events.send("checked")
        for node in nodes:
            if node.status == "reuse":
                self._store.open(node.key)
            else:
                self._step(node)
            self._prepared.remember(node)

    @property
    def task(self) -> Task:
        """The problem, made once and only when a step needs it."""
        if self._task is None:
            prepared = self._prepared
            self._task = self._pipeline.task.make(
                self._pipeline.base, smoke=prepared.request.smoke,
                declared=prepared.declared(), digests=prepared.digests, cache=prepared.store.root / "digests",
            )  # fmt: skip
            self._events.send("sizes", sizes=dict(self._task.facts.sizes))
            for note in self._task.facts.notes:
                self._events.send("say", node="", text=note)
            steps = ", ".join(
                f"{name}: {value}" for item in self._task.facts.preprocess for name, value in item.items()
            )
            self._events.send("say", node="", text=f"preprocess: {steps or 'nothing'}")
        return self._task

    def _step(self, node: Node) -> None:
        key, asked = node.key, self._prepared.request.fresh
        fresh = node.why == DAMAGED or (asked is not None and key == self._prepared.plan.node(asked).key)
        needs = self._prepared.plan.keys
        with self._store.hold(key, waiting=lambda text: self._events.send("waiting", text=text), needs=needs):
            if fresh:
                self._store.clear_work(key)
            elif self._store.find(key) is not None:
                self._store.open(key)
                return
            self._events.send("step", node=node.name, stage=node.stage.name, relief=node.spec.relief())
            began = time.monotonic()
            folder = self._store.staging(key)
            try:
                facts = self._run_stage(node, self._context(node, folder, self._store.work(key)))
                seconds = time.monotonic() - began
                self._store.commit(
                    key, folder, kind=node.stage.makes, stage=node.stage.name, settings=node.settings,
                    inputs={role: one.key for role, one in node.inputs.items()}, facts=facts,
                    record=self._record(node, seconds), replace=node.stage.times,
                )  # fmt: skip
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            self._events.send("done", node=node.name, seconds=seconds, facts=_short(facts))

    def _run_stage(self, node: Node, context: Context) -> dict[str, Any]:
        inputs: dict[str, Artifact] = {role: self._store.open(one.key) for role, one in node.inputs.items()}
        try:
            return node.stage.run(node.spec, inputs, context)
        except CompressError as error:
            if not error.where:
                error.where = f"step {node.name}"
            raise
        except OSError as problem:
            self._not_for_memory(problem, node)
            root, place = self._store.root, Path(problem.filename or self._store.root)
            refused = refusal(problem, root) if place.is_relative_to(root) else refusal(problem, place, named_by="")
            if refused is None:
                raise
            raise refused from problem
        except (Exception, SystemExit) as problem:
            self._not_for_memory(problem, node)
            if isinstance(problem, SystemExit) and problem.code == int(Exit.INTERRUPTED):
                raise
            if not user_code.code_line(problem):
                raise
            what = f"the network's own code failed{user_code.failed(problem)}"
            todo = "mend it and run again; the steps before it are kept"
            raise StepError(f"step {node.name}", what, todo) from problem

    def _not_for_memory(self, problem: BaseException, node: Node) -> None:
        """Memory that does not suffice is nobody's mistake.

        Raises:
            ResourceError: names the step.
        """
        if (short := shortage(problem, f"step {node.name}")) is not None:
            raise short from problem

    def _context(self, node: Node, folder: Path, work: Path) -> Context:
        pipeline = self._pipeline
        return Context(
            task=self.task, seed=node.seed, device=self._prepared.device, folder=folder,
            work=work, progress=StepProgress(self._events, node.name), step=node.name,
            base=pipeline.base, opset=pipeline.onnx.opset, smoke=self._prepared.request.smoke,
            pipeline={"name": pipeline.name, "sha256": pipeline.sha256, "step_key": node.key},
        )  # fmt: skip

    def _context_to_check(self, node: Node) -> Context:
        """A context for untrained networks, which write nothing."""
        return self._context(node, self._store.root, self._store.root)

    def _record(self, node: Node, seconds: float) -> dict[str, Any]:
        import torch

        return {
            "pipeline": self._pipeline.name,
            "step": node.name,
            "seconds": round(seconds, 3),
            "threads": torch.get_num_threads(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "process": os.getpid(),
        }


def _short(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts worth a line in the log: no curves, no tables."""
    return {name: value for name, value in facts.items() if isinstance(value, str | int | float | bool)}
