"""What `import compressor` gives: functions that are documented and typed, results, and errors with their exit codes."""

from __future__ import annotations

import inspect
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import compressor
from compressor.errors import CompressError, InputError, IntegrityError
from tests.conftest import TINY

Run = tuple[Path, Path, Path]


@pytest.mark.parametrize("name", compressor.__all__)
def test_each_is_a_function_with_types_and_errors(name: str) -> None:
    function = getattr(compressor, name)
    assert function.__name__ == name
    assert "Raises:" in inspect.getdoc(function)  # type: ignore[operator]
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    for parameter in signature.parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty, parameter


def test_the_list_is_whole_and_nothing_else_is_there() -> None:
    assert compressor.__all__ == ["evaluate", "export", "load_bundle", "plan", "run", "verify"]
    assert set(compressor.__all__) <= set(dir(compressor))
    with pytest.raises(AttributeError, match="no attribute 'quantise'"):
        compressor.quantise  # type: ignore[attr-defined]


def test_the_import_and_the_names_alone_load_nothing_heavy() -> None:
    code = """
import sys, compressor
assert not {"numpy", "pydantic", "PIL", "yaml", "rich", "typer"} & set(sys.modules)
for name in compressor.__all__:
    getattr(compressor, name)
assert not {"torch", "torchvision", "onnx", "onnxruntime", "rich", "typer", "matplotlib"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_plan_run_and_what_becomes_of_the_bundle(tiny_run: Run, tmp_path: Path, here: None) -> None:
    pipeline, _, store = tiny_run
    planned = compressor.plan(str(pipeline), store=store, sets=["steps.edge.softmax=false"])
    told = {node.name: (node.stage.name, node.status, node.why) for node in planned.plan.nodes}
    assert told["teacher"][:2] == ("finetune", "reuse")
    assert told["edge"][1:] == ("run", "softmax true -> false")
    assert list(told)[:2] == ["teacher", "teacher.evaluation"]
    ended = [node.name for node in compressor.plan(pipeline, store=store, until="student").plan.nodes]
    assert "slim" not in ended

    report = compressor.run(pipeline, store=store, out=tmp_path / "again")
    assert (report.verdict.state, report.exit_code) == ("pass", 0)
    assert all(row.reused for row in report.models)
    bundle = tmp_path / "again" / "bundle"
    assert compressor.verify(bundle).reproduced
    copy = compressor.export(str(bundle), tmp_path / "device")
    assert (copy.folder, copy.manifest.name) == (tmp_path / "device", "tiny")
    assert (copy.folder / "runner" / "__init__.py").is_file()
    assert compressor.verify(copy.folder).bundle.model_sha256 == copy.model_sha256
    found = compressor.evaluate(copy.folder, pipeline)
    edge = next(row for row in report.models if row.step == "edge")
    assert found["quality"]["accuracy"]["value"] == edge.quality["accuracy"].value
    assert found["model_sha256"] == copy.model_sha256


def test_mistakes_are_raised_with_the_exit_code_of_the_command(tiny_run: Run, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(TINY.replace("finetune", "finetone").replace("size_mb", "size_gb"))
    altered = Path(shutil.copytree(tiny_run[1] / "bundle", tmp_path / "altered"))
    (altered / "README.md").write_text("the best model")
    for act, kind, words in (
        (lambda: compressor.plan(tmp_path / "wrong.yaml"), InputError, "finetone"),
        (lambda: compressor.run(tmp_path / "none.yaml"), InputError, "none.yaml"),
        (lambda: compressor.verify(tmp_path / "none"), InputError, "none"),
        (lambda: compressor.verify(altered), IntegrityError, "README.md"),
        (lambda: compressor.export(altered, tmp_path / "device"), IntegrityError, "README.md"),
        (lambda: compressor.export(tiny_run[1] / "bundle", tmp_path / "d", language="c"), InputError, '"c"'),
        (lambda: compressor.evaluate(altered, tiny_run[0]), IntegrityError, "README.md"),
        (lambda: compressor.evaluate(tmp_path / "none.onnx", tiny_run[0]), InputError, "none.onnx"),
        (lambda: compressor.load_bundle(altered), IntegrityError, "README.md"),
    ):
        with pytest.raises(kind) as caught:
            act()
        error: CompressError = caught.value
        assert error.exit_code == (2 if kind is InputError else 4)
        assert words in str(error)
    with pytest.raises(InputError) as both:
        compressor.plan(tmp_path / "wrong.yaml")
    assert len(both.value.sentences()) == 2
    assert not (tmp_path / "device").exists()
