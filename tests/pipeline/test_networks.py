"""What every network is asked before anything is trained, and what is read back after it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Compress = Callable[..., tuple[int, str, str]]

NETS = """
import numpy as np, threading
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune

class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, 1, 1)
        self.bn = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 10)
    def features(self, x):
        return F.relu(self.bn(self.conv(x))).mean((2, 3))
    def forward(self, x):
        return self.fc(self.features(x))
class Squeezed(Base):
    def forward(self, x):
        return self.fc(F.relu(self.bn(self.conv(x))).mean((2, 3), keepdim=True).squeeze())
class Dropping(Base):
    def forward(self, x):
        return self.fc(F.dropout(self.features(x), 0.5, training=True))
class Noisy(Base):
    def forward(self, x):
        return self.fc(self.features(x + torch.rand_like(x)))
class Untracked(Base):
    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm2d(8, track_running_stats=False)
class Functional(Base):
    def forward(self, x):
        return self.fc(F.batch_norm(self.features(x), None, None, training=True))
class Trains(Base):
    def forward(self, x):
        self.bn.train()
        return super().forward(x)
class Softmax0(Base):
    def forward(self, x):
        return super().forward(x).softmax(0)
class Scaled(Base):
    def forward(self, x):
        return super().forward(x / (1 + x.abs().max()))
class Alone(Base):
    def forward(self, x):
        y = self.features(x)
        return -self.fc(y) if x.shape[0] == 1 else self.fc(y)
class Odd(Base):
    def forward(self, x):
        return self.fc(self.features(x)) * (1 + x.shape[0] % 2)
class Rolled(Base):
    def forward(self, x):
        y = self.features(x)
        return self.fc(y - y.roll(1, 0))
class ZeroHead(Base):
    def __init__(self):
        super().__init__()
        nn.init.zeros_(self.fc.weight), nn.init.zeros_(self.fc.bias)
    def forward(self, x):
        y = self.features(x)
        return self.fc(y - y.mean(0))
class Instance(Base):
    def forward(self, x):
        return self.fc(F.instance_norm(F.relu(self.conv(x))).amax((2, 3)))
class Drawn(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.fc = nn.Linear(16, 10)
        made = torch.from_numpy(np.random.randn(64, 16)).float() if how == "numpy" else torch.randn(64, 16)
        if how == "buffer":
            self.register_buffer("proj", made, persistent=False)
        elif how == "array":
            self.proj = made.numpy()
        elif how == "list":
            self.proj = [made]
        else:
            self.proj = made
    def forward(self, x):
        proj = self.proj[0] if isinstance(self.proj, list) else torch.as_tensor(self.proj)
        return self.fc(torch.relu(x.flatten(1) @ proj))
class Layers(Base):
    def __init__(self):
        super().__init__()
        self.blocks = [nn.Linear(8, 8)]
    def features(self, x):
        return self.blocks[0](super().features(x))
class Anneal(Base):
    def __init__(self):
        super().__init__()
        self.tau = 8.0
    def forward(self, x):
        if self.training:
            self.tau *= 0.9
        return super().forward(x) / self.tau
class Running(Base):
    def __init__(self):
        super().__init__()
        self.mean = torch.zeros(8)
    def forward(self, x):
        y = self.features(x)
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * y.mean(0).detach()
        return self.fc(y - self.mean)
class Extra(Base):
    def __init__(self):
        super().__init__()
        self.scale = 1.0
    def get_extra_state(self):
        return {"scale": self.scale, "seen": (torch.ones(2), None)}
    def set_extra_state(self, state):
        assert isinstance(state["seen"], tuple)
        self.scale = state["scale"]
    def forward(self, x):
        if self.training:
            self.scale += 0.25
        return super().forward(x) * self.scale
class Strange(Base):
    def get_extra_state(self):
        return object()
    def set_extra_state(self, state):
        pass
class Head(Base):
    def __init__(self, how, mode="both"):
        super().__init__()
        self.how, self.mode = how, mode
    def forward(self, x):
        z = super().forward(x)
        if self.mode != "both" and self.training != (self.mode == "training"):
            return z
        if self.how == "by hand":
            e = (z - z.amax(1, keepdim=True)).exp()
            return e / e.sum(1, keepdim=True)
        ends = {"softmax": F.softmax, "sigmoid": lambda z, _: torch.sigmoid(z), "log_softmax": F.log_softmax}
        return ends[self.how](z, 1)
def layered(wrap):
    return nn.Sequential(nn.Conv2d(1, 8, 3, 1, 1), nn.ReLU(), wrap(nn.Conv2d(8, 8, 3, 1, 1)), nn.ReLU(),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
def weight_norm(): return layered(nn.utils.weight_norm)
def spectral_norm(): return layered(nn.utils.spectral_norm)
def masked(): return layered(lambda layer: prune.l1_unstructured(layer, "weight", 0.5))
def parametrized(): return layered(nn.utils.parametrizations.weight_norm)
class Quiet(Base):
    def train(self, mode=True):
        super().train(mode)
        self.bn.eval()
class Auxiliary(Base):
    def forward(self, x):
        y = super().forward(x)
        return (y, y) if self.training else y
class Chosen(Base):
    def forward(self, x):
        return F.one_hot(super().forward(x).argmax(1), 10)
class Far(Base):
    def forward(self, x):
        return -torch.cdist(super().forward(x), torch.eye(10))
class Long(Base):
    def forward(self, x):
        return torch.zeros(len(x), 10) + super().forward(x)
class Fussy(Base):
    def forward(self, x):
        if x.shape[0] > 2:
            raise ValueError("two at most")
        return super().forward(x)
class Checked(Base):
    def forward(self, x):
        if not torch.compiler.is_compiling():
            assert 0 <= x.min() and x.max() <= 1
        return super().forward(x)
class Lookup(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(17, 4)
        self.fc = nn.Linear(4, 10)
    def forward(self, x):
        return self.fc(self.table((16 * x).round().long().squeeze(1)).mean((1, 2)))
class Standardised(Base):
    def forward(self, x):
        return super().forward((x - x.mean((1, 2, 3), keepdim=True)) / x.std((1, 2, 3), keepdim=True))
class Locked(Base):
    def __init__(self, how):
        super().__init__()
        self.how = how
        if how == "built":
            self.conv.lock = threading.Lock()
        elif how == "hooked":
            self.conv.register_forward_hook(Logger())
    def forward(self, x):
        if self.how == "answering" and not hasattr(self, "lock"):
            self.lock = threading.Lock()
        return super().forward(x)
class Gain(Base):
    def __init__(self, begin):
        super().__init__()
        self.gain = nn.Parameter(torch.full((8,), begin))
    def forward(self, x):
        y = self.features(x)
        return self.fc(y + self.gain * y.mean(0))
class Clamped(Base):
    def forward(self, x):
        return super().forward(x).clamp(0, 1)
class Keeps(Base):
    def __init__(self):
        super().__init__()
        self.acts = {}
    def forward(self, x):
        self.acts["features"] = y = self.features(x)
        return self.fc(y)
def recurrent(how="norm"):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            wrap = nn.utils.weight_norm if how == "norm" else lambda layer, name: prune.l1_unstructured(layer, name, 1)
            self.gru = wrap(nn.GRU(8, 8, batch_first=True), "weight_hh_l0")
            self.fc = nn.Linear(8, 10)
        def forward(self, x):
            return self.fc(self.gru(x[:, 0])[0][:, -1])
    return Net()
class Renewed(Base):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()
    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "lock"}
    def __setstate__(self, state):
        super().__setstate__(state)
        self.lock = threading.Lock()
class Warmed(Base):
    def __init__(self, grad):
        super().__init__()
        with torch.set_grad_enabled(grad):
            self.acts = [self.features(torch.zeros(1, 1, 8, 8))]
class Logger:
    def __init__(self):
        self.lines = (line for line in "ab")
    def __call__(self, *_):
        pass
"""


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
