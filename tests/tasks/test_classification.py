"""The working half: splits, batches that resume, losses by hand, and pictures of the user's own."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from compressor.device.pictures import decode
from compressor.device.preprocess import prepare
from compressor.errors import InputError
from compressor.problem.task import Batch, Task
from compressor.tasks import ImageClassificationSpec, make

SMALL = [{"resize": {"shortest": 8}}, {"center_crop": [8, 8]}, {"scale": 255}]


class Digests:
    def file(self, path: Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def files(self, folder: Path, names: Iterable[str]) -> dict[str, str]:
        return {name: self.file(folder / name) for name in names}


def task(base: Path = Path(), *, smoke: bool = False, declared: Any = None, seed: int = 0, **settings: Any) -> Any:
    spec = ImageClassificationSpec.model_validate({"data": "digits", **settings})
    return make(spec, base=base, seed=seed, smoke=smoke, declared=declared, digests=Digests())


@pytest.fixture(scope="module")
def digits() -> Task:
    return task()


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Two classes; every picture of one colour of its own, in sizes that differ."""
    for part, each in (("train", 10), ("test", 4)):
        for label, name in enumerate(("cat", "dog")):
            (tmp_path / "pets" / part / name).mkdir(parents=True)
            for number in range(each):
                colour = (label * 200, number * 20, 50 if part == "train" else 150)
                Image.new("RGB", (12 + number, 10), colour).save(tmp_path / "pets" / part / name / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize(
    ("largest", "bits", "seen"), [(200, 8, 200), (1000, 10, 250), (4000, 12, 250), (40_000, 16, 156)]
)
def test_pictures_of_sixteen_bits_are_scaled_by_what_they_use(
    tmp_path: Path, largest: int, bits: int, seen: int
) -> None:
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / "pets" / part / name).mkdir(parents=True)
            for number in range(5):
                shades = np.full((8, 8), largest if (part, name, number) == ("test", "dog", 3) else 100, np.uint16)
                Image.fromarray(shades).save(tmp_path / "pets" / part / name / f"{number}.png")
    made = task(tmp_path, data={"folder": "pets"}, preprocess=[{"channels": "rgb"}, {"scale": 255}])
    note = f"20 pictures have 16 bits a pixel and values up to {largest:,}: taken as {bits} bits, of which the upper 8"

    assert made.preprocess == [{"bits": bits}, {"channels": "rgb"}, {"scale": 255}]
    assert any(one.startswith(note) for one in made.notes)
    assert made.raw("test", 8).pixels.max() == seen
    given = task(tmp_path, data={"folder": "pets"}, preprocess=[{"bits": 16}, {"channels": "rgb"}])
    assert given.raw("test", 8).pixels.max() == largest >> 8


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("inputs", "targets", "indices"))


def test_sizes_and_signature(digits: Task) -> None:
    assert [digits.size(split) for split in ("train", "validation", "test")] == [1293, 144, 360]
    ((put,), (get,)) = digits.signature.inputs, digits.signature.outputs
    assert (put.name, put.dtype, put.shape, put.layout) == ("input", "float32", (1, 8, 8), "NCHW")
    assert (get.name, get.dtype, get.shape) == ("logits", "float32", (10,))
    assert digits.unseen() is None
    assert digits.metric == "accuracy"
    assert len(digits.answers) == 10


def test_no_sample_is_in_two_splits(digits: Any) -> None:
    seen = [
        digits.raw(split, place).pixels.tobytes()
        for split in ("train", "validation", "test")
        for place in range(digits.size(split))
    ]
    assert len(seen) == 1797
    whole = sorted(seen)
    assert whole == sorted(p.tobytes() for p in np.concatenate([d.pixels for d in _digits()]))


def _digits() -> list[Any]:
    from compressor.data import digits

    data = digits.load()
    return [data.train, data.test]


def test_a_plain_epoch_is_the_split_in_order(digits: Task) -> None:
    batches = list(digits.batches("test", 100))
    assert [len(batch.inputs) for batch in batches] == [100, 100, 100, 60]
    assert torch.cat([batch.indices for batch in batches]).tolist() == list(range(360))
    assert batches[0].inputs.dtype == torch.float32
    assert batches[0].targets.dtype == torch.int64
    assert [len(batch.inputs) for batch in digits.batches("test", 100, drop_last=True)] == [100, 100, 100]


def test_a_shuffled_epoch_has_every_sample_once_and_follows_seed_and_epoch(digits: Task) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return torch.cat([batch.indices for batch in digits.batches("train", 200, seed=seed, epoch=epoch)]).tolist()

    assert sorted(order(0, 0)) == list(range(1293))
    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


@pytest.mark.parametrize("pixels", [False, True])
def test_an_epoch_resumed_is_the_epoch(pixels: bool) -> None:
    changing = task(augment=[{"random_crop": {"padding": 1}}, "horizontal_flip", {"cutout": {"size": 2}}])
    whole = list(changing.batches("train", 256, seed=3, epoch=2, pixels=pixels))
    np.random.seed(0)
    torch.manual_seed(5)
    for start in (1, 4):
        rest = list(changing.batches("train", 256, seed=3, epoch=2, start=start, pixels=pixels))
        assert len(rest) == len(whole) - start
        assert all(map(same, rest, whole[start:]))


def test_only_training_with_a_seed_is_augmented() -> None:
    plain, changing = task(), task(augment=[{"cutout": {"size": 4}}])
    for split, seed in (("train", None), ("validation", 1), ("test", 1)):
        assert all(map(same, plain.batches(split, 400, seed=seed), changing.batches(split, 400, seed=seed)))
    assert not all(map(same, plain.batches("train", 400, seed=1), changing.batches("train", 400, seed=1)))


def test_a_limit_without_a_seed_takes_of_every_class(digits: Task) -> None:
    (batch,) = digits.batches("train", 64, limit=40)
    assert len(batch.targets) == 40
    assert np.bincount(batch.targets.numpy(), minlength=10).min() >= 3
    assert sum(len(batch.inputs) for batch in digits.batches("train", 64, seed=1, limit=100)) == 100


def test_a_batch_larger_than_the_split_is_refused_at_once(digits: Task) -> None:
    with pytest.raises(
        InputError, match="2000 samples a batch, and the train split has 1293; use a batch_size of at most 1293"
    ):
        digits.batches("train", 2000, seed=0, drop_last=True)


def test_splits_do_not_depend_on_the_seed() -> None:
    one, other = task(seed=0), task(seed=1)
    assert all(map(same, one.batches("validation", 64), other.batches("validation", 64)))
    assert one.fingerprint == other.fingerprint


def test_validation_from_test_is_marked(digits: Task) -> None:
    chosen = task(validation={"from": "test", "size": 100})
    unseen = chosen.unseen()
    assert (chosen.size("train"), chosen.size("validation"), chosen.size("test")) == (1437, 100, 360)
    assert unseen.sum() == 260
    assert unseen.dtype == bool
    (validation,), (test,) = chosen.batches("validation", 100), chosen.batches("test", 360)
    assert torch.equal(validation.inputs, test.inputs[torch.from_numpy(~unseen)])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"validation": 1437},
         "task.validation: 1437 is 1,437 of 1,437 samples, which leaves none; "
         "use a share, or a count below 1,437"),
        ({"preprocess": [{"mean": [0.5] * 3}, {"std": [0.5] * 3}]},
         "task.preprocess: takes 3 channels, and the pictures have 1; write task.preprocess: "
         "[channels: rgb, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]]"),
        ({"preprocess": [{"center_crop": [9, 9]}]},
         "task.preprocess: center_crop: the picture is 8x8, less than 9x9; "
         "put a resize before it, or leave the step out"),
        ({"augment": [{"cutout": {"size": 9}}]},
         "task.augment: cutout: a square of 9 is larger than the picture, 8x8; use a size of at most 8"),
        ({"augment": [{"random_crop": {"padding": 8}}]},
         "task.augment: random_crop: padding of 8 can push the whole picture, 8x8, out of sight; "
         "use a padding below 8"),
        ({"augment": [{"color_jitter": {"saturation": 0.2}}]},
         "task.augment: color_jitter: saturation has no effect on grey pictures; leave it out"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_the_data(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        task(**settings)
    assert caught.value.sentence() == sentence


def test_the_file_speaks_before_the_weights_and_they_before_the_set() -> None:
    declared = [{"resize": {"shortest": 10}}, {"channels": "rgb"}, {"scale": 255.0}]
    assert task(declared=declared, preprocess=[{"scale": 2}]).preprocess == [{"scale": 2}]
    made = task(declared=declared)
    assert made.preprocess[0] == {"resize": {"shortest": 10, "interpolation": "bilinear"}}
    assert made.signature.inputs[0].shape == (3, 10, 10)
    assert task().preprocess == [{"scale": 255}, {"mean": [0.3049]}, {"std": [0.3756]}]
    with pytest.raises(InputError, match="what the weights declare is not a list of ours"):
        task(declared=[{"scale": 255}, {"resize": {"shortest": 3}}])


def test_batches_are_what_a_device_prepares(digits: Any) -> None:
    (batch,) = digits.batches("validation", 200)
    sample = digits.raw("validation", 17)
    assert (batch.inputs[17].numpy() == prepare(decode(sample.encoded), digits.preprocess)).all()
    (pixels,) = digits.batches("validation", 200, pixels=True)
    assert pixels.inputs.dtype == torch.uint8
    assert (pixels.inputs[17].numpy() == sample.pixels).all()
    assert sample.target == int(batch.targets[17])
    for beyond in (-1, digits.size("validation")):
        with pytest.raises(IndexError, match="no sample"):
            digits.raw("validation", beyond)


def test_smoke_is_small_and_has_every_class() -> None:
    small = task(smoke=True, validation={"from": "test", "size": 100})
    assert [small.size(split) for split in ("train", "validation", "test")] == [512, 64, 64]
    assert len(small.unseen()) == 64
    assert {int(y) for batch in small.batches("test", 64) for y in batch.targets} == set(range(10))


def test_loss_by_hand(digits: Task) -> None:
    outputs = torch.tensor([[math.log(3), 0.0], [0.0, 0.0]])
    hard = Batch(outputs, torch.tensor([0, 1]), torch.arange(2))
    expected = (-math.log(0.75) - math.log(0.5)) / 2
    assert digits.loss(outputs, hard).item() == pytest.approx(expected)
    soft = Batch(outputs, torch.tensor([[0.5, 0.5], [0.0, 1.0]]), torch.arange(2))
    by_hand = (-(math.log(0.75) + math.log(0.25)) / 2 - math.log(0.5)) / 2
    assert digits.loss(outputs, soft).item() == pytest.approx(by_hand)
    smooth = digits.loss(outputs, hard, label_smoothing=0.2).item()
    assert smooth == pytest.approx((-(0.9 * math.log(0.75) + 0.1 * math.log(0.25)) - math.log(0.5)) / 2)


def test_mixup_mixes_pictures_and_labels_alike(digits: Any) -> None:
    (batch,) = digits.batches("validation", 200)
    mixed = digits.mix(batch, 0.5, seed=1, epoch=0, index=3)
    assert same(mixed, digits.mix(batch, 0.5, seed=1, epoch=0, index=3))
    assert not torch.equal(mixed.inputs, digits.mix(batch, 0.5, seed=1, epoch=0, index=4).inputs)
    assert torch.allclose(mixed.targets.sum(1), torch.ones(144))
    share = mixed.targets.gather(1, batch.targets[:, None]).min()
    assert torch.allclose(mixed.inputs.mean(0), batch.inputs.mean(0), atol=1e-5)
    assert 0 < share < 1
    assert digits.mix(batch, 0.0, seed=1, epoch=0, index=3) is batch


def test_distance_is_hintons(digits: Task) -> None:
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[2 * math.log(3), 0.0]])
    by_hand = 4 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    assert digits.distance(student, teacher, temperature=2.0).item() == pytest.approx(by_hand)


def test_scores_and_breakdown_by_hand(digits: Task) -> None:
    outputs = np.eye(10, dtype=np.float32)[[0, 0, 1, 2]]
    targets = np.array([0, 1, 1, 2])
    assert digits.answer(outputs).tolist() == [0, 0, 1, 2]
    score = digits.score(outputs, targets)["accuracy"]
    assert score.tolist() == [1, 0, 1, 1]
    assert score.dtype == np.float64
    found = digits.breakdown(outputs, targets)
    assert found["per_class"][:2] == [
        {"name": "0", "recall": 1.0, "precision": 0.5, "support": 1},
        {"name": "1", "recall": 0.5, "precision": 1.0, "support": 2},
    ]
    assert found["per_class"][9] == {"name": "9", "recall": None, "precision": None, "support": 0}
    assert found["confusion"][1] == [1, 1, 0, 0, 0, 0, 0, 0, 0, 0]


def test_many_classes_are_told_by_the_cells_that_are_not_zero(digits: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "answers", tuple(f"c{number}" for number in range(129)))
    answers, targets = np.array([128, 0, 0, 7, 128]), np.array([128, 0, 128, 7, 128])
    outputs = np.zeros((5, 129), np.float32)
    outputs[np.arange(5), answers] = 1
    found = digits.breakdown(outputs, targets)
    assert "confusion" not in found
    assert found["cells"] == {"targets": [0, 7, 128, 128], "answers": [0, 7, 0, 128], "counts": [1, 1, 1, 2]}
    assert found["per_class"][128] == {"name": "c128", "recall": 2 / 3, "precision": 1.0, "support": 3}
    assert found["per_class"][0] == {"name": "c0", "recall": 1.0, "precision": 0.5, "support": 1}


def test_a_folder_of_pictures(pets: Path) -> None:
    made = task(pets, data={"folder": "pets"}, preprocess=SMALL, validation=0.2)
    assert [made.size(split) for split in ("train", "validation", "test")] == [16, 4, 8]
    assert made.notes[0] == "classes in order: cat, dog"
    assert made.answers == ("cat", "dog")
    (batch,) = made.batches("test", 8, pixels=True)
    assert batch.inputs.shape == (8, 8, 8, 3)
    assert batch.inputs[:, 0, 0, 0].tolist() == [0] * 4 + [200] * 4
    raw = made.raw("test", 5)
    assert raw.encoded == (pets / "pets/test/dog/1.png").read_bytes()
    assert raw.target == 1
    assert Image.open(io.BytesIO(raw.encoded)).size == (13, 10)


def test_a_folder_too_large_for_memory_is_the_same(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = task(pets, data={"folder": "pets"}, preprocess=SMALL, augment=["horizontal_flip"])
    monkeypatch.setattr("compressor.data.image_data.MEMORY_LIMIT", 0)
    decoded = task(pets, data={"folder": "pets"}, preprocess=SMALL, augment=["horizontal_flip"])
    assert all(map(same, kept.batches("train", 5, seed=1), decoded.batches("train", 5, seed=1)))


def test_random_resized_crop_comes_from_the_file(pets: Path) -> None:
    made = task(pets, data={"folder": "pets"}, preprocess=SMALL, augment=["random_resized_crop", "horizontal_flip"])
    whole = list(made.batches("train", 6, seed=1, epoch=1))
    assert whole[0].inputs.shape == (6, 3, 8, 8)
    assert all(map(same, made.batches("train", 6, seed=1, epoch=1, start=2), whole[2:]))


def test_one_heap_of_class_folders_is_split_once_and_for_all(pets: Path) -> None:
    made = task(pets, data={"folder": "pets/train", "test": 0.3}, preprocess=SMALL, seed=7)
    again = task(pets, data={"folder": "pets/train", "test": 0.3}, preprocess=SMALL, seed=8)
    assert (made.size("train"), made.size("validation"), made.size("test")) == (13, 1, 6)
    assert all(map(same, made.batches("test", 8), again.batches("test", 8)))


def test_a_picture_on_both_sides_is_said(pets: Path) -> None:
    (pets / "pets/test/cat/0.png").write_bytes((pets / "pets/train/cat/3.png").read_bytes())
    made = task(pets, data={"folder": "pets"}, preprocess=SMALL, validation=2)
    assert any(note.startswith("1 test pictures are also in train, byte for byte") for note in made.notes)


def test_broken_pictures_stop_or_are_skipped(pets: Path) -> None:
    path = pets / "pets/train/cat/3.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match=r"3\.png' cannot be read as a picture"):
        task(pets, data={"folder": "pets"}, preprocess=SMALL)
    made = task(pets, data={"folder": "pets", "broken": "skip"}, preprocess=SMALL, validation=2)
    assert made.size("train") == 17
    assert any("1 pictures cannot be decoded" in note for note in made.notes)


def test_a_file_that_goes_away_during_a_run_is_named(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = task(pets, data={"folder": "pets"}, preprocess=SMALL)
    (pets / "pets/test/dog/1.png").unlink()
    with pytest.raises(
        InputError, match=r"1\.png' cannot be read \(No such file or directory\); leave the folder alone"
    ):
        made.raw("test", 5)
