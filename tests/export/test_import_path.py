"""Nothing that lies beside run.py, in the bundle or in the current folder is executed by it."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from compressor.bundle.copies import equip
from compressor.runner import runner_path
from tests.exported import bundle, world  # noqa: F401


@pytest.fixture(scope="module")
def trapped(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported copy with a module of every name that a program may import, which writes its name into `caught`."""
    folder = equip(bundle, tmp_path_factory.mktemp("trapped") / "device").folder
    # What Python has loaded before it reads a program is not the program's to choose.
    told = subprocess.run([sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True)
    loaded = {name.split(".")[0] for name in told.stdout.split()}
    names = (set(sys.stdlib_module_names) | {"numpy", "PIL", "onnxruntime", "__future__"}) - loaded
    assert {"json", "typing", "argparse", "numpy", "onnxruntime", "__future__"} <= names
    for name in names:
        trap = f"open({str(folder.parent / 'caught')!r}, 'a').write({name!r} + ' ')\n"
        (folder / f"{name}.py").write_text(trap)
    return folder


def check(trapped: Path, *words: str | Path, cwd: Path, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, *map(str, words), "--check"], cwd=cwd, env={**os.environ, **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    caught = trapped.parent / "caught"
    assert not caught.exists(), caught.read_text()
    assert done.returncode == 0, done.stderr


def test_in_the_bundles_folder(trapped: Path) -> None:
    check(trapped, "run.py", cwd=trapped)
    check(trapped, trapped / "run.py", cwd=trapped.parent, PYTHONPATH=os.pathsep.join(["", str(trapped), "device"]))


def test_through_a_link_and_from_elsewhere(trapped: Path, tmp_path: Path) -> None:
    (tmp_path / "link.py").symlink_to(trapped / "run.py")
    check(trapped, "link.py", "--bundle", trapped, cwd=tmp_path)
    (tmp_path / "folder").symlink_to(trapped)
    shutil.copyfile(runner_path(), tmp_path / "own.py")
    for words in (["--bundle", str(trapped)], [f"--bundle={tmp_path / 'folder'}"], ["--bun", "folder"]):
        check(trapped, tmp_path / "own.py", *words, cwd=tmp_path, PYTHONPATH=f"folder{os.pathsep}{trapped}")


def test_in_a_current_folder_of_traps(trapped: Path, bundle: Path, tmp_path: Path) -> None:
    clean = equip(bundle, tmp_path / "clean").folder
    for path in ("", ".", str(trapped)):
        check(trapped, clean / "run.py", cwd=trapped, PYTHONPATH=path)


def test_the_latency_probe_is_as_careful(trapped: Path) -> None:
    check(trapped, "run.py", "--bench", "--rounds", "1", cwd=trapped, PYTHONPATH=".")


def test_packages_in_the_current_folder_still_count_where_that_is_where_packages_lie(
    bundle: Path, tmp_path: Path
) -> None:
    folder = equip(bundle, tmp_path / "device").folder
    packages = next(Path(entry) for entry in sys.path if (Path(entry) / "onnxruntime").is_dir())
    check(folder, folder / "run.py", cwd=packages)


def test_the_first_import_is_of_a_module_that_is_no_file() -> None:
    first, second, *_ = ast.parse(runner_path().read_text(encoding="utf-8")).body[1:]
    assert isinstance(first, ast.Import)
    assert [name.name for name in first.names] == ["sys"]
    assert isinstance(second, ast.If)


def test_annotations_can_be_evaluated_by_python_3_9() -> None:
    """Without `from __future__` they are, when the file is read."""
    for node in ast.walk(ast.parse(runner_path().read_text(encoding="utf-8"))):
        given = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        for part in (part for one in given if one is not None for part in ast.walk(one)):
            assert not isinstance(part, ast.BinOp), f"line {node.lineno}: quote `{ast.unparse(part)}`"  # type: ignore[attr-defined]
