"""Which networks answer with probabilities, told whatever their weights are, and the logits behind those."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compressor.models import final_activation
from compressor.models.answer_kinds import fitting

Head = Callable[[Tensor], Tensor]


class Net(nn.Module):
    def __init__(self, head: Head, classes: int = 5, scale: float = 1.0) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 6, 3, 1, 1), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.fc, self.head, self.scale = nn.Linear(6, classes), head, scale

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.scale * self.fc(self.body(x).flatten(1)))


def by_hand(z: Tensor) -> Tensor:
    powers = (z - z.amax(1, keepdim=True)).exp()
    return powers / powers.sum(1, keepdim=True)


HEADS: dict[str, tuple[Head, str | None]] = {
    "F.softmax": (lambda z: F.softmax(z, 1), "softmax"),
    "torch.softmax": (lambda z: torch.softmax(z, -1), "softmax"),
    "method": (lambda z: z.softmax(1), "softmax"),
    "module": (nn.Softmax(1), "softmax"),
    "temperature": (lambda z: (z / 3).softmax(1), "softmax"),
    "Softmax2d": (lambda z: nn.Softmax2d()(z[:, :, None, None]).flatten(1), "softmax"),
    "by hand": (by_hand, "softmax"),
    "exp of log": (lambda z: z.log_softmax(1).exp(), "softmax"),
    "mean of two": (lambda z: (z.softmax(1) + (2 * z).softmax(1)) / 2, "softmax"),
    "half precision": (lambda z: z.half().softmax(1).float(), "softmax"),
    "sigmoid": (torch.sigmoid, "sigmoid"),
    "sigmoid module": (nn.Sigmoid(), "sigmoid"),
    "hard sigmoid": (F.hardsigmoid, "sigmoid"),
    "sigmoid by hand": (lambda z: 1 / (1 + (-z).exp()), "sigmoid"),
    "tanh": (lambda z: (1 + z.tanh()) / 2, "sigmoid"),
    "log-softmax": (lambda z: F.log_softmax(z, 1), "log_softmax"),
    "log of softmax": (lambda z: z.softmax(1).log(), "log_softmax"),
    "minus logsumexp": (lambda z: z - z.logsumexp(1, keepdim=True), "log_softmax"),
    "log-sigmoid": (F.logsigmoid, "log_sigmoid"),
    "scores": (lambda z: z, None),
    "tanh as it is": (torch.tanh, None),
    "relu": (F.relu, None),
    "no more than zero": (lambda z: -z.abs(), None),
    "small and positive": (lambda z: F.softplus(z) / 10, None),
    "nothing": (lambda z: 0 * z, None),
    "unit length": (lambda z: F.normalize(z, dim=1), None),
}


def inputs() -> dict[str, Tensor]:
    return {"input": torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(1))}


@pytest.mark.parametrize("name", HEADS)
def test_what_a_network_ends_in_is_told(name: str) -> None:
    head, kind = HEADS[name]
    for classes, scale in ((5, 1.0), (2, 1.0), (5, 50.0)):
        torch.manual_seed(0)
        assert final_activation.find(Net(head, classes, scale), inputs()) == kind, (classes, scale)


def test_two_shares_of_one_number_sum_to_one() -> None:
    network = Net(lambda z: torch.cat([1 - z[:, :1].sigmoid(), z[:, :1].sigmoid()], 1), 2)
    assert final_activation.find(network, inputs()) == "softmax"


def test_a_saturated_sigmoid_whose_rows_sum_to_one_by_chance_is_a_sigmoid() -> None:
    network = Net(torch.sigmoid, 2)
    with torch.no_grad():
        network.fc.weight.zero_()
        network.fc.bias.copy_(torch.tensor([300.0, -300.0]))
    assert network.eval()(inputs()["input"]).tolist() == [[1.0, 0.0]] * 8
    assert final_activation.find(network, inputs()) == "sigmoid"


def test_scores_that_happen_to_sum_to_one_are_scores() -> None:
    network = Net(lambda z: z, 4)
    with torch.no_grad():
        network.fc.weight.zero_()
        network.fc.bias.fill_(0.25)
    assert final_activation.find(network, inputs()) is None


def test_a_new_last_layer_of_zeros_is_told_by_few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    network, draw = Net(lambda z: z), final_activation._drawn
    drawn: list[Any] = []
    nn.init.zeros_(network.fc.weight), nn.init.zeros_(network.fc.bias)

    def counted(*given: Any, **more: Any) -> nn.Module:
        drawn.append(given)
        return draw(*given, **more)

    monkeypatch.setattr(final_activation, "_drawn", counted)
    assert final_activation.find(network, inputs()) is None
    assert len(drawn) < 4


def test_random_networks_are_never_taken_for_probabilities() -> None:
    for seed in range(12):
        for head in (lambda z: z, F.relu, torch.abs, lambda z: z * z, lambda z: z.amax(1, keepdim=True) - z):
            torch.manual_seed(seed)
            assert final_activation.find(Net(head, 2, 0.1), inputs()) is None, seed


def test_looking_leaves_network_and_generator_alone() -> None:
    network = Net(lambda z: z.softmax(1))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    drawn = torch.get_rng_state()
    assert final_activation.find(network.eval(), inputs(), training=True) == "softmax"
    assert torch.equal(drawn, torch.get_rng_state())
    assert not network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_kinds_that_numbers_fit() -> None:
    assert fitting(np.array([[0.2, 0.8], [1.0, 0.0]])) == {"softmax", "sigmoid"}
    assert fitting(np.array([[0.2, 0.8], [1.0, 0.01]])) == {"sigmoid"}
    assert fitting(np.array([[0.2, 0.8], [1.001, -0.001]])) == set()
    assert fitting(np.array([[math.log(0.5), math.log(0.5)], [0.0, -np.inf]])) == {"log_softmax", "log_sigmoid"}
    assert fitting(np.array([[-1.0, -1.0]])) == {"log_sigmoid"}
    assert fitting(np.array([[0.5, np.nan]])) == set()
    assert fitting(np.zeros((0, 2))) == set()


def test_logits_by_hand() -> None:
    shares = torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    found = final_activation.logits("softmax", shares)
    assert torch.allclose(found[0], torch.tensor([math.log(0.25), math.log(0.75)]))
    assert found[1].tolist() == pytest.approx([0.0, math.log(2.0**-126)])
    assert torch.allclose(found.softmax(1), shares)
    found = final_activation.logits("sigmoid", torch.tensor([[0.25, 0.5], [1.0, 0.0]]))
    assert found[0].tolist() == pytest.approx([-math.log(3), 0.0])
    assert found[1].tolist() == pytest.approx([math.log(2.0**24 - 1), math.log(2.0**-126)])
    found = final_activation.logits("log_softmax", torch.tensor([[math.log(0.25), math.log(0.75)], [0.0, -math.inf]]))
    assert torch.allclose(found.softmax(1), shares)
    assert torch.isfinite(found).all()
    found = final_activation.logits("log_sigmoid", torch.tensor([[math.log(0.25), math.log(0.5)]]))
    assert found[0].tolist() == pytest.approx([-math.log(3), 0.0], abs=1e-6)
