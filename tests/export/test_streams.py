"""What the runner prints, and where: foreign names, streams that are closed or full, consoles of small alphabets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from compressor.bundle.copies import equip
from compressor.device import output
from compressor.device.manifest import manifest_digest
from compressor.printable import printable
from tests.exported import World, bundle, world  # noqa: F401

HOSTILE = "a\x1b]0;x\x07\r\u202eb\x9b\u2028\u200b\x08"


@pytest.fixture(scope="module")
def device(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with run.py whose answers have hostile names."""
    made = equip(bundle, tmp_path_factory.mktemp("device")).folder
    facts = json.loads((made / "bundle.json").read_text())
    facts["answers"] = [f"{number}{HOSTILE}" for number in range(len(facts["answers"]))]
    facts["name"] = HOSTILE
    facts["digest"] = manifest_digest(facts)
    (made / "bundle.json").write_text(json.dumps(facts))
    import numpy as np

    with np.load(made / "samples.npz") as stored:
        (made.parent / "digit.png").write_bytes(stored["encoded_3"].tobytes())
    return made


def call(device: Path, *words: str, redirect: str = "", **variables: str) -> tuple[int, bytes, bytes]:
    line = ["sh", "-c", f'exec "$@" {redirect}', "sh", sys.executable, str(device / "run.py"), *words]
    done = subprocess.run(line, env={**os.environ, **variables}, cwd=device.parent, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_its_own_copy_shows_what_the_package_shows() -> None:
    everything = "".join(map(chr, range(0x3100))) + "\ud800\ufeff\ufffe\U000e0041\U0001f600"
    assert output.printable(everything) == printable(everything)


def test_foreign_names_are_shown_and_do_nothing(device: Path) -> None:
    hostile = device.parent / f"{HOSTILE}.png"
    shutil.copy(device.parent / "digit.png", hostile)
    code, out, said = call(device, str(hostile), f"none{HOSTILE}")
    assert code == 2
    for text in (out.decode(), said.decode()):
        assert printable(text, lines=True) == text
        assert r"a\x1b]0;x\x07\r\u202eb\x9b\u2028\u200b\x08" in text
        assert text.count("\n") == 1
    code, out, _ = call(device, "--json", str(hostile))
    assert code == 0
    assert out.isascii()
    assert json.loads(out)[0]["picture"] == str(hostile)
    code, _, said = call(device, f"--none{HOSTILE}")
    assert code == 2
    assert printable(said.decode(), lines=True) == said.decode()
    code, _, said = call(device, "--check", "--bundle", HOSTILE)
    assert code == 2
    assert printable(said.decode(), lines=True) == said.decode()


@pytest.mark.skipif(os.name == "nt", reason="a shell's redirections")
@pytest.mark.parametrize("redirect", [">&-", ">/dev/full", "<&- >&- 2>&-"])
def test_a_stream_that_takes_nothing(device: Path, redirect: str) -> None:
    assert call(device, "--check", redirect=redirect)[0] == 0
    assert call(device, "--check", "--json", redirect=redirect)[0] == 7
    assert call(device, "--probe", redirect=redirect)[0] == 7
    assert call(device, "digit.png", redirect=redirect)[0] == 7
    assert call(device, "--help", redirect=redirect)[0] == 7
    assert call(device, "none.png", redirect=redirect)[0] == 2


def test_errors_that_nobody_can_read_and_strange_surroundings(device: Path) -> None:
    assert call(device, "none.png", redirect="2>&-")[0] == 2
    for variables in (
        {"PYTHONIOENCODING": "ascii:strict"}, {"PYTHONWARNINGS": "error"}, {"PYTHONOPTIMIZE": "2"},
        {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
    ):  # fmt: skip
        code, out, said = call(device, "digit.png", **variables)
        assert (code, said) == (0, b"")
        assert out.startswith(b"digit.png: ")
