"""A network whose outputs are in another order than the folders: found, named, and settled by one field."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

Compress = Callable[..., tuple[int, str, str]]

PIPELINE = """\
version: 1
name: order
task: {type: image-classification, data: DATA, validation: 0.3, preprocess: [{scale: 255}]}
steps:
  net: {stage: load, model: {factory: "means:net"}}
"""
NATURAL = '["1", "2", "10"]'


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """Three classes of red, green and blue pictures, and a network that answers with its channels' means."""
    random = np.random.default_rng(0)
    for part, each in (("train", 20), ("test", 4)):
        for channel, name in enumerate(("1", "2", "10")):
            (tmp_path / "pics" / part / name).mkdir(parents=True)
            for number in range(each):
                pixels = random.integers(0, 90, (8, 8, 3))
                pixels[..., channel] += 120
                Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"pics/{part}/{name}/{number}.png")
    code = "from torch import nn\ndef net():\n    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())\n"
    (tmp_path / "means.py").write_text(code)
    return tmp_path


def pipeline(folder: Path, data: str) -> str:
    (folder / "p.yaml").write_text(PIPELINE.replace("DATA", data))
    return str(folder / "p.yaml")


def test_a_loaded_network_of_another_order(colours: Path, compress: Compress) -> None:
    code, _, said = compress("run", pipeline(colours, "{folder: pics}"), "--out", str(colours / "out"))

    assert code == 2
    assert "steps.net: is right on 33.3% of 18 validation samples, and on 100.0% with the classes in natural" in said
    assert f"write data: {{…, classes: {NATURAL}}}" in " ".join(said.split())
    assert not (colours / "out").exists()

    settled = pipeline(colours, f"{{folder: pics, classes: {NATURAL}}}")
    code, _, said = compress("run", settled, "--out", str(colours / "out"))
    assert code == 0, said
    (row,) = json.loads((colours / "out/report.json").read_text())["models"]
    assert row["quality"]["accuracy"]["value"] == 1


def test_what_is_expected_of_a_network_of_another_order_is_no_other_mistake(colours: Path, compress: Compress) -> None:
    path = Path(pipeline(colours, "{folder: pics}"))
    path.write_text(path.read_text().replace('"means:net"}}', '"means:net"}, expect: {accuracy: {min: 0.9}}}'))
    code, _, said = compress("run", path, "--out", str(colours / "out"))
    assert code == 2, said
    assert "steps.net: is right on 33.3% of 18 validation samples, and on 100.0% with the classes in natural" in said


@pytest.mark.parametrize("known", [False, True])
def test_nothing_is_trained_before_a_loaded_network_of_another_order_is_found(
    colours: Path, compress: Compress, known: bool
) -> None:
    small = "model: {name: mlperf_resnet8, widths: [2, 2, 2]}, epochs: 1, batch_size: 8"
    first = f"steps:\n  small: {{stage: finetune, {small}}}\n"
    path = Path(pipeline(colours, "{folder: pics}"))
    if known:  # the loaded network lies in the store, and its evaluation never came to an end
        assert compress("run", str(path), "--out", str(colours / "out"))[0] == 2
    path.write_text(path.read_text().replace("steps:\n", first))
    code, told, said = compress("run", str(path), "--out", str(colours / "out"))

    assert code == 2
    assert "steps.net: is right on 33.3% of 18 validation samples, and on 100.0% with the classes in natural" in said
    assert "begins" not in told + said
    assert not (colours / "out").exists()


def test_a_given_file_of_another_order(colours: Path, compress: Compress) -> None:
    nodes = [helper.make_node("GlobalAveragePool", ["x"], ["a"]), helper.make_node("Flatten", ["a"], ["y"])]
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", ["n", 3, 8, 8]), ("y", ["n", 3]))
    ]
    made = helper.make_model(
        helper.make_graph(nodes, "g", ports[:1], ports[1:]),
        opset_imports=[helper.make_opsetid("", 21)], ir_version=10,
    )  # fmt: skip
    onnx.save(made, colours / "m.onnx")
    code, _, said = compress("evaluate", str(colours / "m.onnx"), "--task", pipeline(colours, "{folder: pics}"))

    assert code == 2
    assert "m.onnx: is right on 33.3% of 18 validation samples" in said


def test_the_list_counts_in_the_key_and_is_read_from_its_file(colours: Path, compress: Compress) -> None:
    def planned(data: str) -> str:
        code, said, wrong = compress("plan", pipeline(colours, data))
        assert code == 0, wrong
        return next(line for line in said.splitlines() if line.startswith("net.evaluation"))

    (colours / "names.txt").write_text("1\n2\n10\n")
    as_list, as_file = (planned(f"{{folder: pics, classes: {one}}}") for one in (NATURAL, "names.txt"))
    assert as_list == as_file != planned("{folder: pics}")
    (colours / "names.txt").write_text("2\n1\n10\n")
    assert planned("{folder: pics, classes: names.txt}") not in (as_list, planned("{folder: pics}"))


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ("[1, 2]", "task.data.classes: does not list '10', and there is such a class folder; write all classes"),
        ("[1, 2, 10, 11]", "there is no class folder '11'; leave it out; there are '1', '10', '2'"),
        ("[1, 2, 2]", "task.data.classes: '2' stands there twice; write each once"),
        ("[1, true]", "task.data.classes: True is no text; write the name in quotes"),
        ("gone.txt", "cannot be read (No such file or directory); give a text file with one name a line"),
    ],
)
def test_a_wrong_list_is_a_mistake_of_the_file(colours: Path, compress: Compress, classes: str, words: str) -> None:
    code, _, said = compress("plan", pipeline(colours, f"{{folder: pics, classes: {classes}}}"))
    assert code == 2
    assert words in said
