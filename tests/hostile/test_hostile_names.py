"""Hostile names in every field of every file, and in what lies on the disk: shown, and never acted upon."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml

from compressor.device.command import main
from compressor.device.manifest import manifest_digest
from compressor.errors import CompressError, Exit, InputError
from compressor.pipeline.file.schema import pipeline_schema
from compressor.report.contract.report import Report
from tests.bundle import hostile
from tests.hostile.names import HOSTILE, Place, acts, fields, renamed, with_value

Compress = Callable[..., tuple[int, str, str]]
Run = tuple[Path, Path, Path]

SCHEMA = pipeline_schema()
FILE: dict[str, Any] = {
    "version": 1, "name": "x", "task": {"type": "image-classification", "data": "digits"},
    "steps": {"a": {"stage": "finetune", "model": "resnet8"}, "e": {"stage": "export", "from": "a"}},
}  # fmt: skip
STEPS: dict[str, dict[str, Any]] = {
    "load": {"model": "resnet8", "weights": "none"}, "finetune": {"model": "resnet8"},
    "distill": {"model": "resnet8", "teacher": "a"}, "prune": {"from": "a", "keep": {"macs": 0.5}},
    "quantize": {"from": "a", "method": "qat"}, "export": {"from": "a"}, "benchmark": {},
}  # fmt: skip


def of_the_file() -> Iterator[tuple[Place, dict[str, Any]]]:
    """Every field of the pipeline file, with a file in which it may stand."""
    definitions = SCHEMA["$defs"]
    for place in fields({**SCHEMA, "$defs": {}}, definitions):
        if place[0] != "steps":
            yield place, FILE
    for form in SCHEMA["properties"]["task"]["allOf"]:
        for place in fields(form["then"], definitions):
            yield ("task", *place), FILE
    for form in definitions["Step"]["allOf"]:
        stage = form["if"]["properties"]["stage"]["const"]
        made = with_value(FILE, ("steps", "s"), {"stage": stage, **STEPS[stage]})
        for place in fields(form["then"], definitions):
            yield ("steps", "s", *place), made
    for above in ((), ("task",), ("steps",), ("steps", "a"), ("budget",), ("budget", "accuracy"), ("onnx",)):
        yield (*above, HOSTILE), FILE


def told(place: object, said: tuple[int, str, str], *codes: int) -> int:
    """The exit code, when it is one of these, and nothing that was said acts."""
    code, out, err = said
    assert code in (codes or (0, Exit.INPUT, Exit.INTEGRITY)), (place, err)
    assert "Traceback" not in err, place
    assert not acts(out + err), (place, out + err)
    return code


def test_every_field_of_the_pipeline_file(compress: Compress, tmp_path: Path) -> None:
    file, tried = tmp_path / "p.yaml", set()
    for place, document in of_the_file():
        which = (place, document["steps"].get("s", {}).get("stage"))
        if which not in tried:
            tried.add(which)
            file.write_text(json.dumps(with_value(document, place, HOSTILE)))
            told(place, compress("plan", file, "--store", tmp_path / "store"), 0, Exit.INPUT)
    assert len(tried) > 200


@pytest.mark.parametrize("form", ["pkg.mod:{}", "timm:{}", "torchvision:{}", "${{HOME}}/{}", "${{{}}}", "[{}]", "*{}"])
def test_names_that_are_looked_up(form: str, compress: Compress, tmp_path: Path) -> None:
    file, value = tmp_path / "p.yaml", form.format(HOSTILE)
    places: list[Place] = [
        ("steps", "a", "model"), ("steps", "a", "weights"), ("steps", "a", "freeze"), ("steps", "e", "from"),
        ("task", "data"), ("task", "data", "folder"), ("task", "data", "classes"), ("task", "augment"),
    ]  # fmt: skip
    for place in places:
        file.write_text(json.dumps(with_value(FILE, place, value)))
        told(place, compress("plan", file, "--store", tmp_path / "store"), 0, Exit.INPUT)
        words = ".".join(str(part) for part in place)
        file.write_text(json.dumps(FILE))
        told(words, compress("plan", file, "--set", f"{words}={value}", "--store", tmp_path / "store"), 0, Exit.INPUT)


def test_bytes_that_yaml_does_not_allow(compress: Compress, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    for text in (
        f"name: {HOSTILE}",
        f"# {HOSTILE}\nname: x",
        f"'{HOSTILE}': 1",
        f"name: 'x\n{HOSTILE}",
        f"a: *{HOSTILE}",
    ):
        for data in (text.encode(), text.encode("latin-1", "replace"), text.encode("utf-16")):
            file.write_bytes(data)
            told(text, compress("plan", file), Exit.INPUT)


def test_every_field_of_a_report(tiny_run: Run, compress: Compress, tmp_path: Path) -> None:
    whole = json.loads((tiny_run[1] / "report.json").read_text("utf-8"))
    everywhere, valid = whole, 0
    path = tmp_path / "report.json"
    for where, made in renamed(whole):
        path.write_text(json.dumps(made))
        try:
            Report.load(path)
        except InputError as error:
            told(where, (error.exit_code, "", str(error)), Exit.INPUT)
            continue
        valid += 1
        everywhere = json.loads(json.dumps(everywhere))
        _take(everywhere, whole, made)
    assert valid > 60
    for number, row in enumerate(everywhere["models"]):
        row.update(step=f"{number}{HOSTILE}", parent=f"{number - 1}{HOSTILE}")
    path.write_text(json.dumps(everywhere))
    told("everywhere", compress("report", tmp_path), 0)
    pages = [(tmp_path / name).read_text("utf-8") for name in ("report.html", "report.md")]
    assert all("<script>alert" not in page for page in pages)
    assert not acts(pages[1])
    assert not acts(pages[0].replace("\n# verdict", " # verdict"))  # HTML takes a line's end for a space
    assert not acts(Report.load(path).text())


def _take(everywhere: Any, whole: Any, made: Any) -> None:
    """Bring the one change of `made` against `whole` into `everywhere`, where that is a text."""
    if isinstance(whole, dict) and isinstance(made, dict) and set(whole) == set(made):
        for name, part in whole.items():
            if made[name] == HOSTILE != part:
                everywhere[name] = HOSTILE
            elif made[name] != part:
                _take(everywhere[name], part, made[name])
    elif isinstance(whole, list) and isinstance(made, list) and whole:
        if made[0] == HOSTILE:
            everywhere[0] = HOSTILE
        else:
            _take(everywhere[0], whole[0], made[0])


def test_every_field_of_a_bundle(tiny_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from compressor.bundle import bundle as bundles

    folder = tmp_path / "bundle"
    shutil.copytree(tiny_run[1] / "bundle", folder)
    for where, made in renamed(json.loads((folder / "bundle.json").read_text())):
        made["digest"] = manifest_digest(made)
        (folder / "bundle.json").write_text(json.dumps(made))
        capsys.readouterr()
        code = main(["--bundle", str(folder), f"none{HOSTILE}.png"])
        told(where, (code, *capsys.readouterr()), Exit.INPUT, Exit.INTEGRITY)
        try:
            bundles.check_files(bundles.read(folder))
        except CompressError as error:
            told(where, (error.exit_code, "", str(error)), Exit.INPUT, Exit.INTEGRITY)


def _graphs() -> Iterator[tuple[str, onnx.ModelProto]]:
    def made(*nodes: onnx.NodeProto, **more: Any) -> onnx.ModelProto:
        return hostile.model(list(nodes), [hostile.number(HOSTILE, 0, np.float32)], **more)

    node = onnx.helper.make_node
    yield "an operator", made(node(HOSTILE, [HOSTILE], ["extra"], name=HOSTILE, doc_string=HOSTILE))
    yield "an operator's domain", made(node("Identity", [HOSTILE], ["extra"], domain=HOSTILE))
    yield "an input that is not there", made(node("Identity", [f"no {HOSTILE}"], ["extra"]))
    size = made(node("Identity", [HOSTILE], ["extra"]))
    for port in (size.graph.input[0], size.graph.output[0]):
        port.name = port.type.tensor_type.shape.dim[1].dim_param = HOSTILE
    yield "its ports", size
    yield "a file of weights", hostile.external(HOSTILE)


def test_names_in_graphs(tiny_run: Run, compress: Compress, tmp_path: Path) -> None:
    file = tmp_path / f"{HOSTILE.replace('/', '')}.onnx"
    for name, graph in _graphs():
        file.write_bytes(graph.SerializeToString())
        told(name, compress("evaluate", file, "--task", tiny_run[0]), Exit.INPUT)


def test_keys_of_weights(compress: Compress, tmp_path: Path) -> None:
    import torch

    file, weights = tmp_path / "p.yaml", tmp_path / "w.pt"
    step = {"stage": "load", "model": "resnet8", "weights": str(weights)}
    file.write_text(json.dumps({**FILE, "steps": {"a": step}}))
    tensor = torch.zeros(2)
    forms = ({HOSTILE: tensor}, {HOSTILE: {HOSTILE: tensor}}, {"state_dict": {HOSTILE: tensor}}, {HOSTILE: HOSTILE})
    for form in (*forms, {HOSTILE: {"a.weight": tensor}, "b" + HOSTILE: {"a.weight": tensor}}):
        torch.save(form, weights)
        told(form, compress("run", file, "--store", tmp_path / "store", "--out", tmp_path / "run"), Exit.INPUT)


def test_a_resolved_file_is_the_same_pipeline_whatever_its_names(tmp_path: Path) -> None:
    from compressor.pipeline.file import spec
    from compressor.pipeline.file.resolved import resolved_yaml

    file = tmp_path / f"{HOSTILE.replace('/', '')}.yaml"
    args = {HOSTILE: HOSTILE, "猫": "Größe"}
    for given in (args, {"猫": "Größe"}):
        file.write_text(json.dumps(with_value(FILE, ("steps", "a", "model"), {"factory": "net:Net", "args": given})))
        text = resolved_yaml(spec.load(file))
        assert not acts(text)
        assert yaml.safe_load(text)["steps"]["a"]["model"]["args"] == given
    assert "猫: Größe" in text
