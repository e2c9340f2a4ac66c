"""`from runner import load` in a program of the user's own, and `compressor.load_bundle`, which is the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import compressor
from compressor.bundle.copies import equip
from compressor.device import load
from compressor.device.refused import Refused
from compressor.errors import InputError, IntegrityError
from tests.exported import bundle, world  # noqa: F401

PROGRAM = """
import json, sys
from PIL import Image
from runner import load
model = load(sys.argv[1])
answers = model.predict([sys.argv[2], Image.open(sys.argv[2])])
assert model.predict(sys.argv[2]) == answers[:1]
print(json.dumps([[one.answer, one.index, one.probability] for one in answers]))
foreign = {"torch", "onnx", "compressor", "pydantic", "torchvision"} & set(sys.modules)
assert not foreign, foreign
"""


@pytest.fixture
def picture(bundle: Path, tmp_path: Path) -> Path:
    with np.load(bundle / "samples.npz") as stored:
        (tmp_path / "digit.png").write_bytes(stored["encoded_3"].tobytes())
    return tmp_path / "digit.png"


def test_in_a_program_without_this_package(bundle: Path, picture: Path, tmp_path: Path) -> None:
    """The packages that a device has lie in a folder of their own, which is all that the program finds."""
    device = equip(bundle, tmp_path / "device").folder
    (tmp_path / "packages").mkdir()
    for name in ("numpy", "PIL", "onnxruntime", "numpy.libs", "pillow.libs"):
        found = [Path(entry) / name for entry in sys.path if (Path(entry) / name).is_dir()]
        if found:
            (tmp_path / "packages" / name).symlink_to(found[0])
    (tmp_path / "program.py").write_text(PROGRAM)
    path = f"import sys; sys.path[:0] = [{str(device)!r}, {str(tmp_path / 'packages')!r}]; sys.argv.pop(0); "
    words = [sys.executable, "-I", "-S", "-c", path + "exec(open(sys.argv[0]).read())"]
    words += [str(tmp_path / "program.py"), str(bundle), str(picture)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    (here,) = compressor.load_bundle(bundle).predict(picture)
    assert told == [[here.answer, here.index, here.probability]] * 2


def test_here_it_is_the_same_with_this_packages_errors(bundle: Path, picture: Path, tmp_path: Path) -> None:
    own, ours = load(bundle), compressor.load_bundle(str(bundle))
    assert own.predict([picture]) == ours.predict(str(picture))
    assert own.facts == ours.facts
    wrong = [tmp_path / "none.png", Image.new("L", (9, 9)), np.zeros((8, 8))]
    for one in wrong:
        with pytest.raises(Refused) as refused:
            own.predict([picture, one])  # type: ignore[list-item]
        with pytest.raises(InputError) as found:
            ours.predict([picture, one])  # type: ignore[list-item]
        assert refused.value.code == found.value.exit_code == 2
        assert str(refused.value) == str(found.value)
    assert "picture 1: becomes [9, 9, 1], but the network takes [8, 8, 1]; give a picture" in _told(own, wrong[1])
    assert "picture 1: is a ndarray, neither a path nor a PIL image" in _told(own, wrong[2])


def _told(model: object, picture: object) -> str:
    with pytest.raises(Refused) as refused:
        model.predict([Image.new("L", (8, 8)), picture])  # type: ignore[attr-defined]
    return str(refused.value)


def test_what_is_no_bundle_or_was_altered(bundle: Path, tmp_path: Path) -> None:
    altered = equip(bundle, tmp_path / "altered").folder
    (altered / "model.onnx").write_bytes((altered / "model.onnx").read_bytes() + b" ")
    for folder, code, error in ((tmp_path / "none", 2, InputError), (altered, 4, IntegrityError)):
        with pytest.raises(Refused) as refused:
            load(folder)
        assert refused.value.code == code
        with pytest.raises(error):
            compressor.load_bundle(folder)


@pytest.mark.slow
def test_type_checkers_see_what_they_give() -> None:
    from mypy import api

    program = """
from compressor import load_bundle
from compressor.device import load
from compressor.device.predict import Model
reveal_type(load("b").predict("p"))
reveal_type(load_bundle("b").predict(["p"]))
reveal_type(Model.prepare)
load("b").predict(3)
"""
    told, _, _ = api.run(["--config-file=", "--strict", "--no-error-summary", "-c", program])
    assert told.count('Revealed type is "list[compressor.device.loaded.Answer]"') == 2, told
    assert "ModuleType" not in told
    assert "ndarray[" in told
    assert 'Argument 1 to "predict"' in told
