"""Nothing that lies beside run.py, in the bundle or in the current folder is executed by it."""

from __future__ import annotations

import ast
import marshal
import os
import shutil
import struct
import subprocess
import sys
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path

import pytest

from compressor.bundle.copies import equip, put_runner, runner_files
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
    put_runner(tmp_path).rename(tmp_path / "own.py")
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
    first, second, *_ = ast.parse(runner_files()["run.py"].read_text(encoding="utf-8")).body[1:]
    assert isinstance(first, ast.Import)
    assert [name.name for name in first.names] == ["sys"]
    assert isinstance(second, ast.If)


def test_annotations_can_be_evaluated_by_python_3_9() -> None:
    """Without `from __future__` they are, when the file is read."""
    for node in ast.walk(ast.parse(runner_files()["run.py"].read_text(encoding="utf-8"))):
        given = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        for part in (part for one in given if one is not None for part in ast.walk(one)):
            assert not isinstance(part, ast.BinOp), f"line {node.lineno}: quote `{ast.unparse(part)}`"  # type: ignore[attr-defined]


def forge(source: Path, caught: Path) -> None:
    """Lay what Python takes before `source`, or for it: compiled files that claim to be of it, and a package."""
    trap = compile(f"open({str(caught)!r}, 'a').write({source.name!r} + ' ')", str(source), "exec")
    state = source.stat()
    head = MAGIC_NUMBER + struct.pack("<III", 0, int(state.st_mtime), state.st_size)
    for path in (Path(cache_from_source(str(source))), source.with_suffix(".pyc")):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(head + marshal.dumps(trap))
    if source.stem != "__init__":
        source.with_suffix("").mkdir()
        (source.with_suffix("") / "__init__.py").write_text(f"open({str(caught)!r}, 'a').write('package ')\n")


def test_nothing_compiled_and_no_other_package_is_taken_for_the_runners_files(bundle: Path, tmp_path: Path) -> None:
    folder = equip(bundle, tmp_path / "device").folder
    for source in sorted((folder / "runner").glob("*.py")):
        forge(source, tmp_path / "caught")
    for name in ("runner.py", "start.py"):
        (folder / name).write_text(f"open({str(tmp_path / 'caught')!r}, 'a').write({name!r})\n")
    for words in ([], ["--bundle", str(folder)], ["--bench", "--rounds", "1"]):
        check(folder, "run.py", *words, cwd=folder)
    # Python itself takes them, which is how one sees that they are good forgeries.
    subprocess.run([sys.executable, "-c", "import runner.start"], cwd=folder, check=False)
    assert (tmp_path / "caught").exists()


def test_the_runner_of_the_bundle_that_is_named_is_not_the_one_that_runs(bundle: Path, tmp_path: Path) -> None:
    folder = equip(bundle, tmp_path / "device").folder
    for source in (folder / "runner").glob("*.py"):
        source.write_text(f"open({str(tmp_path / 'caught')!r}, 'a').write('x')\n")
    check(folder, put_runner(tmp_path / "own"), "--bundle", folder, cwd=folder)


def test_running_leaves_nothing_behind(bundle: Path, tmp_path: Path) -> None:
    folder = equip(bundle, tmp_path / "device").folder
    before = sorted(folder.rglob("*"))
    check(folder, "run.py", cwd=folder)
    check(folder, "run.py", "--bench", "--rounds", "1", cwd=folder)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("name", ["__init__.py", "predict.py", None])
def test_a_copy_that_is_not_whole_is_exit_4_in_one_line(bundle: Path, tmp_path: Path, name: str | None) -> None:
    folder = equip(bundle, tmp_path / "device").folder
    if name is None:
        shutil.rmtree(folder / "runner")
    else:
        (folder / "runner" / name).write_bytes(b"def \0")
    words = [sys.executable, str(folder / "run.py"), "--check"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (4, "", 1)
    assert f"{name or '__init__.py'}: is missing or damaged; copy the bundle again" in done.stderr
