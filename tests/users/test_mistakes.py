"""A new user who makes every mistake there is: each gets one sentence, the right exit code, and loses nothing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.users.broken_networks import NETS

Compress = Callable[..., tuple[int, str, str]]
Run = tuple[Path, Path, Path]

NET = "{name: mlperf_resnet8, widths: [4, 8, 8]}"
TRAINED = f"{{stage: finetune, model: {NET}, epochs: 1, batch_size: 64}}"


def pipeline(*steps: str, data: str = "digits", more: str = "") -> str:
    lines = "".join(f"  {step}\n" for step in steps)
    return f"version: 1\nname: wrong\ntask: {{type: image-classification, data: {data}{more}}}\nsteps:\n{lines}"


@pytest.fixture
def refused(compress: Compress, tmp_path: Path) -> Callable[..., str]:
    """Run a pipeline that is refused before anything happens: exit 2, one sentence, no run folder; the sentence."""

    def call(text: str, *words: object) -> str:
        path = tmp_path / "wrong.yaml"
        path.write_text(text)
        code, _, said = compress("run", path, "--out", tmp_path / "run", "--store", tmp_path / "store", *words)
        assert code == 2, said
        assert said.count("error: ") == 1, said
        assert "Traceback" not in said
        assert not (tmp_path / "run").exists()
        assert not list((tmp_path / "store").glob("artifacts/*/*"))
        return said

    return call


# The file and the command line


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--set", "steps.a.epoch=3"), '--set steps.a.epoch=3: no such field in "finetune"; did you mean "epochs"?'),
        (("--set", "steps.z.epochs=3"), 'the file has no step "z"; its steps are "a"'),
        (("--set", "steps.a.epochs"), "is not of the form a.b=value"),
        (("--set", "steps.a.epochs=three"), '"three" is not a whole number'),
        (("--until", "b"), '--until: there is no step "b"; name one of a'),
        (("--fresh", "b"), '--fresh: there is no step "b"; name one of a'),
        (("--device", "gpu"), '--device: no such device as "gpu"; use auto, cpu, cuda, cuda:N or mps'),
    ],
)
def test_a_slip_on_the_command_line(refused: Callable[..., str], words: tuple[str, ...], says: str) -> None:
    assert says in refused(pipeline(f"a: {TRAINED}"), *words)


@pytest.mark.skipif(Path("/proc/driver/nvidia/version").exists(), reason="this machine has CUDA")
def test_cuda_where_there_is_none(refused: Callable[..., str]) -> None:
    said = refused(pipeline(f"a: {TRAINED}"), "--device", "cuda")
    assert "--device: cuda was asked for, and this machine has no CUDA driver; use --device cpu" in said


def test_a_batch_larger_than_the_training_set(refused: Callable[..., str]) -> None:
    said = refused(pipeline(f"a: {{stage: finetune, model: {NET}, epochs: 1, batch_size: 5000}}"))
    assert "wrong.yaml:5: steps.a.batch_size: 5000" in said
    assert "use a batch_size of at most 1293" in said


def test_pictures_that_collapse_to_nothing(refused: Callable[..., str]) -> None:
    small = ", preprocess: [{center_crop: [2, 2]}, {scale: 16}]"
    said = refused(pipeline("a: {stage: finetune, model: resnet8, epochs: 1}", more=small))
    assert "wrong.yaml:5: steps.a.model: " in said
    assert "1x2x2 collapses to nothing" in said


def test_a_part_to_freeze_that_is_not_there(refused: Callable[..., str]) -> None:
    said = refused(pipeline(f"a: {{stage: finetune, model: {NET}, epochs: 1, batch_size: 64, freeze: [body]}}"))
    assert "wrong.yaml:5: steps.a.freeze: no parameter lies under 'body'; its parts are conv1" in said


def test_a_share_that_no_widths_give(refused: Callable[..., str]) -> None:
    steps = (
        "a: {stage: finetune, model: mlperf_resnet8, epochs: 1, batch_size: 64}",
        "p: {stage: prune, from: a, keep: {macs: 0.07}, round_to: 16, epochs: 1, batch_size: 64}",
    )
    said = refused(pipeline(*steps))
    assert "wrong.yaml:6: steps.p.keep.macs: " in said
    assert "0.07" in said
    assert "round_to" in said


def test_two_mistakes_that_need_torch_come_together(compress: Compress, tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(
        pipeline(
            f"a: {{stage: finetune, model: {NET}, epochs: 1, batch_size: 5000}}",
            f"b: {{stage: finetune, model: {NET}, epochs: 1, batch_size: 64, freeze: [body]}}",
        )
    )
    code, _, said = compress("run", path, "--out", tmp_path / "run", "--store", tmp_path / "store")
    assert code == 2
    assert [line.split(" ")[1] for line in said.splitlines()] == [f"{path}:5:", f"{path}:6:"]


def test_a_mistake_hides_the_pass_of_yesterday(tiny_run: Run, compress: Compress, tmp_path: Path) -> None:
    file, old, store = tiny_run
    out = tmp_path / "run"
    shutil.copytree(old, out)
    for words in (("--set", "steps.student.epoch=3"), ("--until", "nobody")):
        assert compress("run", file, "--store", store, "--out", out, *words)[0] == 2
        assert not (out / "report.json").exists()
        assert not (out / "bundle").exists()
        assert json.loads((out / "previous" / "report.json").read_text())["verdict"]["state"] == "pass"


# Weights


def weights(folder: Path, name: str) -> None:
    import safetensors.torch
    import torch

    layer = torch.nn.Linear(3, 4)
    match name:
        case "other.safetensors":
            safetensors.torch.save_file(layer.state_dict(), folder / name)
        case "other.pt":
            torch.save(layer.state_dict(), folder / name)
        case "code.pt":
            torch.save(layer, folder / name)
        case "cut.pt":
            torch.save(layer.state_dict(), folder / name)
            (folder / name).write_bytes((folder / name).read_bytes()[:500])
        case "pointer.pt":
            (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n")
        case "page.pt":
            (folder / name).write_text("<!DOCTYPE html><p>Please log in")
        case "empty.pt":
            (folder / name).touch()
        case "text.safetensors" | "notes.txt":
            (folder / name).write_text("These are my notes, and no weights.\n")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "other.safetensors",
            "they are of another architecture: 37 missing, the first conv1.weight [16, 1, 3, 3]; 2 un",
        ),
        ("other.pt", "they are of another architecture"),
        (
            "code.pt",
            "reading it would run code that it holds, which is refused (torch.nn.modules.linear.Linear); if you trust it",
        ),
        ("cut.pt", "this is no whole PyTorch file"),
        ("pointer.pt", "this is a pointer of Git LFS and not the file itself; fetch it: git lfs pull"),
        ("page.pt", "this is no PyTorch file (it begins with '<!DOCTYPE html><p>Pl')"),
        ("empty.pt", "the file is empty"),
        ("text.safetensors", "this is no whole safetensors file"),
        ("notes.txt", "a file ending in '.txt' is not known"),
        ("missing.pt", 'no file "'),
    ],
)
def test_weights_that_are_none(refused: Callable[..., str], tmp_path: Path, name: str, says: str) -> None:
    weights(tmp_path, name)
    said = refused(pipeline(f"a: {{stage: load, model: resnet8, weights: {name}}}"))
    assert "wrong.yaml:5: steps.a.weights: " in said
    assert says in said
    assert str(tmp_path / name) in said


# Networks of the user's own


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        ("raises", "it failed when it was called (RuntimeError: no such dial)"),
        ("leaves", "it failed when it was called (SystemExit: 0)"),
        ("nothing", "it returned a NoneType; return a torch.nn.Module"),
        ("absent", "users_nets has no 'absent'"),
        ("choosi", "did you mean 'choosy'?"),
        ("untrained", "the network cannot be trained at users_nets.py, line 23 (ValueError: not for training)"),
    ],
)
def test_a_factory_that_gives_no_network(refused: Callable[..., str], tmp_path: Path, factory: str, says: str) -> None:
    (tmp_path / "users_nets.py").write_text(NETS)
    said = refused(pipeline(f"a: {{stage: finetune, model: {{factory: 'users_nets:{factory}'}}, epochs: 1}}"))
    assert "wrong.yaml:5: steps.a.model: " in said
    assert says in said


def test_a_factory_whose_package_is_not_there(refused: Callable[..., str], tmp_path: Path) -> None:
    said = refused(pipeline("a: {stage: finetune, model: {factory: 'nowhere.nets:small'}, epochs: 1}"))
    assert 'wrong.yaml:5: steps.a.model: no package "nowhere"; put it beside the pipeline file or install it' in said
    (tmp_path / "needy.py").write_text("import not_installed_anywhere\n")
    said = refused(pipeline("a: {stage: finetune, model: {factory: 'needy:small'}, epochs: 1}"))
    assert "there is no module 'not_installed_anywhere'; install it, or put it into" in said


# Pictures


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of 8 cats and 8 dogs to train on and as many to test, 16x16 pixels, RGB."""
    root, random = tmp_path / "pictures", np.random.default_rng(0)
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (root / part / name).mkdir(parents=True)
            for number in range(8):
                pixels = random.integers(0, 255, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{number}.jpg")
    return root


def spoil(root: Path, how: str) -> None:
    one = root / "train" / "cat" / "3.jpg"
    match how:
        case "broken":
            one.write_bytes(one.read_bytes()[:300])
        case "text":
            one.write_text("no picture")
        case "empty":
            for each in (root / "train" / "dog").iterdir():
                each.unlink()
        case "stranger":
            shutil.copytree(root / "test" / "cat", root / "test" / "eel")
        case "grey" | "rgba":
            Image.open(one).convert("L" if how == "grey" else "RGBA").save(one.with_suffix(".png"))
            one.unlink()
        case "untested":
            shutil.rmtree(root / "test")
        case "sizes":
            Image.open(one).resize((20, 24)).save(one)
        case "gone":
            shutil.rmtree(root)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("broken", ("train/cat/3.jpg'", "broken: skip")),
        ("text", ("train/cat/3.jpg'", "broken: skip")),
        ("empty", ("the class folder '", "train/dog' holds no pictures", "add pictures, or remove the folder")),
        ("stranger", ("test/ has the class 'eel', which train/ lacks (train has 'cat', 'dog')",)),
        ("grey", ("train/cat/3.png' is grey, and RGB is asked", "channels: rgb")),
        ("rgba", ("train/cat/3.png' is RGBA, and RGB is asked", "channels: rgb")),
        ("untested", ("has train/ but no test/",)),
        ("sizes", ("pictures end in different sizes", "center_crop")),
        ("gone", ("there is no folder '",)),
    ],
)
def test_a_folder_of_pictures_with_something_wrong(
    refused: Callable[..., str], pictures: Path, how: str, says: tuple[str, ...]
) -> None:
    spoil(pictures, how)
    text = pipeline(f"a: {TRAINED}", data="{folder: pictures}", more=", preprocess: [{scale: 255}]")
    said = refused(text)
    assert "wrong.yaml:3: task." in said
    for part in says:
        assert part in said


# Steps that fail


@pytest.fixture
def fails(compress: Compress, tmp_path: Path) -> Callable[..., str]:
    """Run a pipeline of which a step fails: exit 3, one sentence, no report; the sentence."""

    def call(text: str, *words: object) -> str:
        path = tmp_path / "wrong.yaml"
        path.write_text(text)
        code, _, said = compress("run", path, "--out", tmp_path / "run", *words)
        assert code == 3, said
        assert said.count("error: ") == 1, said
        assert not (tmp_path / "run" / "report.json").exists()
        assert (tmp_path / "run" / "log.jsonl").exists()
        return said

    return call


def test_a_loss_that_is_not_a_number(fails: Callable[..., str], tmp_path: Path) -> None:
    wild = f"a: {{stage: finetune, model: {NET}, epochs: 2, batch_size: 32, learning_rate: 90}}"
    said = fails(pipeline(wild), "--store", tmp_path / "store")
    assert "step a: the loss is not a number (nan) in epoch 1 of 2 at a learning rate of" in said
    assert re.search(r"try (precision: float32, )?learning_rate: 9", said), "the first where the CPU has bf16"
    assert not list((tmp_path / "store").glob("artifacts/*/*"))


def test_a_loaded_network_that_is_not_what_was_expected(fails: Callable[..., str]) -> None:
    said = fails(pipeline("a: {stage: load, model: resnet8, weights: none, expect: {accuracy: {min: 0.92}}}"))
    assert "step a: accuracy on the validation split is 0." in said
    assert "under the 0.92 that `expect` asks for" in said


def test_parity_missed(tiny_run: Run, compress: Compress, tmp_path: Path) -> None:
    file, _, store = tiny_run
    strict = "steps.edge.parity={sqnr_db: 200, cosine: 0, same_answers: 0}"
    code, _, said = compress("run", file, "--store", store, "--out", tmp_path / "run", "--set", strict)
    assert code == 3, said
    assert "step edge: " in said
    assert "200" in said
    assert not (tmp_path / "run" / "bundle").exists()


def test_a_network_too_large_for_the_machine(compress: Compress, tmp_path: Path) -> None:
    (tmp_path / "users_nets.py").write_text(NETS)
    (tmp_path / "wrong.yaml").write_text(pipeline("a: {stage: load, model: {factory: 'users_nets:huge'}}"))
    code, _, said = compress("run", tmp_path / "wrong.yaml", "--out", tmp_path / "run", "--store", tmp_path / "store")
    assert code == 7, said
    assert "the memory does not suffice for two samples of 1x8x8; use smaller pictures" in said


def test_a_network_that_fails_only_when_it_trains(fails: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "users_nets.py").write_text(NETS.replace("len(x) > 50", "self.training and len(x) > 100"))
    said = fails(pipeline("a: {stage: finetune, model: {factory: 'users_nets:fragile'}, epochs: 1}"))
    assert "step a: the network's own code failed at users_nets.py, line 29 (ValueError: not so many at once)" in said
    assert "mend it and run again" in said


def test_a_network_that_fails_in_large_batches(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "users_nets.py").write_text(NETS)
    said = refused(pipeline("a: {stage: finetune, model: {factory: 'users_nets:fragile'}, epochs: 1}"))
    assert "steps.a.model: 65 samples fail (not so many at once), though 8 are answered; let `forward` take" in said


def test_a_network_that_asks_the_whole_batch(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "users_nets.py").write_text(NETS)
    said = refused(pipeline("a: {stage: load, model: {factory: 'users_nets:choosy'}}"))
    assert "`mean` in `body` (Choosy) at users_nets.py, line 18 mixes the samples of a batch" in said


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        ("spectrum", "operator `aten.linalg_eig` in module `body (Spectrum)` has no form in ONNX; replace it"),
        ("wavering", "the network cannot be traced at users_nets.py, line 38"),
    ],
)
def test_a_network_that_cannot_be_exported(fails: Callable[..., str], tmp_path: Path, factory: str, says: str) -> None:
    (tmp_path / "users_nets.py").write_text(NETS)
    said = fails(pipeline(f"a: {{stage: load, model: {{factory: 'users_nets:{factory}'}}}}"))
    assert "step a.evaluation: " in said
    assert says in said


def test_ctrl_c_before_anything_ran(compress: Compress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(wanted: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("compressor.pipeline.run.run.prepare", pressed)
    monkeypatch.setattr("sys.argv", ["compress", "run", "tiny.yaml"])
    (tmp_path / "tiny.yaml").write_text(pipeline(f"a: {TRAINED}"))
    code, _, said = compress("run", tmp_path / "tiny.yaml", "--out", tmp_path / "run")
    assert code == 130
    assert said.strip().splitlines()[-1].endswith("go on with: compress run tiny.yaml")
    assert not (tmp_path / "run").exists()
