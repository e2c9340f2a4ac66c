"""`stages`, `schema` and the reference page: made from the code, whole, and the same as what is committed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from compressor.api.schema import schema
from compressor.cli import describe
from compressor.cli.console import Console
from compressor.cli.reference import reference
from compressor.errors import InputError
from compressor.pipeline.file import fields
from compressor.pipeline.file.roles import written
from compressor.pipeline.file.schema import pipeline_schema, schema_of
from compressor.stages import HIDDEN, STAGES, WRITTEN
from compressor.tasks import TASKS
from tests.pipeline import toy_stages

ROOT = Path(__file__).parents[2]


def shown(name: str | None, width: int = 160) -> str:
    console = Console(width=width, force_terminal=False)
    with console.capture() as captured:
        describe.show_stages(name, console=console)
    return captured.get()


def test_the_registry_holds_every_stage_file() -> None:
    files = {path.stem for path in (ROOT / "compressor" / "stages").glob("*.py") if "\nSTAGE = " in path.read_text()}
    assert files == {*WRITTEN, *HIDDEN}
    assert {name: stage.name for name, stage in STAGES.items()} == {name: name for name in (*WRITTEN, *HIDDEN)}


def test_the_registry_knows_no_other() -> None:
    assert "base" not in STAGES
    with pytest.raises(KeyError):
        STAGES["base"]


def test_the_list_has_a_sentence_for_every_stage_a_file_can_name() -> None:
    text = shown(None)
    for name in WRITTEN:
        assert re.search(rf"^ *{name} .*\w\.?", text, re.MULTILINE)
    assert not any(re.search(rf"^ *{name} ", text, re.MULTILINE) for name in HIDDEN)


@pytest.mark.parametrize("name", WRITTEN)
def test_one_stage_shows_every_field_with_a_meaning(name: str) -> None:
    text = shown(name)
    spec = STAGES[name].spec
    for row in fields.rows(spec):
        assert row.name in text
        assert row.meaning.strip(), f"{name}.{row.name} says nothing"
        assert row.type != "any value"
    top = {row.name for row in fields.rows(spec) if "." not in row.name}
    short = {"factory"} if "model" in written(spec) else set()
    assert top == set(written(spec)) - {"stage"} | short


def test_what_may_be_left_out_is_told_apart() -> None:
    assert re.search(r"^ *distill +teacher, \[from\] ", shown(None), re.MULTILINE)
    assert "teacher: a model\n  from (optional): a model\n" in shown("distill")


@pytest.mark.parametrize("name", WRITTEN)
def test_nothing_is_cut_at_80_columns(name: str) -> None:
    cut = [line for line in shown(name, 80).splitlines() if re.search(r"\w…", line)]
    assert not cut


def test_an_unknown_stage_says_which_was_meant() -> None:
    with pytest.raises(InputError, match='there is no stage "distil"; did you mean "distill"'):
        describe.show_stages("distil")


def test_rows_of_a_spec() -> None:
    rows = {row.name: row for row in fields.rows(toy_stages.Make, roles=("from", "teacher"))}
    assert next(iter(rows)) in ("from", "teacher")
    assert rows["from"].type == "an earlier step"
    assert rows["temperature"] == fields.FieldRow("temperature", "a number above 0 and at most 100", "4.0", "Softens.")
    assert rows["optimizer"].type == '"sgd" or "adamw"'
    assert rows["model.name"].default == fields.REQUIRED
    assert rows["model.widths"].type == "a list of at least 1, each a whole number from 1 to 4096"
    assert "stage" not in rows
    limit = next(row for row in fields.rows(toy_stages.Pack) if row.name == "limit")
    assert (limit.type, limit.default) == ("a number, or null", "1.0")
    only = {row.name for row in fields.rows(toy_stages.Make, training=False)}
    assert {"temperature", "seed"} < only
    assert "epochs" not in only


def test_the_committed_reference_is_that_of_the_code() -> None:
    page = ROOT / "docs" / "reference.md"
    assert page.read_text(encoding="utf-8") == reference(), "run: compress stages --markdown > docs/reference.md"


def test_the_reference_has_a_section_for_every_stage() -> None:
    sections = re.findall(r"^### (\w+)$", reference(), re.MULTILINE)
    assert tuple(sections) == tuple(WRITTEN)


def test_the_committed_schema_is_that_of_the_code() -> None:
    committed = ROOT / "pipelines" / "pipeline.schema.json"
    again = "run: compress schema > pipelines/pipeline.schema.json"
    assert committed.read_text(encoding="utf-8") == schema("pipeline"), again


def test_schemas_are_json_and_others_are_refused() -> None:
    assert json.loads(schema("report"))["type"] == "object"
    with pytest.raises(InputError, match='there is no schema "bundle"'):
        schema("bundle")


def accepts(node: Any, value: Any, root: Any) -> bool:
    """Whether a value fits a schema, as far as our schemas go: enough of JSON Schema to try them on files."""
    node = dict(node)
    if "$ref" in node:
        target = root["$defs"][node.pop("$ref").rsplit("/", 1)[-1]]
        return accepts(target, value, root) and accepts(node, value, root)
    kinds: dict[str, Any] = {
        "object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool,
        "null": type(None),
    }  # fmt: skip
    kind = node.get("type")
    if kind and (not isinstance(value, kinds[kind]) or (isinstance(value, bool) and kind not in ("boolean", "object"))):
        return False
    checks = [
        "const" not in node or value == node["const"],
        "enum" not in node or value in node["enum"],
        "anyOf" not in node or any(accepts(part, value, root) for part in node["anyOf"]),
        all(accepts(part, value, root) for part in node.get("allOf", ())),
        "if" not in node or accepts(node.get("then" if accepts(node["if"], value, root) else "else", {}), value, root),
    ]
    if isinstance(value, dict):
        known = node.get("properties", {})
        rest = node.get("additionalProperties", True)
        checks += [name in value for name in node.get("required", ())]
        checks += [accepts(known[name], each, root) for name, each in value.items() if name in known]
        checks += [
            rest is not False and (rest is True or accepts(rest, each, root))
            for name, each in value.items()
            if name not in known
        ]
    if isinstance(value, list) and "items" in node:
        checks += [accepts(node["items"], each, root) for each in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        checks += [value >= node.get("minimum", value), value <= node.get("maximum", value)]
        checks += [value > node.get("exclusiveMinimum", value - 1), value < node.get("exclusiveMaximum", value + 1)]
    return all(checks)


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"temperature": 2}, True),
        ({"temprature": 2}, False),
        ({"temperature": 0}, False),
        ({"model": {"name": "net", "widths": [1]}}, True),
        ({"model": {"name": "net", "width": [1]}}, False),
        ({"from": "big"}, True),
        ({"from_": "big"}, False),
        ({"stage": "pack"}, False),
        ({"stage": "evaluate"}, False),
    ],
)
def test_the_schema_checks_a_step_by_its_stage(change: dict[str, Any], fits: bool) -> None:
    schema = schema_of(toy_stages.STAGES, toy_stages.TASKS)
    data = toy_stages.parse(toy_stages.FILE).document.data
    data["steps"]["small"] |= change
    assert accepts(schema, data, schema) is fits


@pytest.mark.parametrize(
    ("place", "value"),
    [("version", 2), ("nam", "x"), ("budget", {"acuracy": {"min": 1}}), ("budget", {"speedup": {"max_drop": 1}}),
     ("budget", {"decide": "maybe"}), ("task", {"type": "toy"}), ("onnx", {"opset": 3})],
)  # fmt: skip
def test_the_schema_refuses_what_the_reader_refuses(place: str, value: Any) -> None:
    schema = schema_of(toy_stages.STAGES, toy_stages.TASKS)
    data = toy_stages.parse(toy_stages.FILE).document.data
    assert not accepts(schema, data | {place: value}, schema)


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_pipeline_fits_the_schema(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from compressor.pipeline.file import yaml_file

    schema = pipeline_schema()
    assert accepts(schema, yaml_file.scan(path.read_text(), path).data, schema)


def test_every_field_of_a_task_has_a_meaning() -> None:
    for kind in TASKS.values():
        for row in fields.rows(kind):
            assert row.meaning, row.name
