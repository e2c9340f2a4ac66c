"""The rules of the house, held by the code itself: floors, light imports, no circles, no file with two subjects."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "compressor"
HEAVY = {"torch", "torchvision", "onnx", "onnxruntime", "onnxscript", "sklearn", "timm", "torch_pruning"}
FLOORS: tuple[tuple[str, dict[str, str]], ...] = (
    ("face", {"cli": "parse, call, show"}),
    ("use cases", {"api": "what a command or a Python caller does, a file each"}),
    ("conduct", {"pipeline": "`file/`: what is asked for, `plan/`: what will happen, `run/`: doing it"}),
    ("stages", {"stages": "one file a stage, and `base`: what a spec answers and a stage declares"}),
    ("problems", {"tasks": "one file a task; what knows what a class is"}),
    (
        "outcome",
        {
            "evaluation": "one model measured",
            "bundle": "what goes to the device",
            "report": "`contract/`: the types of report.json, `judgement/`: measures, verdict, warnings, `drawings/`, `pages/`",
        },
    ),
    (
        "crafts",
        {
            "models": "networks, their weights and what can be told of them",
            "training": "the loop and what it starts from",
            "distillation": "learning from a teacher",
            "pruning": "narrower networks",
            "quantization": "int8",
            "onnx_graph": "graphs: made, counted, finished, compared",
            "latency": "experiments over fresh processes",
            "data": "samples, where they come from and what is done to them",
        },
    ),
    (
        "interfaces",
        {
            "problem": "what a task is, a metric, a batch, a signature, and what a step works in",
            "store": "artifacts under their keys",
        },
    ),
    (
        "ground",
        {
            "deaths": "what an end by a signal means",
            "discovery": "what a package's files define",
            "errors": "all that a user can be told, and the exit codes",
            "machine": "what this computer is",
            "printable": "foreign text made safe to show",
            "progress": "how far a step is",
            "scarce": "where addresses are limited",
            "seeds": "generators",
            "statistics": "intervals and tests",
            "strict": "frozen settings, and what is read in them",
            "unfinished": "files and folders that a kill leaves",
        },
    ),
    ("device", {"device": "what a device runs, preprocessing above all; imports nothing of the rest"}),
)
"""From the top down: floor, and what lives in each of its rooms. CONTRIBUTING shows this table."""
KNOWS: dict[str, set[str]] = {
    "cli": {"api", "models", "pipeline", "report", "stages", "store", "tasks", "training"},
    "api": {"bundle", "evaluation", "models", "pipeline", "problem", "report", "tasks"},
    "pipeline": {"bundle", "models", "problem", "report", "stages", "store", "tasks", "training"},
    "stages": {
        "bundle", "distillation", "evaluation", "latency", "models", "onnx_graph", "problem", "pruning", "quantization",
        "store", "tasks", "training",
    },
    "tasks": {"data", "problem", "report.contract"},
    "evaluation": {"bundle", "latency", "models", "onnx_graph", "problem", "training"},
    "bundle": set(),
    "report": {"evaluation", "onnx_graph.kinds", "problem", "store"},
    "models": {"problem"},
    "training": {"models", "onnx_graph", "problem"},
    "distillation": {"models", "problem", "training"},
    "pruning": {"models"},
    "quantization": {"models", "onnx_graph", "problem", "training"},
    "onnx_graph": {"models", "problem"},
    "latency": set(),
    "data": {"problem", "store.keys"},
    "problem": set(),
    "store": set(),
}  # fmt: skip
"""Room -> the rooms, or a file or wing of one, that it knows beside ground and device: these and no others."""
GROUND = {"device", *next(rooms for floor, rooms in FLOORS if floor == "ground")}
LIGHT_ROOMS = {"api", "cli", "evaluation", "pipeline", "problem", "store", "report", "bundle", "stages", "tasks", ""}
WINGS = {
    "pipeline": ("file", "plan", "run"),
    "report": ("contract", "judgement", "drawings", "pages"),
}
"""Rooms of several wings, each of which knows those before it."""
FACE = {"", "__main__"}
"""The package itself."""


@cache
def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports(path: Path, *, whole: bool, types: bool = False) -> set[str]:
    """Modules a file imports when it is loaded, or anywhere in it. types: those for type checkers count too."""
    found: set[str] = set()

    def visit(nodes: list[ast.stmt]) -> None:
        for node in nodes:
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                # The device's package is copied and has another name then.
                in_device = path.parent == PACKAGE / "device"
                assert node.level == 0 or (in_device and node.level == 1), f"{path}: relative import"
                assert not in_device or not (node.module or "").startswith("compressor"), f"{path}: not of the device"
                module = ".".join(filter(None, ["compressor.device" if node.level else "", node.module]))
                found.update(f"{module}.{alias.name}" for alias in node.names)
                found.add(module)
            elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) and not types:
                visit(node.orelse)
            elif whole or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for child in ast.iter_child_nodes(node):
                    visit(
                        [child]
                        if isinstance(child, ast.stmt)
                        else [s for s in ast.walk(child) if isinstance(s, ast.stmt)]
                    )

    visit(ast.parse(path.read_text()).body)
    return found


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def _others(room: str) -> set[str]:
    """What the files of a room know of other rooms, as `room.file`, without ground and device."""
    known = {other for name, path in modules().items() if room_of(name) == room for other in known_by(path)}
    names = {".".join(other.split(".")[1:3]) for other in known if room_of(other) not in {room, *GROUND, *FACE}}
    return names if room not in GROUND else set()


@pytest.mark.parametrize("room", sorted({room_of(module) for module in modules()} - FACE))
def test_a_room_knows_the_rooms_that_it_says_and_no_others(room: str) -> None:
    allowed, found = KNOWS.get(room, set()), _others(room)
    strays = {other for other in found if not {other, other.split(".")[0]} & allowed}
    assert not strays, f"{room} knows {', '.join(sorted(strays))}"
    unused = {one for one in allowed if not any(one in (other, other.split(".")[0]) for other in found)}
    assert not unused, f"{room} does not know {', '.join(sorted(unused))} any more"


@pytest.mark.parametrize("room", sorted({room_of(module) for module in modules()} - FACE))
def test_no_room_knows_one_on_a_floor_above(room: str) -> None:
    floors = {room: index for index, (_, rooms) in enumerate(FLOORS) for room in rooms}
    known = {room_of(other) for name, path in modules().items() if room_of(name) == room for other in known_by(path)}
    above = {other for other in known - FACE if floors[other] < floors[room]}
    assert not above, f"{room} knows {', '.join(sorted(above))}"


def test_the_contributors_see_the_same_floors() -> None:
    rows = ["| floor | rooms |", "|---|---|"]
    for floor, rooms in FLOORS:
        named = (f"`{room}{'/' if (PACKAGE / room).is_dir() else '.py'}`: {words}" for room, words in rooms.items())
        rows.append(f"| {floor} | {'; '.join(named)} |")
    assert "\n".join(rows) in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), "\n".join(rows)


@pytest.mark.parametrize("module", [name for name in modules() if room_of(name) in WINGS])
def test_a_wing_knows_only_those_before_it(module: str) -> None:
    room = room_of(module)
    wings = [room, *WINGS[room]]
    known = {wings.index(other.split(".")[2]) for other in known_by(modules()[module]) if room_of(other) == room}
    assert max(known, default=0) <= wings.index(module.split(".")[min(2, module.count("."))])


def _of_stages() -> tuple[set[str], set[str]]:
    """The names of all stages, and of the fields that are theirs alone: not of every step, no role, no word of a
    report."""
    from compressor.report.contract.report import Report
    from compressor.stages import STAGES
    from compressor.stages.base import StageSpec

    fields = {name for stage in STAGES.values() for form in stage.specs for name in form.model_fields}
    roles = {role for stage in STAGES.values() for role in stage.takes}
    schema = Report.model_json_schema()
    said = {name for part in (schema, *schema["$defs"].values()) for name in part.get("properties", ())}
    others = {"key", "model", "alpha", "from_"}  # a sort's, a kind of artifact, a colour's
    return set(STAGES), fields - roles - set(StageSpec.model_fields) - said - others


@pytest.mark.parametrize("module", [name for name in modules() if room_of(name) in ("pipeline", "report")])
def test_no_stage_and_no_field_of_one_is_named_where_specs_are_asked(module: str) -> None:
    stages, fields = _of_stages()
    in_text = re.compile(rf"stage: ({'|'.join(stages)})\b|\b({'|'.join(name for name in fields if '_' in name)})\b")
    tree = ast.parse(modules()[module].read_text())
    documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented:
            assert node.value not in stages | fields and not in_text.search(node.value), node.value
        elif isinstance(node, ast.Attribute):
            assert node.attr not in fields, f"{node.lineno}: .{node.attr}"
        elif isinstance(node, ast.keyword):
            assert node.arg not in fields, f"{node.value.lineno}: {node.arg}="
    known = {other for other in known_by(modules()[module]) if room_of(other) == "stages"}
    assert known <= {"compressor.stages", "compressor.stages.base"}


@pytest.mark.parametrize("module", [name for name in modules() if room_of(name) in LIGHT_ROOMS])
def test_light_rooms_load_nothing_heavy(module: str) -> None:
    heavy = {name.split(".")[0] for name in imports(modules()[module], whole=False)} & HEAVY
    assert not heavy


def known_by(path: Path) -> set[str]:
    """The files of ours that a file knows: when loaded, inside of functions, and for types alone."""
    found = {other for other in imports(path, whole=True, types=True) if other in modules()}
    # `from package import file` is about the file; about the package where it takes something of its own.
    return {one for one in found if not any(other.startswith(f"{one}.") for other in found)}


@pytest.mark.parametrize("by", ["file", "room"])
def test_nothing_knows_what_knows_it(by: str) -> None:
    graph: dict[str, set[str]] = {}
    for name, path in modules().items():
        mine, others = (name, known_by(path)) if by == "file" else (room_of(name), set(map(room_of, known_by(path))))
        graph.setdefault(mine, set()).update(others - {mine})
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("module", modules())
def test_a_file_has_one_subject(module: str) -> None:
    path = modules()[module]
    assert path.stem not in {"utils", "util", "common", "helpers", "misc", "manager"}
    assert len(path.read_text().splitlines()) <= 300


@pytest.mark.parametrize("module", sorted(set(modules()) - {"compressor.unfinished"}))
def test_nothing_is_left_behind_by_a_kill(module: str) -> None:
    """Files are written whole, and folders used for a while, by the one module whose leftovers are swept."""
    source = modules()[module].read_text()
    for call in ("TemporaryDirectory", "NamedTemporaryFile", "mkdtemp", "mkstemp"):
        assert call not in source, call


def test_help_plan_stages_and_schema_never_load_torch(tmp_path: Path) -> None:
    code = """
import sys
from compressor.cli.app import main
for words in (["--help"], ["plan", "pipelines/quickstart.yaml"], ["stages"], ["stages", "distill"], ["schema"], ["schema", "report"]):
    try:
        main(words)
    except SystemExit as end:
        assert end.code == 0, (words, end.code)
import compressor, compressor.tasks, compressor.stages
heavy = {"torch", "torchvision", "onnx", "onnxruntime", "sklearn", "timm", "torch_pruning"} & set(sys.modules)
assert not heavy, heavy
"""
    environment = {**os.environ, "COMPRESS_STORE": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_pipeline_is_valid_and_carries_the_modeline(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from compressor.pipeline.file import spec

    monkeypatch.setenv("COMPRESS_DATA", "data")
    assert spec.load(path).steps
    assert path.read_text().startswith("# yaml-language-server: $schema=")


@pytest.mark.parametrize("room", sorted({room_of(module) for module in modules()} - FACE))
def test_the_documents_know_every_room(room: str) -> None:
    assert not (PACKAGE / room).is_dir() or f"  {room}/" in (ROOT / "README.md").read_text(encoding="utf-8")
