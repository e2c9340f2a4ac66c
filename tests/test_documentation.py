"""The documentation says what the code and the committed results say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


def table() -> ModuleType:
    spec = importlib.util.spec_from_file_location("readme_table", ROOT / "benchmarks" / "readme_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_quotes_the_committed_results() -> None:
    readme = (ROOT / "README.md").read_text()
    assert table().filled(readme) == readme


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "results").glob("*.json")), ids=lambda path: path.stem)
def test_committed_reports_keep_the_contract(path: Path) -> None:
    from compressor.report.report import Report

    assert Report.load(path).models


def test_every_dependency_has_its_reason() -> None:
    import re
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    said = (ROOT / "docs" / "decisions" / "0001-dependencies.md").read_text()
    for line in project["dependencies"]:
        name = re.split(r"[<>=!~\[ ]", line)[0]
        assert re.search(rf"\b{re.escape(name)}\b", said), name
