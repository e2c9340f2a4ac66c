"""What lies around a run gives way: no home, a locale that cannot spell, folders that are removed or replaced."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from compressor.store.store import Store

Compress = Callable[..., tuple[int, str, str]]
Run = tuple[Path, Path, Path]
Act = Callable[[Path], None]

NOBODY = """
import os, pwd, sys
os.environ.pop("HOME", None)
def unknown(user):
    raise KeyError(user)
pwd.getpwuid = unknown
from compressor.cli.app import main
main(sys.argv[1:])
"""


def without_home(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command as a user whom the system does not know."""
    kept = {name: value for name, value in os.environ.items() if name not in ("HOME", "COMPRESS_STORE")}
    command = [sys.executable, "-c", NOBODY, *words]
    return subprocess.run(command, env={**kept, **variables}, capture_output=True, text=True, check=False)


@pytest.mark.skipif(os.name == "nt", reason="the system's list of users")
def test_a_user_without_a_home_is_told_of_store(tmp_path: Path) -> None:
    for words, variables in [(["store", "list"], {}), (["store", "clean"], {"COMPRESS_STORE": "~/store"})]:
        done = without_home(*words, **variables)
        assert done.returncode == 7, done.stderr
        assert ": has no home folder" in done.stderr
        assert "--store" in done.stderr
    assert without_home("store", "list", "--store", str(tmp_path)).returncode == 0
    assert without_home("store", "list", COMPRESS_STORE=str(tmp_path)).returncode == 0


def test_a_home_that_is_no_path(monkeypatch: pytest.MonkeyPatch, compress: Compress) -> None:
    monkeypatch.delenv("COMPRESS_STORE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: Path("~/.cache/compressor"))
    code, _, said = compress("store", "list")
    assert code == 7
    assert "has no home folder" in said


def test_a_locale_that_cannot_spell_a_name_is_what_is_blamed(tmp_path: Path) -> None:
    pictures = tmp_path / "Größe"
    pictures.mkdir()
    file = tmp_path / "p.yaml"
    task = "task: {type: image-classification, data: {folder: Größe}, preprocess: [{scale: 255}]}"
    file.write_text(f"version: 1\nname: p\n{task}\nsteps: {{net: {{stage: finetune, model: resnet8}}}}\n", "utf-8")
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "compressor", "plan", "p.yaml"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr
    assert "this locale (its encoding is " in done.stderr
    assert "LC_ALL=C.UTF-8" in done.stderr
    env["LC_ALL"] = "C.UTF-8"
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "this locale" not in done.stderr


def gone(place: Path) -> None:
    shutil.rmtree(place)


def a_file(place: Path) -> None:
    gone(place)
    place.write_text("a file")


def a_link(place: Path) -> None:
    gone(place)
    place.symlink_to(place.parent / "nowhere")


def another(place: Path) -> None:
    """A folder of the same name and contents, as a store that was moved away and begun anew has."""
    moved = place.rename(place.with_name("moved"))
    shutil.copytree(moved, place)


@pytest.mark.parametrize(
    ("part", "act"),
    [*((part, act) for part in (".", "work", "artifacts") for act in (gone, a_file, a_link)), ("", another)],
)
def test_a_store_that_gives_way_while_a_run_works(
    tiny_run: Run, compress: Compress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, act: Act
) -> None:
    file, _, full = tiny_run
    store = tmp_path / "store"
    shutil.copytree(full, store)
    commit, struck = Store.commit, []

    def struck_before(self: Store, key: str, folder: Path, **more: object) -> object:
        if not struck:
            struck.append(key)
            act(store / part)
        return commit(self, key, folder, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "commit", struck_before)
    wanted = ("--set", "steps.int8.calibration_samples=32", "--store", store, "--out", tmp_path / "run")
    code, _, said = compress("run", file, *wanted)
    assert struck
    assert code == 7, said
    assert str(store) in said
    assert "a bug of ours" not in said


@pytest.mark.parametrize("act", [gone, a_file, a_link], ids=["removed", "a file", "a link to nowhere"])
def test_a_run_folder_that_gives_way(
    tiny_run: Run, compress: Compress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: Act
) -> None:
    from compressor.pipeline.run import run as runs

    file, _, store = tiny_run
    out = tmp_path / "run"
    collect = runs.collect

    def struck_before(*words: object) -> object:
        act(out)
        return collect(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(runs, "collect", struck_before)
    code, _, said = compress("run", file, "--store", store, "--out", out)
    assert code in ((0, 7) if act is gone else (7,)), said
    assert (out / "report.json").is_file() == (code == 0)
    assert code == 0 or str(out) in said


def test_a_current_folder_that_is_gone(tiny_run: Run, tmp_path: Path) -> None:
    file, _, store = tiny_run
    here = tmp_path / "here"
    here.mkdir()
    line = 'rmdir "$1"; shift; exec "$@"'
    compress = [sys.executable, "-m", "compressor"]
    for words in (["plan", file], ["run", file, "--store", store], ["store", "list"], ["verify", "bundle"]):
        command = ["sh", "-c", line, "sh", here, *compress, *words]
        here.mkdir(exist_ok=True)
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
        assert done.returncode in ((0, 7) if "verify" not in words else (2, 7)), done.stderr
        assert "bug" not in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("words", "code"), [(["run"], 2), (["plan"], 2)])
def test_a_file_in_the_place_of_the_store_is_a_mistake_of_the_command(
    tiny_run: Run, compress: Compress, tmp_path: Path, words: list[str], code: int
) -> None:
    store = tmp_path / "store"
    store.write_text("")
    found, _, said = compress(*words, tiny_run[0], "--store", store)
    assert found == code
    assert f"{store}: is a file, and a store is a folder" in said


def test_what_a_kill_left_is_gone_after_the_next_run(tiny_run: Run, compress: Compress, tmp_path: Path) -> None:
    file, done, full = tiny_run
    store, out = tmp_path / "store", tmp_path / "run"
    shutil.copytree(full, store)
    shutil.copytree(done, out)
    dead = 2**22 + 7
    left = [
        *(out / f".{name}.{dead}.tmp" for name in ("report.html", "report.md", "report.json")),
        out / "previous" / f".report.html.{dead}.tmp",
        out / ".bundle.tmp" / "model.onnx",
        *(store / folder / f".x.json.{dead}-0123456789ab" for folder in ("work", "slots", "digests")),
    ]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
    assert compress("report", out)[0] == 0
    assert not left[0].exists()
    left[0].write_text("half")
    assert compress("run", file, "--store", store, "--out", out)[0] == 0
    assert [path for path in left if path.exists()] == []
    assert not (out / ".bundle.tmp").exists()


@pytest.mark.skipif(os.name == "nt", reason="onnxruntime leaves files on other systems only")
def test_onnxruntime_reports_to_nobody(tiny_run: Run, tmp_path: Path) -> None:
    """Where its telemetry is on, it leaves a number of this machine in the cache folder when it is loaded."""
    pipeline, out, _ = tiny_run
    device = tmp_path / "device"
    places = {name: tmp_path / name for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR")}
    for place in places.values():
        place.mkdir()
    given = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    product = [sys.executable, "-m", "compressor"]
    for words in (
        [*product, "export", out / "bundle", "--to", "python", device],
        [*product, "evaluate", out / "bundle", "--task", pipeline],
        [sys.executable, device / "run.py", "--check"],
        [sys.executable, device / "run.py", "--bench"],
    ):
        done = subprocess.run(
            list(map(str, words)), env={**given, **dict(zip(places, map(str, places.values()), strict=True))},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    left = [path for place in places.values() for path in place.rglob("*")]
    assert not [path for path in left if path.name == ".ses" or "Microsoft" in path.parts], left
