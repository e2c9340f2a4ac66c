"""Code of a user's networks, one trait each: what a check must find, and what it must let pass."""

from __future__ import annotations

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
