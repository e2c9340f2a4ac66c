"""What every network is asked before anything is trained, and what is read back after it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline.trial_networks import NETS

Compress = Callable[..., tuple[int, str, str]]


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    (tmp_path / "trialnets.py").write_text(NETS)
    return tmp_path


def pipeline(folder: Path, model: str, more: str = "", task: str = "") -> Path:
    path = folder / "p.yaml"
    path.write_text(
        f"version: 1\nname: n\ntask: {{type: image-classification, data: digits{task}}}\nsteps:\n"
        f"  net: {{stage: finetune, model: {model}, epochs: 1, batch_size: 256, learning_rate: 0.01}}\n{more}"
    )
    return path


def ends(compress: Compress, folder: Path, model: str, more: str = "", task: str = "") -> tuple[int, str]:
    found = compress("run", pipeline(folder, model, more, task), "--store", folder / "store", "--out", folder / "out")
    return found[0], found[2]


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        # Answers that depend on the batch.
        ("Squeezed", "", "`squeeze` at trialnets.py, line"),
        ("Dropping", "", "`dropout` at trialnets.py, line"),
        ("Noisy", "", "`rand_like` at trialnets.py, line"),
        ("Untracked", "", "`bn` (BatchNorm2d) normalises with the statistics of the batch in eval mode"),
        ("Functional", "", "`batch_norm` at trialnets.py"),
        ("Trains", "", "`bn` (BatchNorm2d) normalises with the statistics of the batch"),
        ("Softmax0", "", "`softmax` at trialnets.py"),
        ("Scaled", "", "`max` at trialnets.py"),
        ("Alone", "", "takes another path for 1 sample"),
        ("Odd", "", "a batch of 1 is answered otherwise"),
        ("Rolled", "", "`roll` at trialnets.py"),
        ("ZeroHead", "", "`mean` at trialnets.py"),
        ("Gain", "begin: 0.0", "`mean` at trialnets.py"),
        ("Gain", "begin: 1.0e-6", "`mean` at trialnets.py"),
        # What is trained could not be read back.
        ("Drawn", "how: plain", "its attribute `proj` is drawn anew"),
        ("Drawn", "how: numpy", 'register_buffer("proj"'),
        ("Drawn", "how: array", "its attribute `proj` is drawn anew"),
        ("Drawn", "how: list", "its attribute `proj` is drawn anew"),
        ("Drawn", "how: buffer", "without `persistent=False`"),
        ("Layers", "", "nn.ModuleList"),
        ("Anneal", "", "training changes its attribute `tau`"),
        ("Running", "", "training changes its attribute `mean`"),
        ("Strange", "", "holds 'object', which cannot be kept"),
        # Scores that are bounded.
        ("Clamped", "", "keeps the answers between 0 and 1, whatever the weights"),
        # What cannot be copied.
        ("Locked", "how: built", "its attribute `conv.lock` (lock) cannot be copied (cannot pickle '_thread.lock'"),
        ("Locked", "how: answering", "its attribute `lock` (lock) cannot be copied"),
        ("Locked", "how: hooked", "its attribute `conv._forward_hooks` (OrderedDict) cannot be copied"),
        # No loss, or a failure.
        ("Auxiliary", "", "in training mode it answers with a tuple, where one tensor is needed"),
        ("Chosen", "", "the network answers with numbers of the type int64"),
        # What no graph can be made of.
        ("Far", "", "it could be trained and not be exported: the network takes another path for some sizes"),
        ("Long", "", "it could be trained and not be exported: the network computes with a fixed batch size"),
        ("Fussy", "", "(ValueError: two at most); mend its `forward`"),
    ],
)
def test_a_network_that_would_not_ship_as_trained_is_refused_before(
    name: str, args: str, words: str, nets: Path, compress: Compress
) -> None:
    code, said = ends(compress, nets, f"{{factory: 'trialnets:{name}', args: {{{args}}}}}")
    assert code == 2, said
    assert "steps.net.model: " in said
    assert words in said


def test_a_loaded_network_that_cannot_be_copied_is_refused_before_anything_is_kept(
    nets: Path, compress: Compress
) -> None:
    path = nets / "p.yaml"
    path.write_text(
        "version: 1\nname: n\ntask: {type: image-classification, data: digits}\nsteps:\n"
        "  net: {stage: load, model: {factory: 'trialnets:Locked', args: {how: answering}}}\n"
    )
    code, _, said = compress("run", path, "--store", nets / "store", "--out", nets / "out")
    assert code == 2, said
    assert "steps.net.model: its attribute `lock` (lock) cannot be copied" in said


@pytest.mark.parametrize("name", ["Keeps", "Renewed"])
def test_a_network_that_can_be_copied_in_its_own_way_goes_through_every_step(
    name: str, nets: Path, compress: Compress
) -> None:
    more = (
        "  slim: {stage: prune, from: net, keep: {macs: 0.75}, round_to: 1, importance: taylor, epochs: 1, "
        "batch_size: 256}\n"
        "  qat: {stage: quantize, from: slim, method: qat, epochs: 1, batch_size: 256, calibration_samples: 64}\n"
    )
    code, said = ends(compress, nets, f"{{factory: 'trialnets:{name}'}}", more)
    assert code == 0, said


def test_an_old_weight_norm_of_a_recurrent_layer_is_told_the_call_that_helps(nets: Path, compress: Compress) -> None:
    code, said = ends(compress, nets, "{factory: 'trialnets:recurrent'}")
    assert code == 2
    assert "`gru` (GRU) has weights that a norm or a mask of the old kind computes" in said
    assert "call `torch.nn.utils.remove_weight_norm(layer, 'weight_hh_l0')` in the factory" in said
    code, said = ends(compress, nets, "{factory: 'trialnets:recurrent', args: {how: mask}}")
    assert code == 2
    assert "call `torch.nn.utils.prune.remove(layer, 'weight_hh_l0')` in the factory" in said


def test_a_network_that_keeps_what_a_pass_with_gradients_left_is_told_so(nets: Path, compress: Compress) -> None:
    code, said = ends(compress, nets, "{factory: 'trialnets:Warmed', args: {grad: true}}")
    assert code == 2
    assert "`acts` keeps what a pass with gradients left" in said
    assert "torch.no_grad()" in said


@pytest.mark.parametrize("name", ["Checked", "Lookup", "Standardised"])
def test_a_network_is_asked_with_nothing_beyond_what_the_data_holds(name: str, nets: Path, compress: Compress) -> None:
    more = (
        "  slim: {stage: prune, from: net, keep: {macs: 0.75}, round_to: 1, epochs: 1, batch_size: 256}\n"
        "  qat: {stage: quantize, from: net, method: qat, epochs: 1, batch_size: 256, calibration_samples: 64}\n"
    )
    scaled = ", preprocess: [{scale: 255}]"
    code, said = ends(compress, nets, f"{{factory: 'trialnets:{name}'}}", "" if name == "Lookup" else more, scaled)
    assert code == 0, said


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (
            "how: softmax",
            "`softmax` at trialnets.py, line 134 makes probabilities of the answers (each row sums to one)",
        ),
        (
            "how: sigmoid",
            "`sigmoid` at trialnets.py, line 133 makes probabilities of the answers (each between 0 and 1",
        ),
        ("how: log_softmax", "`log_softmax` at trialnets.py, line 134 makes logarithms of probabilities"),
        ("how: by hand", "`div` at trialnets.py, line 132 makes probabilities of the answers (each row sums to one)"),
        ("how: softmax, mode: eval", "makes probabilities of the answers (each row sums to one)"),
        ("how: softmax, mode: training", "makes probabilities of the answers in training mode (each row sums to one)"),
    ],
)
def test_a_network_that_answers_with_probabilities_is_not_trained(
    args: str, words: str, nets: Path, compress: Compress
) -> None:
    code, said = ends(compress, nets, f"{{factory: 'trialnets:Head', args: {{{args}}}}}")
    assert code == 2, said
    assert "steps.net.model: " in said
    assert words in said
    assert "return the scores before it (logits)" in said


@pytest.mark.parametrize(
    "step",
    [
        "{stage: prune, from: net, keep: {macs: 0.75}, round_to: 1, epochs: 1, batch_size: 256}",
        "{stage: quantize, from: net, method: qat, epochs: 1, batch_size: 256, calibration_samples: 64}",
        "{stage: finetune, from: net, epochs: 1, batch_size: 256}",
    ],
)
def test_no_stage_trains_a_loaded_network_that_answers_with_probabilities(
    step: str, nets: Path, compress: Compress
) -> None:
    path = nets / "p.yaml"
    path.write_text(
        "version: 1\nname: n\ntask: {type: image-classification, data: digits}\nsteps:\n"
        "  net: {stage: load, model: {factory: 'trialnets:Head', args: {how: softmax}}}\n"
        f"  more: {step}\n"
    )
    code, _, said = compress("run", path, "--store", nets / "store", "--out", nets / "out")
    assert code == 2, said
    assert "steps.more.from: `softmax` at trialnets.py" in said


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm", "masked", "parametrized", "Extra"])
def test_computed_weights_and_extra_state_go_through_every_step(name: str, nets: Path, compress: Compress) -> None:
    more = (
        "  more: {stage: finetune, from: net, epochs: 1, batch_size: 256, learning_rate: 0.01}\n"
        "  qat: {stage: quantize, from: more, method: qat, epochs: 1, batch_size: 256, calibration_samples: 64}\n"
    )
    code, said = ends(compress, nets, f"{{factory: 'trialnets:{name}'}}", more)
    assert code == 0, said
    report = json.loads((nets / "out" / "report.json").read_text())
    assert [row["step"] for row in report["models"]] == ["net", "more", "qat"]


def test_a_network_whose_own_train_returns_nothing_goes_through_every_step(nets: Path, compress: Compress) -> None:
    more = (
        "  slim: {stage: prune, from: net, keep: {macs: 0.75}, round_to: 1, importance: taylor, epochs: 1,"
        " batch_size: 256, learning_rate: 0.01}\n"
        "  taught: {stage: distill, from: slim, teacher: net, epochs: 1, batch_size: 256, learning_rate: 0.01}\n"
        "  qat: {stage: quantize, from: taught, method: qat, epochs: 1, batch_size: 256, calibration_samples: 64}\n"
    )
    code, said = ends(compress, nets, "{factory: 'trialnets:Quiet'}", more)
    assert code == 0, said
