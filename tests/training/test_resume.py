"""A training that was killed and goes on ends with the same bytes as one that was not."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from compressor.training import checkpoint, loop
from compressor.training.checkpoint import Position
from compressor.training.settings import TrainingFields
from tests.toy import Falling, ToyTask, toy_context, toy_model


class KilledError(Exception):
    pass


class Noisy(nn.Module):
    """A toy network with what makes resuming hard: dropout, norms, and a buffer that state dicts leave out."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = toy_model()
        self.dropout = nn.Dropout(0.3)
        self.register_buffer("seen", torch.zeros(()), persistent=False)
        self.register_buffer("grown", torch.zeros(0))

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            self.seen += 1
            if not self.grown.numel():
                self.grown = inputs.detach().float().mean((0, 2, 3))
        return self.inner(self.dropout(inputs)) + 0.001 * self.seen + self.grown.sum() * 0


def digest(model: nn.Module) -> str:
    made = hashlib.sha256()
    for name, value in checkpoint.tensors(model).items():
        made.update(name.encode() + value.detach().contiguous().numpy().tobytes())
    return made.hexdigest()


def train(folder: Path, wanted: TrainingFields, kill_at: int | None = None) -> tuple[str, list[dict[str, Any]], Any]:
    """Digest and curves of a training whose objective dies at batch `kill_at` of this process."""
    task, seen = ToyTask(), [0]

    @Falling
    def objective(model: nn.Module, batch: Any) -> Tensor:
        seen[0] += 1
        if seen[0] == kill_at:
            raise KilledError
        outputs = {"output": model(batch.inputs["input"])}
        return task.loss(outputs, batch, label_smoothing=wanted.label_smoothing).mean

    context = toy_context(folder, task)
    model = Noisy()
    curves = loop.fit(model, objective, task, wanted, context=context)
    return digest(model), curves, context.progress


VARIANTS: dict[str, dict[str, Any]] = {
    "sgd": {"ema": 0.9, "warmup_epochs": 1},
    "adamw": {"optimizer": "adamw", "mixup": 0.4, "early_stopping": 3, "clip_norm": 1.0},
    "bfloat16": {"precision": "bfloat16", "ema": 0.9, "early_stopping": 3},
    "frozen": {"freeze": ("inner.conv1",), "schedule": "onecycle", "label_smoothing": 0.1},
}


@pytest.mark.parametrize("seconds", [0.0, 3600.0], ids=["within an epoch", "between epochs"])
@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_killed_and_resumed_is_byte_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], seconds: float
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", seconds)
    wanted = TrainingFields(**{"epochs": 4, "batch_size": 16, "learning_rate": 0.02, "precision": "float32", **changes})
    whole = train(tmp_path / "whole", wanted)
    with pytest.raises(KilledError):
        train(tmp_path / "killed", wanted, kill_at=6)
    with pytest.raises(KilledError):
        train(tmp_path / "killed", wanted, kill_at=4)
    resumed = train(tmp_path / "killed", wanted)
    assert resumed[:2] == whole[:2]
    # Three batches an epoch. Five were done, then three more; or one epoch, then another.
    assert resumed[2].lines[0] == ("goes on at epoch 3, batch 3" if seconds == 0 else "goes on at epoch 3, batch 1")


def test_a_finished_training_is_only_read(tmp_path: Path) -> None:
    wanted = TrainingFields(epochs=2, batch_size=16, precision="float32", ema=0.5)
    assert train(tmp_path, wanted)[:2] == train(tmp_path, wanted, kill_at=1)[:2]


def test_another_training_starts_afresh(tmp_path: Path) -> None:
    wanted = TrainingFields(epochs=2, batch_size=16, precision="float32")
    first = train(tmp_path / "a", wanted)[0]
    train(tmp_path / "b", wanted.model_copy(update={"learning_rate": 0.01}))
    assert train(tmp_path / "b", wanted)[0] == first


def test_the_file_is_safetensors_with_a_position_and_is_never_half(tmp_path: Path) -> None:
    wanted = TrainingFields(epochs=1, batch_size=16, precision="float32", ema=0.9)
    train(tmp_path, wanted)
    (path,) = (tmp_path / "work").iterdir()
    with safe_open(path, "pt") as file:
        parts = {name.partition("/")[0] for name in file.keys()}  # noqa: SIM118
        assert set(file.metadata()) == {"position", "crc32"}
    assert parts == {"model", "optimizer", "average"}
    assert checkpoint.read(path, "another") is None
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert checkpoint.read(path, "another") is None
    assert checkpoint.read(path.with_name("none"), "another") is None


def test_a_damaged_file_is_not_believed(tmp_path: Path) -> None:
    held = {"model": {"weight": torch.ones(100)}}
    checkpoint.write(tmp_path / "x.safetensors", Position("mine"), held, sync=False)
    assert checkpoint.read(tmp_path / "x.safetensors", "mine") is not None
    content = bytearray((tmp_path / "x.safetensors").read_bytes())
    content[-200:] = bytes(200)
    (tmp_path / "x.safetensors").write_bytes(content)
    assert checkpoint.read(tmp_path / "x.safetensors", "mine") is None


def test_position_and_tensors_come_back_exactly(tmp_path: Path) -> None:
    position = Position("mine", 3, 2, 0.1 + 0.2, 48, [{"epoch": 1, "loss": 1 / 3}], 0.7, 1, True)
    held = {"model": {"a.b": torch.tensor([1.0, -0.0, 1e-40])}, "optimizer": {"a.b|step": torch.tensor(3.0)}}
    checkpoint.write(tmp_path / "x.safetensors", position, held)
    found = checkpoint.read(tmp_path / "x.safetensors", "mine")
    assert found is not None
    assert found[0] == position
    assert torch.equal(found[1]["model"]["a.b"], held["model"]["a.b"])
    assert found[1]["optimizer"]["a.b|step"].item() == 3


ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import sys
from pathlib import Path
from compressor.training.settings import TrainingFields
from compressor.training import loop
from tests.training.test_resume import train
loop.CHECKPOINT_SECONDS = 0
print(train(Path(sys.argv[1]), TrainingFields(epochs=16, batch_size=16, learning_rate=0.02, precision="float32"))[0])
"""


def test_sigkill_at_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 3600.0)
    torch.set_num_threads(1)
    wanted = TrainingFields(epochs=16, batch_size=16, learning_rate=0.02, precision="float32")
    whole = train(tmp_path / "whole", wanted)[0]
    command = [sys.executable, "-c", CHILD, str(tmp_path / "killed")]
    environment = {**os.environ, "PYTHONPATH": ".", "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL)
    path = tmp_path / "killed/work/train.safetensors"
    while not path.exists() and child.poll() is None:
        time.sleep(0.01)
    time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert path.exists()
    assert train(tmp_path / "killed", wanted)[0] == whole
