"""What fails in bfloat16 and works in float32 is found by one batch, and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compressor.models import factories, network
from compressor.stages import STAGES
from compressor.training import bfloat16, precision
from compressor.training.objective import LabelLoss
from compressor.training.settings import TrainingFields
from tests.toy import Falling, ToyTask, toy_artifact, toy_context

Compress = Callable[..., tuple[int, str, str]]
Mix = Callable[[nn.Module, Tensor], Tensor]


class Taken(torch.autograd.Function):
    """A product whose way back computes in float32 whatever it was given."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return x @ weight

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        return grads[0].float() @ weight, x.T @ grads[0].float()


class Net(nn.Module):
    """Features, something between them, and a dense layer."""

    def __init__(self, mix: Mix) -> None:
        super().__init__()
        self.conv, self.mid, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(4, 4), nn.Linear(4, 3)
        self.mix, self.places = mix, torch.arange(4)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.fc(self.mix(self, self.mid(self.conv(x).mean((2, 3)))))
        return answer


def assigned(_: nn.Module, y: Tensor) -> Tensor:
    room = torch.zeros(y.shape)
    room[:, torch.arange(4)] = y
    return room


def own_product(_: nn.Module, y: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        return y @ torch.eye(4)


def asserted(_: nn.Module, y: Tensor) -> Tensor:
    assert y.dtype == torch.float32, "float32 is wanted"
    return y


def caught(_: nn.Module, y: Tensor) -> Tensor:
    try:
        return torch.zeros(y.shape).index_add(1, torch.arange(4), y)
    except RuntimeError:
        return y


def only_asked(net: nn.Module, y: Tensor) -> Tensor:
    return y if net.training else torch.zeros(y.shape).index_add(1, torch.arange(4), y)


FAILING: dict[str, tuple[Mix, str]] = {
    "assignment": (assigned, "`__setitem__` at test_bfloat16.py, line"),
    "index_put": (lambda _, y: torch.zeros(y.shape).index_put((torch.arange(len(y)),), y), "`index_put` at test_bf"),
    "index_add": (lambda net, y: torch.zeros(y.shape).index_add(1, net.places, y), "`index_add` at test_bfloat16.py"),
    "scatter": (lambda net, y: torch.zeros(y.shape).scatter(1, net.places.expand(y.shape), y), "`scatter` at"),
    "scatter_add": (lambda n, y: torch.zeros(y.shape).scatter_add(1, n.places.expand(y.shape), y), "`scatter_add` at"),
    "lerp": (lambda _, y: torch.lerp(torch.zeros(y.shape), y, 0.5), "`lerp` at"),
    "no bfloat16": (lambda _, y: torch.complex(y, y).abs(), "`complex` at test_bfloat16.py, line"),
    "autocast off": (own_product, "`matmul` at test_bfloat16.py, line"),
    "own backward": (lambda _, y: Taken.apply(y, torch.eye(4).to(y.dtype)), "the way back of `Taken` at test_bfloat16"),
    "assertion": (asserted, "the network's own code at test_bfloat16.py, line"),
    "eval mode alone": (only_asked, "`index_add` at test_bfloat16.py, line"),
    "1 + 0.0001": (lambda _, y: torch.log(0 * y + 1 + 1e-4 - 1), "`log` at test_bfloat16.py, line"),
    "1 / 0": (lambda _, y: 1 / (0 * y + 1 + 1e-4 - 1), "values that are not finite numbers"),
    "no gradient": (lambda _, y: torch.sqrt(0 * y + 1 + 1e-4 - 1), "the gradient of `"),
}
PASSING: dict[str, Mix] = {
    "plain": lambda _, y: y,
    "caught": caught,
    "inverse": lambda _, y: torch.linalg.inv(torch.diag_embed(y) + torch.eye(4)).mean(1),
    "distances": lambda _, y: torch.cdist(y, torch.eye(4)),
}


def settings(**changes: Any) -> TrainingFields:
    return TrainingFields(**{"epochs": 1, "batch_size": 16, "learning_rate": 0.01, **changes})


def settled(folder: Path, mix: Mix, objective: Any = None, **changes: Any) -> tuple[str, str, list[str]]:
    """Precision, reason and lines told, and the network as it was before."""
    torch.manual_seed(0)
    model, context = Net(mix), toy_context(folder)
    before, drawn = {name: value.clone() for name, value in model.state_dict().items()}, torch.get_rng_state()
    labels = objective or LabelLoss(context.task)
    found = bfloat16.settled(model, labels, context.task, settings(**changes), context)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), drawn) and not model._forward_hooks
    return *found, context.progress.lines


@pytest.fixture
def units(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that gains from bfloat16."""
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)


@pytest.mark.usefixtures("units")
@pytest.mark.parametrize("name", FAILING)
def test_what_fails_in_bfloat16_is_trained_in_float32_and_named(name: str, tmp_path: Path) -> None:
    mix, words = FAILING[name]
    chosen, because, lines = settled(tmp_path, mix)
    assert chosen == "float32"
    assert because.startswith("in bfloat16 ") and words in because
    assert lines == [f"computes in float32, since {because}"]


@pytest.mark.usefixtures("units")
@pytest.mark.parametrize("name", PASSING)
def test_what_works_in_bfloat16_stays_there(name: str, tmp_path: Path) -> None:
    assert settled(tmp_path, PASSING[name]) == ("bfloat16", "", [])


@pytest.mark.usefixtures("units")
def test_what_fails_in_float32_too_is_no_matter_of_bfloat16(tmp_path: Path) -> None:
    assert settled(tmp_path, lambda _, y: y.log())[0] == "bfloat16"
    assert settled(tmp_path, lambda _, y: torch.zeros(3, 3) @ y)[0] == "bfloat16"


@pytest.mark.usefixtures("units")
def test_a_loss_that_fails_is_found(tmp_path: Path) -> None:
    @Falling
    def objective(model: nn.Module, batch: Any) -> Tensor:
        model(batch.inputs["input"])
        return torch.zeros(1).index_add(0, torch.tensor([0]), F.linear(torch.ones(1, 4), model.mid.weight)[0, :1])[0]

    _, because, _ = settled(tmp_path, PASSING["plain"], objective)
    assert (
        because.startswith("in bfloat16 `index_add` at test_bfloat16.py")
        and "in the loss or the teacher fails" in because
    )


def test_nothing_is_tried_where_float32_is_the_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda device: False)
    assert settled(tmp_path, FAILING["index_add"][0]) == ("float32", "", [])
    assert settled(tmp_path, FAILING["index_add"][0], precision="bfloat16") == ("bfloat16", "", [])


NETS = """
import torch
from torch import nn
class Adds(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 8, 3, 1, 1), nn.Linear(8, %d)
    def forward(self, x):
        y = self.fc(self.conv(x).relu().mean((2, 3)))
        return torch.zeros(y.shape).index_add(1, torch.arange(y.shape[1]), y)
"""


@pytest.mark.usefixtures("units")
@pytest.mark.parametrize("stage", ["finetune", "distill", "prune", "taught by it"])
def test_every_training_stage_records_what_it_computed_in(stage: str, tmp_path: Path) -> None:
    (tmp_path / "bfnets.py").write_text(NETS % 3)
    theirs = {"factory": "bfnets:Adds"}
    factories.from_factory("bfnets:Adds", {}, tmp_path)
    start = tmp_path / "from"
    start.mkdir()
    network.save(start, factories.from_factory("bfnets:Adds", {}, tmp_path), theirs, 3, (1, 8, 8))
    artifact, plain = toy_artifact(tmp_path / "plain"), {"epochs": 1, "batch_size": 16, "learning_rate": 0.01}
    held = type(artifact)("key", "model", "finetune", start)
    name, fields, inputs = {
        "finetune": ("finetune", {"model": theirs}, {}),
        "distill": ("distill", {"model": theirs, "teacher": "t"}, {"teacher": artifact}),
        "prune": ("prune", {"from": "a", "keep": {"macs": 0.5}, "round_to": 1}, {"from": held}),
        "taught by it": ("distill", {"model": "resnet8", "teacher": "t"}, {"teacher": held}),
    }[stage]
    context = toy_context(tmp_path, ToyTask())
    facts = STAGES[name].run(STAGES[name].spec.model_validate({**plain, **fields}), inputs, context)
    assert facts["precision"] == "float32"
    assert "`index_add`" in facts["precision_because"] and "bfnets.py, line 10" in facts["precision_because"]
    assert ("in the loss or the teacher" in facts["precision_because"]) == (stage == "taught by it")


@pytest.mark.parametrize(("net", "taught", "words"), [
    ("bfloat16", "auto", ["p.yaml:6: steps.net.precision", "`index_add` at bfnets.py, line 10 fails"]),
    ("float32", "bfloat16", ["p.yaml:7: steps.taught.precision", "line 10 in the loss or the teacher fails"]),
])  # fmt: skip
def test_bfloat16_that_was_asked_for_and_fails_ends_before_training(
    net: str, taught: str, words: list[str], tmp_path: Path, compress: Compress
) -> None:
    (tmp_path / "bfnets.py").write_text(NETS % 10)
    path = tmp_path / "p.yaml"
    path.write_text(
        "version: 1\nname: n\ntask: {type: image-classification, data: digits}\nsteps:\n"
        "  first: {stage: finetune, model: resnet8, epochs: 1, batch_size: 512}\n"
        '  net: {stage: finetune, factory: "bfnets:Adds", epochs: 1, batch_size: 512, learning_rate: 0.01,'
        f" precision: {net}}}\n"
        f"  taught: {{stage: distill, teacher: net, model: resnet8, epochs: 1, batch_size: 512, precision: {taught}}}\n"
    )
    code, _, told = compress("run", path, "--store", tmp_path / "s", "--out", tmp_path / "out")
    assert code == 2 and not (tmp_path / "out").exists()
    assert all(one in told for one in words)
    assert "write `precision: float32`" in told
