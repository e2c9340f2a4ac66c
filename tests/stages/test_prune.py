"""The prune stage: its settings, what it writes, and what it refuses before anything trains."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from compressor.errors import InputError
from compressor.models import cost, network
from compressor.pruning import narrow
from compressor.stages.prune import STAGE, PruneSpec
from tests.toy import toy_artifact, toy_context, toy_model

WIDE = {"name": "mlperf_resnet8", "widths": [16, 16, 32]}


def spec(**changes: Any) -> PruneSpec:
    given = {"from": "student", "keep": {"macs": 0.5}, "epochs": 1, "batch_size": 16, "precision": "float32", **changes}
    return PruneSpec.model_validate(given)


@pytest.mark.parametrize("importance", ["l1", "l2", "taylor", "bn"])
@pytest.mark.parametrize("keep", [{"macs": 0.5}, {"params": 0.4}])
def test_the_share_is_met_and_told(tmp_path: Path, importance: str, keep: dict[str, float]) -> None:
    before = toy_artifact(tmp_path / "before", "resnet8")
    context = toy_context(tmp_path)
    facts = STAGE.run(spec(importance=importance, keep=keep), {"from": before}, context)
    old, new = (cost.count(network.read(folder), (1, 8, 8)) for folder in (before.folder, context.folder))
    shares = {"macs": new.macs / old.macs, "params": new.params / old.params}
    assert facts["kept"] == pytest.approx(shares)
    ((resource, asked),) = keep.items()
    assert abs(shares[resource] - asked) <= 0.02
    assert facts["widths"]["linear"] == [3, 3]
    assert all(after % 8 == 0 for name, (_, after) in facts["widths"].items() if name != "linear")
    assert facts["loss"] == "the task's loss"
    assert len(facts["curves"]) == 1
    assert context.progress.lines[0].startswith("kept: ")  # type: ignore[attr-defined]


def test_a_teacher_changes_the_loss_and_stays_as_it_is(tmp_path: Path) -> None:
    before, teacher = toy_artifact(tmp_path / "before", WIDE), toy_artifact(tmp_path / "teacher", seed=3)
    held = teacher.file("weights.safetensors").read_bytes()
    plain = STAGE.run(spec(), {"from": before}, toy_context(tmp_path / "plain"))
    context = toy_context(tmp_path / "taught")
    taught = STAGE.run(spec(teacher="teacher"), {"from": before, "teacher": teacher}, context)
    assert taught["loss"].startswith("0.1 * cross-entropy") and "temperature 4" in taught["loss"]
    assert f"loss: {taught['loss']}" in context.progress.lines  # type: ignore[attr-defined]
    assert taught["widths"] == plain["widths"]
    assert taught["curves"] != plain["curves"]
    assert teacher.file("weights.safetensors").read_bytes() == held


class BesideLayers(nn.Module):
    """Two convolutions, 8 * 64 * 9 and 16 * 8 * 64 * 9 multiply-accumulates on 8x8, the last layer's 16 * 3, and a
    product of no layer's: of the picture, 64 * 8 * width, or of the channels between the two, which get fewer."""

    def __init__(self, width: int, between: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
        self.last, self.free, self.between = nn.Linear(16, 3), nn.Parameter(torch.ones(8, width)), between

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = torch.relu(self.first(x))
        shown = (
            F.linear(made.detach().flatten(1, 2), torch.ones(400, 8)).sum() * 0
            if self.between
            else (x @ self.free).sum()
        )
        return self.last(torch.relu(self.second(made)).mean((2, 3))) + 0 * shown


def narrowed(model: nn.Module, share: float) -> float:
    """The share of MACs that stays, as torch's own counter has it."""

    def counted(one: nn.Module) -> int:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            one(torch.zeros(1, 1, 8, 8))
        return counter.get_total_flops()

    slim = narrow.narrow(model, (1, 8, 8), narrow.Target("macs", share, 1, "steps.slim"))
    assert slim.kept["macs"] == counted(slim.model) / counted(model)
    return slim.kept["macs"]


@pytest.mark.parametrize("between", [False, True])
def test_the_share_is_of_all_products_whether_layers_or_functions(between: bool) -> None:
    assert narrowed(BesideLayers(100, between), 0.7) == pytest.approx(0.7, abs=0.02)


def test_what_no_width_makes_smaller_bounds_the_share() -> None:
    # 8 * 100 * 64 of 129,616 products, 0.395, are of no layer
    with pytest.raises(InputError, match=r"no widths keep 0.35 of the macs within 0.02.*none below and 0\.4"):
        narrowed(BesideLayers(800, False), 0.35)


@pytest.mark.parametrize("importance", ["l2", "taylor"])
def test_equal_runs_leave_equal_bytes(tmp_path: Path, importance: str) -> None:
    before = toy_artifact(tmp_path / "before", WIDE)
    for place in "ab":
        STAGE.run(spec(importance=importance), {"from": before}, toy_context(tmp_path / place))
    for name in ("network.json", "weights.safetensors"):
        a, b = ((tmp_path / place / "out" / name).read_bytes() for place in "ab")
        assert a == b


def test_the_sketch_needs_no_trained_weights_and_leaves_its_input_alone(tmp_path: Path) -> None:
    model, context = toy_model(ref="resnet8"), toy_context(tmp_path)
    other = toy_model(ref="resnet8", seed=5)
    first, second = (STAGE.untrained(spec(), {"from": one}, context) for one in (model, other))  # type: ignore[misc]
    assert network.shapes(first) == network.shapes(second)
    assert network.shapes(model) == network.shapes(toy_model(ref="resnet8"))
    whole, kept = cost.count(model, (1, 8, 8)), cost.count(first, (1, 8, 8))
    assert abs(kept.macs / whole.macs - 0.5) <= 0.02


def test_a_share_that_cannot_be_had_names_its_neighbours_before_training(tmp_path: Path) -> None:
    def refused(widths: list[int], share: float, round_to: int) -> str:
        model = toy_model(ref={"name": "mlperf_resnet8", "widths": widths})
        with pytest.raises(InputError) as found:
            STAGE.untrained(spec(keep={"params": share}, round_to=round_to), {"from": model}, context)  # type: ignore[misc]
        return found.value.sentence()

    context = toy_context(tmp_path, step="slim")
    assert refused([16, 16, 16], 0.5, 16) == (
        "steps.slim.keep.params: no widths in multiples of 16 are smaller than those of the network; "
        "ask for a smaller round_to"
    )
    # Of 14,787 parameters, 8 channels less between two convolutions of a block are 2 * 8 * 16 * 9 + 2 * 8 = 2,320 less,
    # and in the last stream 8 * 16 * 9 + 2 * 8, 8 * 16 + 8 of the shortcut and 8 * 3 of the last layer: 1,328 less.
    assert refused([16, 16, 16], 0.88, 8) == (
        "steps.slim.keep.params: no widths in multiples of 8 keep 0.88 of the params within 0.02; the nearest shares "
        "are 0.843 below and 0.910 above; ask for one of these or for a smaller round_to"
    )
    assert "are 0.910 below and all of it above; ask for that" in refused([16, 16, 16], 0.96, 8)
    assert "are none below and 0.258 above; ask for that" in refused([16, 16, 16], 0.02, 8)


def test_bn_without_batch_norms_is_refused_before_training(tmp_path: Path) -> None:
    plain = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3))
    with pytest.raises(InputError, match=r"steps\.toy\.importance: 'bn' reads batch norms"):
        STAGE.untrained(spec(importance="bn"), {"from": plain}, toy_context(tmp_path))  # type: ignore[misc]


def test_a_network_without_anything_to_remove_is_refused(tmp_path: Path) -> None:
    only = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    with pytest.raises(InputError, match=r"steps\.toy\.from: no channel"):
        STAGE.untrained(spec(), {"from": only}, toy_context(tmp_path))  # type: ignore[misc]


def test_a_pruned_network_can_be_pruned_again(tmp_path: Path) -> None:
    before = toy_artifact(tmp_path / "before", "resnet8")
    STAGE.run(spec(keep={"macs": 0.7}), {"from": before}, toy_context(tmp_path / "once"))
    once = type(before)("once", "model", "prune", tmp_path / "once/out")
    facts = STAGE.run(spec(keep={"macs": 0.6}, round_to=1), {"from": once}, toy_context(tmp_path / "twice"))
    assert facts["kept"]["macs"] == pytest.approx(0.6, abs=0.02)
    twice = network.read(tmp_path / "twice/out")
    assert twice(torch.zeros(2, 1, 8, 8)).shape == (2, 3)


@pytest.mark.parametrize("keep", [{}, {"macs": 0.5, "params": 0.5}, {"macs": 0}, {"macs": 1}, {"flops": 0.5}])
def test_keep_is_one_share(keep: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        spec(keep=keep)


def test_options_without_effect_are_named() -> None:
    def named(**changes: Any) -> set[str]:
        return {name for name, _ in spec(epochs=3, **changes).ineffective()}

    assert named() == {"temperature", "alpha", "method"}
    assert named(teacher="t") == set()
    assert named(teacher="t", alpha=1) == {"teacher", "temperature", "method"}
    assert named(teacher="t", alpha=0) == set()
    assert named(teacher="t", alpha=0, label_smoothing=0.1) == {"label_smoothing"}
    with pytest.raises(ValidationError):
        spec(round_to=3)


FOLDED = """
import torch
from torch import nn
class Attention(nn.Module):
    def __init__(self, width=16, heads=4):
        super().__init__()
        self.heads, self.width, self.qkv = heads, width, nn.Conv2d(width, 3 * width, 1)
    def forward(self, x):
        b, _, h, w = x.shape
        y = self.qkv(x).reshape(b, 3, self.width, h, w).unbind(1)
        q, k, v = (one.reshape(b * self.heads, -1, h * w) for one in y)
        mixed = (q.transpose(1, 2) @ k).softmax(-1) @ v.transpose(1, 2)
        return mixed.transpose(1, 2).reshape(b, -1, h, w)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.down, self.attn = nn.Conv2d(1, 16, 3, 1, 1), nn.Conv2d(16, 16, 1), Attention()
        self.norm, self.up = nn.BatchNorm2d(16), nn.Conv2d(16, 16, 1)
        self.last, self.fc = nn.Conv2d(16, 16, 3, 1, 1), nn.Linear(16, 3)
    def forward(self, x):
        x = self.stem(x).relu()
        x = x + self.up(self.norm(self.attn(self.down(x))).relu())
        return self.fc(self.last(x).relu().mean((2, 3)))
"""


def test_layers_whose_channels_cannot_be_followed_are_named_and_stay(tmp_path: Path) -> None:
    from compressor.models import factories
    from compressor.store.artifact import Artifact

    (tmp_path / "folded.py").write_text(FOLDED)
    (tmp_path / "before").mkdir()
    made = factories.from_factory("folded:Net", {}, tmp_path)
    network.save(tmp_path / "before", made, {"factory": "folded:Net"}, 3, (1, 8, 8))
    context = toy_context(tmp_path)
    before = Artifact("key", "model", "load", tmp_path / "before")
    facts = STAGE.run(spec(keep={"macs": 0.6}, round_to=1), {"from": before}, context)
    said = "what goes with the channels of attn.qkv could not be followed; they all stay"
    assert said in context.progress.lines  # type: ignore[attr-defined]
    assert facts["left_whole"] == "attn.qkv"
    assert facts["widths"]["attn.qkv"] == [48, 48]
    assert facts["widths"]["last"][1] < 16
