"""Consoles of small alphabets, streams that are closed or full, and an environment that says strange things."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from compressor.cli.console import Console

COMPRESS = [sys.executable, "-m", "compressor"]
HOSTILE = "a\x1b]0;owned\x07[/]\r\u202eb\u2066\x9b31m\u2028|<b>`\x08"
SHOWN = r"a\x1b]0;owned\x07[/]\r\u202eb\u2066\x9b31m\u2028|<b>`\x08"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pipeline."""
    made = tmp_path_factory.mktemp("here")
    subprocess.run([*COMPRESS, "init", "p.yaml"], cwd=made, check=True, stdout=subprocess.DEVNULL)
    return made


@pytest.fixture(scope="module")
def plan(folder: Path) -> bytes:
    """What the plan of that pipeline looks like at 80 columns."""
    return call(folder, "plan", "p.yaml", COLUMNS="80")[1]


def call(folder: Path, *words: str, redirect: str = "", **variables: str) -> tuple[int, bytes, bytes]:
    """The command in a shell, so that its streams can be closed or sent elsewhere."""
    line = ["sh", "-c", f'exec "$@" {redirect}', "sh", *COMPRESS, *words]
    env = {**os.environ, "COMPRESS_STORE": str(folder / "store"), "COLUMNS": "200", **variables}
    done = subprocess.run(line, cwd=folder, env=env, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("encoding", ["latin-1", "cp437", "ascii:strict", "utf-16"])
def test_a_console_of_any_alphabet_gets_a_plan_in_letters_that_it_has(folder: Path, encoding: str) -> None:
    code, out, _ = call(folder, "plan", "p.yaml", PYTHONIOENCODING=encoding)
    assert code == 0
    text = out.decode(encoding.partition(":")[0])
    assert "finetune" in text
    assert ("─" in text) == (encoding == "utf-16")
    code, _, said = call(folder, "plan", "Größe→猫.yaml", PYTHONIOENCODING=encoding)
    assert code == 2
    assert "no such file" in said.decode(encoding.partition(":")[0])


@pytest.mark.parametrize("words", [["--help"], ["plan", "--help"], ["nonsense"], []])
def test_help_and_mistakes_are_text_to_the_last_letter(folder: Path, words: list[str]) -> None:
    _, out, said = call(folder, *words)
    assert (out + said).strip()
    assert b"b''" not in out + said


@pytest.mark.parametrize("words", [["evaluate", "mé.onnx", "--task", "p.yaml"], ["init", "ñ.yaml"], ["verify", "é"],
                                   ["plan", "p.yaml", "--set", "task.data={folder: ñ}"]])  # fmt: skip
def test_a_locale_that_cannot_spell_a_name_is_blamed(folder: Path, words: list[str]) -> None:
    code, _, said = call(folder, *words, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert code == 7, said
    assert b"this locale (its encoding is ascii) cannot spell the name" in said


def test_a_stand_in_is_as_near_as_the_alphabet_allows() -> None:
    from compressor.cli import streams  # noqa: F401  # registers the handler

    assert "95 % ✓ – ≤ é … 猫".encode("ascii", "compress") == b"95 % v - <= e ... ?"


@pytest.mark.skipif(os.name == "nt", reason="a shell's redirections")
class TestNoRoomForOutput:
    @pytest.mark.parametrize(
        ("line", "redirect"),
        [
            ("plan p.yaml", ">&-"), ("stages distill", ">/dev/full"), ("stages --markdown", ">/dev/full"),
            ("schema report", ">&-"), ("run --help", ">/dev/full"), ("--version", ">&-"), ("store list", ">/dev/full"),
        ],
    )  # fmt: skip
    def test_a_command_that_only_prints_says_that_it_could_not(self, folder: Path, line: str, redirect: str) -> None:
        code, _, said = call(folder, *line.split(), redirect=redirect)
        assert code == 7
        assert said.decode().startswith("error: standard output: takes nothing (")

    @pytest.mark.parametrize("redirect", [">&-", ">/dev/full"])
    def test_a_command_that_leaves_something_has_done_it(self, folder: Path, redirect: str, tmp_path: Path) -> None:
        assert call(folder, "init", str(tmp_path / "new.yaml"), redirect=redirect)[0] == 0
        assert (tmp_path / "new.yaml").is_file()
        assert call(folder, "store", "clean", redirect=redirect)[0] == 0

    def test_a_mistake_stays_one(self, folder: Path) -> None:
        assert call(folder, "plan", "none.yaml", redirect=">&-")[0] == 2


@pytest.mark.skipif(os.name == "nt", reason="a shell's redirections")
@pytest.mark.parametrize("redirect", ["2>/dev/full", "<&- 2>&-"])
def test_errors_that_nobody_can_read_change_no_exit_code(folder: Path, redirect: str) -> None:
    assert call(folder, "plan", "none.yaml", redirect=redirect)[0] == 2
    code, out, _ = call(folder, "stages", "distill", redirect=redirect)
    assert (code, b"distill" in out) == (0, True)


@pytest.mark.skipif(os.name == "nt", reason="a shell's redirections")
def test_no_file_is_taken_for_a_closed_stream(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new.yaml"
    assert call(folder, "init", str(out), redirect="<&- >&- 2>&-")[0] == 0
    assert out.read_text().startswith("# yaml-language-server")


STRANGE = [
    "COLUMNS=0 LINES=x TERMINAL_WIDTH=x JUPYTER_COLUMNS=x", "COLUMNS=²", "COLUMNS=1 TERM=x NO_COLOR=1",
    "TYPER_USE_RICH=x TYPER_RICH_MARKUP_MODE=x TERM=", "PYTHONWARNINGS=error MPLBACKEND=module://x TMPDIR=/dev/null/nowhere",
    "PYTHONOPTIMIZE=2 PYTHONUTF8=0",
]  # fmt: skip


@pytest.mark.parametrize("variables", STRANGE)
def test_variables_that_are_meant_for_others_change_no_plan(folder: Path, plan: bytes, variables: str) -> None:
    set_so = dict(variable.split("=") for variable in variables.split())
    code, out, said = call(folder, "plan", "p.yaml", **{"COLUMNS": "80", **set_so})
    assert (code, said) == (0, b"")
    assert out == plan


def test_colour_that_is_forced_is_all_that_it_changes(folder: Path) -> None:
    import re

    code, out, _ = call(folder, "plan", "p.yaml", FORCE_COLOR="1", TERM="xterm-256color")
    assert code == 0
    plain = re.sub(rb"\x1b\[[0-9;]*m", b"", out)
    assert plain != out
    assert plain == call(folder, "plan", "p.yaml")[1]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["plan", f"{HOSTILE}.yaml"], 2),
        (["plan", "p.yaml", "--set", f"steps.student.{HOSTILE}=1"], 2),
        (["plan", "p.yaml", "--set", f"steps.student.model={HOSTILE}"], 2),
        (["plan", "p.yaml", "--until", HOSTILE], 2),
        (["plan", "p.yaml", "--fresh", HOSTILE], 2),
        (["plan", "p.yaml", "--device", HOSTILE], 2),
        (["plan", "p.yaml", "--store", f"{HOSTILE}-store"], 0),
        (["run", f"{HOSTILE}.yaml", "--out", HOSTILE], 2),
        (["smoke", HOSTILE], 2),
        (["report", HOSTILE], 2),
        (["stages", HOSTILE], 2),
        (["schema", HOSTILE], 2),
        (["init", "--model", HOSTILE], 2),
        (["init", "--data", HOSTILE], 2),
        (["init", "--goal", HOSTILE], 2),
        (["init", "new.yaml", "--model", "resnet8", "--checkpoint", HOSTILE], 2),
        (["verify", HOSTILE], 2),
        (["evaluate", HOSTILE, "--task", "p.yaml"], 2),
        (["export", HOSTILE, "--to", "python", HOSTILE], 2),
        (["export", "x", "--to", HOSTILE, "y"], 2),
        (["store", "list", "--store", HOSTILE], 0),
        (["store", "clean", "--older-than", HOSTILE], 2),
        (["store", "clean", "--max-size", HOSTILE], 2),
        (["store", HOSTILE], 2),
        ([HOSTILE], 2),
        ([f"--{HOSTILE}"], 2),
        (["plan", f"--{HOSTILE}"], 2),
    ],
)
def test_a_hostile_word_of_the_command_line_is_shown_and_does_nothing(
    folder: Path, words: list[str], code: int, compress: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(folder)
    found, out, said = compress(*words)
    text = out + said
    assert found == code, text
    assert text.replace("\n", "").isprintable()
    assert "x1b" in text or "u001b" in text


@pytest.mark.parametrize("terminal", [True, False])
def test_text_for_the_console_is_no_markup(terminal: bool) -> None:
    console = Console(force_terminal=terminal, color_system=None, width=200)
    with console.capture() as captured:
        console.say(HOSTILE, (HOSTILE, "red"))
        console.print(HOSTILE)
    assert captured.get() == f"{SHOWN}{SHOWN}\n{SHOWN}\n"
