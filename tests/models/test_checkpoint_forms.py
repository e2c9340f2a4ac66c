"""What lies beside a network in a file: prefixes, averages, other networks, versions, an optimizer's memory."""

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from compressor.errors import InputError
from compressor.models import checkpoints, fitting, heads
from tests.models.test_checkpoints import doubled, same, state  # noqa: F401
from tests.toy import toy_model

PREFIXES = ["net.", "backbone.", "module.encoder_q.", "model._orig_mod.", "a.b.c."]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_one_prefix_comes_off_and_what_lies_beside_is_named(
    tmp_path: Path, state: dict[str, Tensor], prefix: str
) -> None:
    held = {f"{prefix}{name}": value for name, value in state.items()} | {"criterion.weight": torch.ones(3)}
    torch.save({"state_dict": held}, tmp_path / "w.ckpt")
    said: list[str] = []
    model = toy_model()
    checkpoints.load_into(model, tmp_path / "w.ckpt", say=said.append)
    assert same(model, state)
    assert any(prefix in one for one in said)
    assert any("criterion.weight" in one for one in said)


@pytest.mark.parametrize(
    "name", ["criterion.weight", "loss_fn.pos_weight", "total_ops", "conv1.total_params", "train_acc.total", "n_averaged",
             "conv1.weight_mask"],
)  # fmt: skip
def test_what_is_no_network_is_left_aside_by_name(tmp_path: Path, state: dict[str, Tensor], name: str) -> None:
    torch.save({**state, name: torch.ones(3)}, tmp_path / "w.pth")
    said: list[str] = []
    model = toy_model()
    checkpoints.load_into(model, tmp_path / "w.pth", say=said.append)
    assert same(model, state)
    assert len(said) == 1
    assert said[0].endswith(f"as no part of the network: {name}")


@pytest.mark.parametrize("name", ["layer4.0.conv1.weight", "projector.weight", "layer1.7.loss.weight"])
def test_more_layers_are_another_architecture(state: dict[str, Tensor], name: str) -> None:
    with pytest.raises(InputError, match=rf"another architecture: 1 unexpected, the first {name} \[3\]"):
        fitting.put(toy_model(), {**state, name: torch.ones(3)}, "w")


def test_of_plain_and_averaged_weights_the_choice_is_said_and_the_other_can_be_had(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    averaged = {"n_averaged": torch.tensor(3), **{f"module.{name}": value for name, value in doubled(state).items()}}
    torch.save({"model_ema": averaged, "model": state, "epoch": 3}, tmp_path / "w.pth")
    said: list[str] = []
    model = toy_model()
    checkpoints.load_into(model, tmp_path / "w.pth", say=said.append)
    assert same(model, state)
    assert "`model` are taken; others lie at `model_ema` (write `key: model_ema`)" in said[0]
    checkpoints.load_into(model, tmp_path / "w.pth", "model_ema")
    assert same(model, doubled(state))


def test_two_networks_in_a_file_are_a_question(tmp_path: Path, state: dict[str, Tensor]) -> None:
    torch.save({"teacher": state, "student": doubled(state)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="weights at teacher and student; name the place with `key`"):
        checkpoints.read(tmp_path / "w.pth")
    model = toy_model()
    checkpoints.load_into(model, tmp_path / "w.pth", "student")
    assert same(model, doubled(state))


def test_two_networks_under_prefixes_are_said_and_a_key_chooses(tmp_path: Path, state: dict[str, Tensor]) -> None:
    held = {f"encoder_q.{name}": value for name, value in state.items()}
    held |= {f"encoder_k.{name}": value for name, value in doubled(state).items()}
    torch.save({"state_dict": held}, tmp_path / "w.pth")
    said: list[str] = []
    model = toy_model()
    checkpoints.load_into(model, tmp_path / "w.pth", say=said.append)
    assert same(model, state)
    assert "the network lies there under `encoder_k.` too" in said[0]
    checkpoints.load_into(model, tmp_path / "w.pth", "encoder_k")
    assert same(model, doubled(state))


def test_the_content_says_what_a_file_is_and_not_its_name(tmp_path: Path, state: dict[str, Tensor]) -> None:
    save_file(state, tmp_path / "w.bin")
    torch.save(state, tmp_path / "w.pth.tar")
    for name in ("w.bin", "w.pth.tar"):
        model = toy_model()
        checkpoints.load_into(model, tmp_path / name)
        assert same(model, state)
    with tarfile.open(tmp_path / "real.tar", "w") as archive:
        archive.add(tmp_path / "w.bin", "inside.bin")
    with pytest.raises(InputError, match=r"an archive of inside\.bin; unpack it"):
        checkpoints.read(tmp_path / "real.tar")
    np.savez(tmp_path / "jax.npz", a=np.ones(3))
    with pytest.raises(InputError, match=r"NumPy's archive \(\.npz\)"):
        checkpoints.read(tmp_path / "jax.npz")


class Tied(nn.Module):
    """Two names of one weight, and an answering layer that is made first."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.b.weight = self.a.weight

    def forward(self, values: Tensor) -> Tensor:
        return self.fc(self.b(self.a(values)))


@pytest.mark.parametrize("packing", ["", "bz2", "xz"])
def test_an_archive_that_was_cut_short_is_named(tmp_path: Path, packing: str) -> None:
    (tmp_path / "whole").write_bytes(torch.randn(50_000).numpy().tobytes())
    with tarfile.open(tmp_path / "all.tar", f"w:{packing}") as archive:
        for place in range(4):
            archive.add(tmp_path / "whole", f"part{place}")
    cut = (tmp_path / "all.tar").read_bytes()
    (tmp_path / "w.tar").write_bytes(cut[: len(cut) * 3 // 5])
    with pytest.raises(InputError, match=r"w\.tar: this is (an archive that ends too early|no PyTorch file)"):
        checkpoints.read(tmp_path / "w.tar")


def test_shared_weights_are_complete_under_one_name() -> None:
    wanted = Tied()
    for left in ("a.weight", "b.weight"):
        model = Tied()
        fitting.put(model, {name: value for name, value in wanted.state_dict().items() if name != left}, "w")
        assert torch.equal(model.a.weight, wanted.a.weight)
        assert model.a.weight is model.b.weight


def test_the_answering_layer_is_the_one_that_is_used_last() -> None:
    assert heads.names(Tied(), (4,)) == ["fc.weight", "fc.bias"]
    assert heads.names(Tied()) == ["b.weight", "b.bias"], "without a sample only the order is known"
    given = Tied().state_dict() | {"fc.weight": torch.ones(9, 4), "fc.bias": torch.ones(9)}
    assert fitting.put(Tied(), given, "w", new_head=True, input_shape=(4,)) == ["fc.weight", "fc.bias"]


class Versioned(nn.Module):
    """Renamed its layer in version 2, and keeps a number beside its tensors."""

    _version = 2

    def __init__(self) -> None:
        super().__init__()
        self.new, self.scale = nn.Linear(2, 2), 1.0

    def get_extra_state(self) -> dict[str, float]:
        return {"scale": self.scale}

    def set_extra_state(self, state: dict[str, float]) -> None:
        self.scale = state["scale"]

    def _load_from_state_dict(self, state: Any, prefix: str, metadata: Any, *rest: Any) -> None:
        if metadata.get("version", 1) < 2:
            for name in ("weight", "bias"):
                state[f"{prefix}new.{name}"] = state.pop(f"{prefix}old.{name}")
        super()._load_from_state_dict(state, prefix, metadata, *rest)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_networks_own_loading_sees_versions_and_extra_state(tmp_path: Path, prefix: str) -> None:
    wanted = Versioned()
    wanted.scale = 3.0
    now = nn.ModuleDict({"module": wanted}).state_dict() if prefix else wanted.state_dict()
    torch.save(now, tmp_path / "now.pth")
    torch.save({f"{prefix}old.{name}": value for name, value in wanted.new.state_dict().items()}, tmp_path / "old.pth")
    for name, scale in (("now", 3.0), ("old", 1.0)):
        model = Versioned()
        checkpoints.load_into(model, tmp_path / f"{name}.pth")
        assert torch.equal(model.new.weight, wanted.new.weight)
        assert model.scale == scale


@pytest.mark.parametrize("form", ["to_sparse", "to_sparse_csr"])
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_sparse_tensors_are_written_out(tmp_path: Path, form: str) -> None:
    layer = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    held = dict(layer.state_dict())
    held["1.weight"] = getattr(held["1.weight"], form)()
    torch.save(held, tmp_path / "w.pt")
    fresh = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    checkpoints.load_into(fresh, tmp_path / "w.pt")
    assert torch.equal(fresh[1].weight, layer[1].weight)


def test_tensors_without_numbers_are_refused_by_name(tmp_path: Path, state: dict[str, Tensor]) -> None:
    torch.save({name: value.to("meta") for name, value in state.items()}, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"w\.pt: \S+: it has a shape and no numbers"):
        checkpoints.load_into(toy_model(), tmp_path / "w.pt")


class _Raising(nn.Linear):
    def _load_from_state_dict(self, *_: Any) -> None:
        raise TypeError("from another time")


def test_loading_of_the_networks_own_that_raises_is_told() -> None:
    words = r"own loading fails on them \(TypeError: from another time\); mend its `load_state_dict`"
    with pytest.raises(InputError, match=words):
        fitting.put(_Raising(4, 3), nn.Linear(4, 3).state_dict(), "weights w.pt")


def test_what_an_optimizer_keeps_is_no_network(tmp_path: Path) -> None:
    optimizer = torch.optim.SGD(toy_model().parameters(), 0.1, momentum=0.9)
    optimizer.step()
    kept = {"optimizer": optimizer.state_dict()}
    for held in (
        optimizer.state_dict(),
        {**kept, "lr_scheduler": {"last_epoch": 3}},
        {**kept, "epoch": 5},
        {**kept, "epoch": 5, "best": torch.tensor(0.9), "args": {"lr": [0.1]}},
    ):
        torch.save(held, tmp_path / "w.pt")
        with pytest.raises(InputError, match=r"it holds what an optimizer keeps and no network"):
            checkpoints.read(tmp_path / "w.pt")
    torch.save({"epoch": 5, "loss": 0.3}, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"it holds no weights of a network \(epoch, loss\)"):
        checkpoints.read(tmp_path / "w.pt")
