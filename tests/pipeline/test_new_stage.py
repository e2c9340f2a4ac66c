"""A stage that is one file more: everything asks its spec, and no other file is touched."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import compressor.stages

STAMP = '''
"""Hand a network on with a note."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field

from compressor.problem.context import Context
from compressor.problem.work import Work
from compressor.stages.base import SettledSpec, Stage
from compressor.store.artifact import Artifact
from compressor.strict import FilePath, Frozen


class Appendix(Frozen):
    """More to read."""

    pages: tuple[FilePath, ...] = Field((), description="Files.")


class StampSpec(SettledSpec):
    """A network with a note."""

    stage: Literal["stamp"] = "stamp"
    from_: str = Field(alias="from", description="Earlier step whose network is handed on.")
    note: FilePath = Field(description="A file.")
    appendix: Appendix = Field(default_factory=Appendix, description="More files.")
    passes: int = Field(2_000, ge=1, description="How often the note is read.")

    def short(self) -> Self:
        """Two passes."""
        return self.model_copy(update={"passes": 2})

    def work(self, sizes: Mapping[str, int]) -> Work:
        """Every pass."""
        return Work({"passes": self.passes})


def run(spec: StampSpec, inputs: Mapping[str, Artifact], context: Context) -> dict[str, Any]:
    """Copy the network; tell the note."""
    for number in range(spec.passes):
        note = spec.note.under(context.base).read_text()
        context.progress.advance(number + 1, spec.passes, "passes")
    for file in inputs["from"].folder.iterdir():
        if file.name != "artifact.json":
            shutil.copy(file, context.folder)
    return {"note": note}


STAGE = Stage(name="stamp", spec=StampSpec, makes="model", run=run, takes={"from": frozenset({"model"})})
'''
FILE = """\
version: 1
name: stamped
task: {type: image-classification, data: digits}
steps:
  net: {stage: load, model: {name: mlperf_resnet8, widths: [4, 4, 8]}, weights: none}
  stamped: {stage: stamp, from: net, note: texts/note.txt, appendix: {pages: [texts/page.txt]}}
"""


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "stamp.py").write_text(STAMP)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "note.txt").write_text("seen")
    (tmp_path / "texts" / "page.txt").write_text("more")
    (tmp_path / "x.yaml").write_text(FILE)
    monkeypatch.setattr(compressor.stages, "__path__", [*compressor.stages.__path__, str(tmp_path / "stages")])
    monkeypatch.delitem(sys.modules, "compressor.stages.stamp", raising=False)
    return tmp_path / "x.yaml"


def story(compress: Callable[..., tuple[int, str, str]], pipeline: Path) -> dict[str, list[str]]:
    """What a plan says of each step: its stage, and whether it runs and why."""
    code, out, err = compress("plan", pipeline)
    assert code == 0, err
    rows = [line.split() for line in out.splitlines()]
    return {row[0]: row[1:-1] for row in rows if len(row) > 3}


@pytest.mark.slow
def test_it_is_planned_smoked_run_and_reported(pipeline: Path, compress: Callable[..., tuple[int, str, str]]) -> None:
    assert story(compress, pipeline)["stamped"] == ["stamp", "run", "never", "run"]
    code, out, err = compress("smoke", pipeline)
    assert (code, "stamped" in out) == (0, True), err
    code, _, err = compress("run", pipeline, "--out", pipeline.parent / "out")
    assert code == 0, err
    report = json.loads((pipeline.parent / "out" / "report.json").read_text())
    assert [(row["step"], row["stage"], row["parent"]) for row in report["models"]] == [
        ("net", "load", None), ("stamped", "stamp", "net"),
    ]  # fmt: skip
    assert {row[1] for row in story(compress, pipeline).values() if row[0] in ("stamp", "load")} == {"reuse"}
    (pipeline.parent / "texts" / "note.txt").write_text("changed")
    assert story(compress, pipeline)["stamped"] == ["stamp", "run", "new", "note"]
    (pipeline.parent / "texts" / "note.txt").write_text("seen")
    (pipeline.parent / "texts" / "page.txt").write_text("changed")
    assert story(compress, pipeline)["stamped"] == ["stamp", "run", "new", "appendix.pages"]
    (pipeline.parent / "texts" / "page.txt").unlink()
    code, _, err = compress("plan", pipeline)
    assert (code, "x.yaml:6: steps.stamped.appendix.pages[0]: no file" in err.replace("\n", "")) == (2, True), err
    assert "stamp" in compress("stages")[1]
