"""What a run will do: every step with its evaluation, its key, and whether it runs, is reused or goes on, and why."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal

from compressor.errors import InputError, IntegrityError
from compressor.pipeline import identity, why
from compressor.pipeline.identity import World
from compressor.pipeline.plan_needs import Index, Memory, Wish
from compressor.stages.base import Stage, StageSpec
from compressor.store.keys import digest

Status = Literal["run", "reuse", "resume"]

COMPARISON = "comparison"
EVALUATION = ".evaluation"
DAMAGED = "its artifact is damaged"


@dataclass(frozen=True)
class Node:
    """One piece of work. `name` is the step's, or `STEP.evaluation`, or `comparison`; `step` the step it is about.

    settings: what stands in the key. identity: all that the key is the digest of. seed: what the stage gets.
    why: in a few words; empty for what is simply reused.
    """

    name: str
    step: str
    stage: Stage
    spec: StageSpec
    settings: Mapping[str, Any]
    inputs: Mapping[str, Node]
    seed: int
    identity: Mapping[str, Any]
    key: str
    status: Status = "run"
    why: str = ""


@dataclass(frozen=True)
class Plan:
    """Nodes in the order of their work: each after its inputs, measurements last."""

    nodes: tuple[Node, ...]
    task_fingerprint: str
    command: str

    def node(self, name: str) -> Node:
        """The node with this name."""
        return next(one for one in self.nodes if one.name == name)

    @property
    def keys(self) -> frozenset[str]:
        """All keys, for `Store.hold(needs=…)`: what a run needs is not to be cleaned away under it."""
        return frozenset(one.key for one in self.nodes)

    def rebuild(self, key: str) -> str:
        """The command that makes the artifact of a key again, for `Store.rebuild`."""
        name = next((one.name for one in self.nodes if one.key == key), "STEP")
        return f"{self.command} --fresh {name}"


def plan(
    pipeline: Wish, world: World, *, store: Index, until: str | None = None, fresh: str | None = None,
    stages: Mapping[str, Stage] | None = None, command: str = "",
) -> Plan:  # fmt: skip
    """The nodes of a pipeline, and what is to be done for each. Reads the store's index and nothing else.

    A file with teacher, student (distilled from it), int8 (from student), edge (export of int8) and latency gives

        teacher, teacher.evaluation, student, student.evaluation,
        int8 (core: student.evaluation), int8.evaluation,
        edge (core: int8.evaluation, float: student.evaluation), edge.evaluation,
        latency (models.0 … models.3: the four evaluations), comparison

    After a run with nothing changed all of them are `reuse`. With another temperature of student, teacher and
    teacher.evaluation are `reuse`, student is `run` ("temperature 4 -> 6") and all others are `run` ("after student",
    "after int8", …). With another name for student, or its line elsewhere in the file, all are `reuse`.

    until: leave out what this step does not need. fresh: a step to run although its artifact is there.
    command: what runs this pipeline, options included, for the
    sentence about a damaged artifact; left out, `compress run FILE`.

    Raises:
        InputError: `until` or `fresh` names no step of the plan.
        IntegrityError: an artifact's manifest is damaged; the sentence has the command that rebuilds it.
    """
    nodes = list(_Planner(pipeline, world, _registry() if stages is None else stages).nodes())
    names = [node.name for node in nodes]
    for flag, asked in (("--until", until), ("--fresh", fresh)):
        if asked is not None and asked not in names:
            near = get_close_matches(asked, names, n=1)
            todo = f"did you mean {near[0]}?" if near else f"name one of {', '.join(pipeline.steps)}"
            raise InputError(flag, f'there is no step "{asked}"', todo)
    if until is not None:
        nodes = _needed(nodes, until)
        if fresh is not None and fresh not in {node.name for node in nodes}:
            raise InputError("--fresh", f'"{fresh}" is not needed for --until {until}', "leave one of the two out")
    command = command or shlex.join(["compress", "run", str(pipeline.path)])
    anew = next((node.key for node in nodes if node.name == fresh), None)
    judged = _judge(nodes, lambda node: _status(node, pipeline.name, store, world, anew, command))
    return Plan(tuple(judged), digest(world.task_parts), command)


def remember(store: Memory, pipeline: Wish, node: Node) -> None:
    """Keep what a node was made of, so that the next plan can say what changed."""
    store.remember(slot(pipeline.name, node.name), node.key, node.identity)


def slot(pipeline: str, node: str) -> str:
    """The place of a node in the store's memory."""
    return f"{pipeline}/{node}"


class _Planner:
    """Makes the nodes of a pipeline, without a look at the store."""

    def __init__(self, pipeline: Wish, world: World, stages: Mapping[str, Stage]) -> None:
        self._pipeline, self._world, self._stages = pipeline, world, stages
        self._made: dict[str, Node] = {}

    def nodes(self) -> Iterator[Node]:
        steps = {name: self._stages[spec.stage] for name, spec in self._pipeline.steps.items()}
        for name, stage in steps.items():
            if not identity.is_benchmark(stage):
                yield self._step(name, stage)
                if stage.makes != "measurement":
                    yield self._evaluation(name, stage)
        evaluations = [name for name in self._made if name.endswith(EVALUATION)]
        models = {f"models.{index}": self._made[name] for index, name in enumerate(evaluations)}
        for name, stage in steps.items():
            if identity.is_benchmark(stage):
                yield self._node(name, name, stage, self._pipeline.steps[name], models)
        yield from self._comparison()

    def _step(self, name: str, stage: Stage) -> Node:
        inputs = {role: self._made[step] for role, step in self._pipeline.roles(name).items()}
        if stage.makes in ("onnx", "bundle"):
            inputs["core"] = self._made[inputs["from"].name + EVALUATION]
        if stage.makes == "bundle":
            source = inputs["from"]
            while source.stage.makes != "model":
                source = source.inputs["from"]
            inputs["float"] = self._made[source.name + EVALUATION]
        return self._node(name, name, stage, self._pipeline.steps[name], inputs)

    def _evaluation(self, name: str, stage: Stage) -> Node:
        made = self._made[name]
        inputs = {"from": made, **({"core": made.inputs["core"]} if "core" in made.inputs else {})}
        return self._hidden(name + EVALUATION, name, "evaluate", inputs)

    def _comparison(self) -> Iterator[Node]:
        baseline, ship = self._pipeline.baseline, self._pipeline.ship
        if baseline is not None and ship is not None and baseline != ship:
            inputs = {"baseline": self._made[baseline + EVALUATION], "shipped": self._made[ship + EVALUATION]}
            yield self._hidden(COMPARISON, ship, "compare", inputs)

    def _hidden(self, name: str, step: str, stage_name: str, inputs: Mapping[str, Node]) -> Node:
        stage = self._stages[stage_name]
        spec = stage.spec.model_validate({"stage": stage_name})
        return self._node(name, step, stage, spec, inputs)

    def _node(self, name: str, step: str, stage: Stage, spec: StageSpec, inputs: Mapping[str, Node]) -> Node:
        contents = self._world.contents(name) if name in self._pipeline.steps else {}
        roles = frozenset(stage.takes) | frozenset(inputs)
        settings = identity.settings(spec, roles, contents)
        # A fixed seed where none is in the key, so that nothing can depend on one.
        asked = self._pipeline.seed if spec.seed is None else spec.seed
        seed = 0 if "seed" in spec.unused() else asked
        keys: dict[str, Any] = {role: one.key for role, one in inputs.items()}
        if identity.is_benchmark(stage):
            keys = {"models": sorted(set(keys.values()))}
        found = identity.identity(stage, spec, settings, keys, seed, self._world, self._pipeline.onnx.opset)
        node = Node(name, step, stage, spec, settings, dict(inputs), seed, found, digest(found))
        self._made[name] = node
        return node


def _needed(nodes: list[Node], until: str) -> list[Node]:
    """The node asked for, all it needs, and the evaluations of the models among them."""
    by_name = {node.name: node for node in nodes}
    wanted: set[str] = set()
    queue = [until]
    while queue:
        name = queue.pop()
        if name not in wanted:
            wanted.add(name)
            queue += [one.name for one in by_name[name].inputs.values()]
            queue += [name + EVALUATION] if name + EVALUATION in by_name else []
    return [node for node in nodes if node.name in wanted]


def _judge(nodes: list[Node], status: Callable[[Node], tuple[Status, str]]) -> Iterator[Node]:
    """The nodes with status and reason; inputs are replaced by their judged selves."""
    judged: dict[str, Node] = {}
    first: dict[str, str] = {}
    for node in nodes:
        what, reason = status(node)
        if what != "reuse" and node.key in first:
            what, reason = "reuse", f"the same as {first[node.key]}"
        first.setdefault(node.key, node.name)
        inputs = {role: judged[one.name] for role, one in node.inputs.items()}
        judged[node.name] = replace(node, inputs=inputs, status=what, why=reason)
        yield judged[node.name]


def _status(node: Node, name: str, store: Index, world: World, anew: str | None, command: str) -> tuple[Status, str]:
    """anew: the key that `--fresh` asked for; other damaged artifacts are then built again, too."""
    if node.key == anew:
        return "run", "asked for with --fresh"
    try:
        artifact = store.find(node.key, f"{command} --fresh {node.name}")
    except IntegrityError:
        if anew is None:
            raise
        return "run", DAMAGED
    if artifact is not None:
        threads = artifact.record.get("threads")
        same = threads is None or world.threads is None or threads == world.threads
        return "reuse", "" if same else f"made with {threads} thread{'' if threads == 1 else 's'}"
    saved = store.interrupted(node.key)
    if saved is not None:
        return "resume", f"interrupted at {saved}, goes on"
    last = store.previous(slot(name, node.name))
    if last is None:
        return "run", "never run"
    if last[0] == node.key:
        return "run", "its result is not in the store any more"
    sources = [(one.step, one.key) for one in node.inputs.values()]
    return "run", ", ".join(why.reasons(last[1], node.identity, sources)) or "changed"


def _registry() -> Mapping[str, Stage]:
    from compressor.stages import STAGES  # here: the plan is tested with stages of its own

    return STAGES
