"""The documentation says what the code and the committed results say."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

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


STOPS = re.findall(r"^\d+\. `([\w/]+\.py)` `(\w+)`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.M)


@pytest.mark.parametrize(("file", "name"), STOPS)
def test_the_stops_on_the_way_of_a_batch_and_a_key_are_there(file: str, name: str) -> None:
    assert len(STOPS) == 20
    assert re.search(rf"^ *(def|class) {name}\b", (ROOT / "compressor" / file).read_text(encoding="utf-8"), re.M)


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "results").glob("*.json")), ids=lambda path: path.stem)
def test_committed_reports_keep_the_contract(path: Path) -> None:
    from compressor.report.contract.report import Report

    assert Report.load(path).models


def test_committed_reports_are_of_the_files_as_they_stand() -> None:
    """Comments may change; whatever else does asks for another run."""
    gain = ROOT / "benchmarks" / "results" / "distillation_gain"
    made = {path: report["pipeline"]["text"] for path, report in table().reports().items()}
    seeds = [json.loads(path.read_text())["pipeline"]["text"] for path in gain.glob("seed-*.json")]
    assert len(seeds) >= 3
    repeated = [("benchmarks/distillation_gain/pipeline.yaml", text) for text in seeds]
    for path, text in [*made.items(), *repeated]:
        assert yaml.safe_load(text) == yaml.safe_load((ROOT / path).read_text()), path


def test_the_readmes_pipeline_is_the_quickstart() -> None:
    block = (ROOT / "README.md").read_text().split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(block) == yaml.safe_load((ROOT / "pipelines" / "quickstart.yaml").read_text())


def test_every_dependency_has_its_reason() -> None:
    import re
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    said = (ROOT / "docs" / "decisions" / "0001-dependencies.md").read_text()
    for line in project["dependencies"]:
        name = re.split(r"[<>=!~\[ ]", line)[0]
        assert re.search(rf"\b{re.escape(name)}\b", said), name
