"""What a run will do: every step with its evaluation, its key, and whether it runs, is reused or goes on, and why."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from compressor.errors import InputError, IntegrityError, closest
from compressor.pipeline.plan import identity, why
from compressor.pipeline.plan.identity import World
from compressor.pipeline.plan.node import Node, NodeName, Plan, Status
from compressor.pipeline.plan.variants import Variant, expanded
from compressor.stages.base import AnyStage, EveryPart, PartOf, StageSpec, TakenOver
from compressor.store.keys import digest

if TYPE_CHECKING:
    from compressor.pipeline.file.spec import Pipeline
    from compressor.store.store import Store

DAMAGED = "its artifact is damaged"


def plan(
    pipeline: Pipeline, world: World, *, store: Store, until: str | None = None, fresh: str | None = None,
    stages: Mapping[str, AnyStage] | None = None, command: str = "",
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
            near = closest(asked, names)
            todo = f"did you mean {near}?" if near else f"name one of {', '.join(pipeline.steps)}"
            raise InputError(flag, f'there is no step "{asked}"', todo)
    if until is not None:
        nodes = _needed(nodes, until)
        if fresh is not None and fresh not in {node.name for node in nodes}:
            raise InputError("--fresh", f'"{fresh}" is not needed for --until {until}', "leave one of the two out")
    command = command or shlex.join(["compress", "run", str(pipeline.path)])
    anew = next((node.key for node in nodes if node.name == fresh), None)
    judged = _judge(nodes, lambda node: _status(node, pipeline.name, store, world, anew, command))
    return Plan(tuple(judged), digest(world.task_parts), command)


def remember(store: Store, pipeline: Pipeline, node: Node) -> None:
    """Keep what a node was made of, so that the next plan can say what changed."""
    store.remember(slot(pipeline.name, node.name), node.key, node.identity)


def slot(pipeline: str, node: str) -> str:
    """The place of a node in the store's memory."""
    return f"{pipeline}/{node}"


class _Planner:
    """Makes the nodes of a pipeline, without a look at the store."""

    def __init__(self, pipeline: Pipeline, world: World, stages: Mapping[str, AnyStage]) -> None:
        self._pipeline, self._world, self._stages = pipeline, world, stages
        self._made: dict[NodeName, Node] = {}
        parts = [stage for stage in stages.values() if stage.part]
        self._of_steps = [stage for stage in parts if "from" in stage.takes]
        self._of_all = [stage for stage in parts if "from" not in stage.takes]

    def nodes(self) -> Iterator[Node]:
        last: list[Variant] = []
        for variant in expanded(self._pipeline):
            stage = self._stages[variant.spec.stage]
            if any(isinstance(one, EveryPart) for one in stage.derives.values()):
                last.append(variant)
                continue
            made = self._step(variant, stage)
            yield made
            for part in self._of_steps:
                if stage.makes in part.takes["from"]:
                    yield self._part(part, made.name.with_part(part.part), {"from": made})
        for variant in last:
            yield self._step(variant, self._stages[variant.spec.stage])
        for part in self._of_all:
            if len({node.name for node in self._derived(part, {}).values()}) == len(part.derives):
                yield self._part(part, NodeName("", part.part), {})

    def _step(self, variant: Variant, stage: AnyStage) -> Node:
        inputs = {role: self._made[name] for role, name in variant.roles.items()}
        return self._node(variant.name, stage, variant.spec, inputs)

    def _part(self, stage: AnyStage, name: NodeName, inputs: Mapping[str, Node]) -> Node:
        return self._node(name, stage, stage.spec.model_validate({"stage": stage.name}), inputs)

    def _derived(self, stage: AnyStage, inputs: Mapping[str, Node]) -> dict[str, Node]:
        """The inputs that the stage has the plan put in, as far as there are such nodes."""
        found: dict[str, Node | None] = {}
        for role, derived in stage.derives.items():
            match derived:
                case EveryPart(part):
                    every = [node for name, node in self._made.items() if name.part == part]
                    found |= {f"{role}.{index}": node for index, node in enumerate(every)}
                case TakenOver(taken):
                    found[role] = inputs["from"].inputs.get(taken)
                case PartOf(part, of, back_to):
                    found[role] = self._part_of(inputs.get(of) or self._of_pipeline(of), part, back_to)
        return {role: node for role, node in found.items() if node is not None}

    def _part_of(self, source: Node | None, part: str, back_to: str | None) -> Node | None:
        while source is not None and back_to is not None and source.stage.makes != back_to:
            source = source.inputs.get("from")
        return None if source is None else self._made.get(source.name.with_part(part))

    def _of_pipeline(self, role: str) -> Node | None:
        step = {"baseline": self._pipeline.baseline, "ship": self._pipeline.ship}.get(role)
        return None if step is None else self._made[NodeName(step)]

    def _node(self, name: NodeName, stage: AnyStage, spec: StageSpec, inputs: Mapping[str, Node]) -> Node:
        inputs = {**inputs, **self._derived(stage, inputs)}
        roles = frozenset({*stage.takes, *stage.derives, *(role.partition(".")[0] for role in inputs)})
        settings = identity.settings(spec, roles, {} if name.part else self._world.contents(name.step))
        # A fixed seed where none is in the key, so that nothing can depend on one.
        asked = self._pipeline.seed if spec.seed is None else spec.seed
        seed = 0 if "seed" in spec.unused() else asked
        keys: dict[str, Any] = {role: one.key for role, one in inputs.items()}
        for role, derived in stage.derives.items():
            if isinstance(derived, EveryPart):
                every = {key for one, key in keys.items() if one.startswith(f"{role}.")}
                keys = {one: key for one, key in keys.items() if key not in every} | {role: sorted(every)}
        found = identity.identity(stage, spec, settings, keys, seed, self._world, self._pipeline.onnx.opset)
        node = Node(name, stage, spec, settings, dict(inputs), seed, found, digest(found))
        self._made[name] = node
        return node


def _needed(nodes: list[Node], until: str) -> list[Node]:
    """The node asked for, all it needs, and the parts of the steps among them."""
    by_name: dict[str, Node] = {node.name: node for node in nodes}
    needed: set[str] = set()
    queue = [until]
    while queue:
        name = queue.pop()
        if name not in needed:
            needed.add(name)
            queue += [one.name for one in by_name[name].inputs.values()]
            queue += [node.name for node in nodes if node.name.part and node.name.whole == name]
    return [node for node in nodes if node.name in needed]


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


def _status(node: Node, name: str, store: Store, world: World, anew: str | None, command: str) -> tuple[Status, str]:
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
    sources = [(one.name.whole, one.key) for one in node.inputs.values()]
    return "run", ", ".join(why.reasons(last[1], node.identity, sources)) or "changed"


def _registry() -> Mapping[str, AnyStage]:
    from compressor.stages import STAGES  # here: the plan is tested with stages of its own

    return STAGES
