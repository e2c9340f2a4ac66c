"""Code of a user's networks in which something is wrong."""

from __future__ import annotations

NETS = """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.conv, self.body, self.head = nn.Conv2d(1, 4, 3), body, nn.Linear(4, 10)
    def forward(self, x):
        return self.head(self.body(self.conv(x)).mean((2, 3)))

class Spectrum(nn.Module):
    def forward(self, x):
        square = x @ x.transpose(-1, -2) + torch.eye(x.shape[-1])
        return x * torch.linalg.eigvals(square).real.detach().mean(-1)[..., None, None]

class Choosy(nn.Module):
    def forward(self, x):
        return x * 2 if x.mean() > 0 else x

class Untrained(nn.Module):
    def forward(self, x):
        if self.training:
            raise ValueError("not for training")
        return x

class Fragile(nn.Module):
    def forward(self, x):
        if len(x) > 50:
            raise ValueError("not so many at once")
        return x

class Huge(nn.Module):
    def forward(self, x):
        return x.new_empty(2 ** 50)

class Wavering(nn.Module):
    def forward(self, x):
        return x * 2 if x.mean() > 0 else x + x

def wavering(): return Net(Wavering())
def huge(): return Net(Huge())
def fragile(): return Net(Fragile())
def raises(): raise RuntimeError("no such dial")
def leaves(): raise SystemExit(0)
def nothing(): return None
def spectrum(): return Net(Spectrum())
def choosy(): return Net(Choosy())
def untrained(): return Net(Untrained())
"""
