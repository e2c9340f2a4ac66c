"""The working half: splits, batches that resume, losses by hand, and pictures of the user's own."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from compressor.device.pictures import decode
from compressor.device.preprocess import prepare
from compressor.errors import InputError
from compressor.problem.batch import Batch, Order, only
from compressor.problem.task import Form, Task
from compressor.tasks.classification_metrics.accuracy import METRIC as ACCURACY
from compressor.tasks.image_classification import ImageClassificationSpec

SMALL = [{"resize": {"shortest": 8}}, {"center_crop": [8, 8]}, {"scale": 255}]


class Digests:
    def file(self, path: Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def files(self, folder: Path, names: Iterable[str]) -> dict[str, str]:
        return {name: self.file(folder / name) for name in names}


def task(base: Path = Path(), *, smoke: bool = False, declared: Any = None, **settings: Any) -> Any:
    spec = ImageClassificationSpec.model_validate({"data": "digits", **settings})
    return spec.make(base, smoke=smoke, declared=declared, digests=Digests())


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

    assert made.facts.preprocess == [{"bits": bits}, {"channels": "rgb"}, {"scale": 255}]
    assert any(one.startswith(note) for one in made.facts.notes)
    assert made.show("test", 8).pixels.max() == seen
    given = task(tmp_path, data={"folder": "pets"}, preprocess=[{"bits": 16}, {"channels": "rgb"}])
    assert given.show("test", 8).pixels.max() == largest >> 8


def same(one: Batch, other: Batch) -> bool:
    pairs = [(one.inputs, other.inputs), (one.targets, other.targets), ({"": one.indices}, {"": other.indices})]
    return all(torch.equal(only(a), only(b)) for a, b in pairs)


def test_sizes_and_signature(digits: Task) -> None:
    assert [digits.size(split) for split in ("train", "validation", "test")] == [1293, 144, 360]
    ((put,), (get,)) = digits.signature.inputs, digits.signature.outputs
    assert (put.name, put.dtype, put.shape, put.layout) == ("input", "float32", (1, 8, 8), "NCHW")
    assert (get.name, get.dtype, get.shape) == ("logits", "float32", (10,))
    assert digits.facts.unseen is None
    assert next(iter(digits.metrics)) == "accuracy"
    assert len(digits.facts.labels) == 10


def test_no_sample_is_in_two_splits(digits: Any) -> None:
    seen = [
        digits.show(split, place).pixels.tobytes()
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
    assert [len(batch) for batch in batches] == [100, 100, 100, 60]
    assert torch.cat([batch.indices for batch in batches]).tolist() == list(range(360))
    assert batches[0].inputs["input"].dtype == torch.float32
    assert batches[0].targets["class"].dtype == torch.int64
    assert [len(batch) for batch in digits.batches("test", 100, drop_last=True)] == [100, 100, 100]


def test_a_shuffled_epoch_has_every_sample_once_and_follows_seed_and_epoch(digits: Task) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return torch.cat([batch.indices for batch in digits.batches("train", 200, Order(seed, epoch))]).tolist()

    assert sorted(order(0, 0)) == list(range(1293))
    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


@pytest.mark.parametrize("form", ["network", "pixels_nhwc", "pixels_nchw"])
def test_an_epoch_resumed_is_the_epoch(form: Form) -> None:
    changing = task(augment=[{"random_crop": {"padding": 1}}, "horizontal_flip", {"cutout": {"size": 2}}])
    whole = list(changing.batches("train", 256, Order(3, 2), form=form))
    np.random.seed(0)
    torch.manual_seed(5)
    for start in (1, 4):
        rest = list(changing.batches("train", 256, Order(3, 2, start), form=form))
        assert len(rest) == len(whole) - start
        assert all(map(same, rest, whole[start:]))


def test_only_training_with_a_seed_is_augmented() -> None:
    plain, changing = task(), task(augment=[{"cutout": {"size": 4}}])
    for split, order in (("train", None), ("validation", Order(1)), ("test", Order(1))):
        assert all(map(same, plain.batches(split, 400, order), changing.batches(split, 400, order)))
    assert not all(map(same, plain.batches("train", 400, Order(1)), changing.batches("train", 400, Order(1))))


def test_a_limit_without_a_seed_takes_of_every_class(digits: Task) -> None:
    (batch,) = digits.batches("train", 64, limit=40)
    assert len(batch) == 40
    assert np.bincount(batch.targets["class"].numpy(), minlength=10).min() >= 3
    assert sum(len(batch) for batch in digits.batches("train", 64, Order(1), limit=100)) == 100


def test_a_batch_larger_than_the_split_is_refused_at_once(digits: Task) -> None:
    with pytest.raises(
        InputError, match="2000 samples a batch, and the train split has 1293; use a batch_size of at most 1293"
    ):
        digits.batches("train", 2000, Order(0), drop_last=True)


def test_splits_are_the_same_whenever_they_are_made() -> None:
    assert all(map(same, task().batches("validation", 64), task().batches("validation", 64)))


def test_validation_from_test_is_marked(digits: Task) -> None:
    chosen = task(validation={"from": "test", "size": 100})
    unseen = chosen.facts.unseen
    assert (chosen.size("train"), chosen.size("validation"), chosen.size("test")) == (1437, 100, 360)
    assert unseen.sum() == 260
    assert unseen.dtype == bool
    (validation,), (test,) = chosen.batches("validation", 100), chosen.batches("test", 360)
    assert torch.equal(only(validation.inputs), only(test.inputs)[torch.from_numpy(~unseen)])


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
    assert task(declared=declared, preprocess=[{"scale": 2}]).facts.preprocess == [{"scale": 2}]
    made = task(declared=declared)
    assert made.facts.preprocess[0] == {"resize": {"shortest": 10, "interpolation": "bilinear"}}
    assert made.signature.inputs[0].shape == (3, 10, 10)
    assert task().facts.preprocess == [{"scale": 255}, {"mean": [0.3049]}, {"std": [0.3756]}]
    with pytest.raises(InputError, match="what the weights declare is not a list of ours"):
        task(declared=[{"scale": 255}, {"resize": {"shortest": 3}}])


def test_batches_are_what_a_device_prepares(digits: Any) -> None:
    (batch,) = digits.batches("validation", 200)
    sample = digits.show("validation", 17)
    prepared = prepare(decode(sample.encoded), digits.facts.preprocess)
    assert (batch.inputs["input"][17].numpy() == prepared).all()
    for form, axes in (("pixels_nhwc", (0, 1, 2)), ("pixels_nchw", (1, 2, 0))):
        (pixels,) = digits.batches("validation", 200, form=form)
        assert only(pixels.inputs).dtype == torch.uint8
        assert (only(pixels.inputs)[17].numpy().transpose(axes) == sample.pixels).all()
    assert sample.target == digits.facts.labels[int(batch.targets["class"][17])]
    for beyond in (-1, digits.size("validation")):
        with pytest.raises(IndexError, match="no sample"):
            digits.show("validation", beyond)


def test_smoke_is_small_and_has_every_class() -> None:
    small = task(smoke=True, validation={"from": "test", "size": 100})
    assert [small.size(split) for split in ("train", "validation", "test")] == [512, 64, 64]
    assert len(small.facts.unseen) == 64
    assert {int(y) for batch in small.batches("test", 64) for y in only(batch.targets)} == set(range(10))


def test_loss_by_hand(digits: Task) -> None:
    outputs = {"logits": torch.tensor([[math.log(3), 0.0], [0.0, 0.0]])}
    hard = Batch({}, {"class": torch.tensor([0, 1])}, torch.arange(2))
    expected = (-math.log(0.75) - math.log(0.5)) / 2
    found = digits.loss(outputs, hard)
    assert (found.count, found.total.item()) == (2, pytest.approx(2 * expected))
    assert found.mean.item() == pytest.approx(expected)
    soft = Batch({}, {"class": torch.tensor([[0.5, 0.5], [0.0, 1.0]])}, torch.arange(2))
    by_hand = (-(math.log(0.75) + math.log(0.25)) / 2 - math.log(0.5)) / 2
    assert digits.loss(outputs, soft).mean.item() == pytest.approx(by_hand)
    smooth = digits.loss(outputs, hard, label_smoothing=0.2).mean.item()
    assert smooth == pytest.approx((-(0.9 * math.log(0.75) + 0.1 * math.log(0.25)) - math.log(0.5)) / 2)


def test_mixup_mixes_pictures_and_labels_alike(digits: Task) -> None:
    plain = list(digits.batches("train", 200, Order(1)))
    mixed = list(digits.batches("train", 200, Order(1, mixup=0.5)))
    assert all(map(same, mixed[2:], digits.batches("train", 200, Order(1, start=2, mixup=0.5))))
    shares = [one.targets["class"] for one in mixed]
    assert torch.allclose(shares[0].sum(1), torch.ones(200))
    kept = [each.gather(1, one.targets["class"][:, None]).min() for each, one in zip(shares, plain, strict=True)]
    assert all(0 < share < 1 for share in kept)
    assert len(set(map(float, kept))) == len(kept)
    assert torch.allclose(only(mixed[0].inputs).mean(0), only(plain[0].inputs).mean(0), atol=1e-5)


def test_logits_are_a_row_a_sample(digits: Task) -> None:
    rows, targets = torch.zeros(2, 10), torch.tensor([3, 1])
    found = digits.logits({"logits": rows}, Batch({}, {"class": targets}, torch.arange(2)))
    assert found is not None
    assert (found.rows is rows, found.targets is targets, found.sample.tolist()) == (True, True, [0, 1])


@pytest.mark.parametrize(
    ("outputs", "activation", "sure"),
    [
        (np.array([[0.7, 0.3], [0.1, 0.9]]), "softmax", [0.7, 0.9]),
        (np.log([[0.7, 0.3], [0.1, 0.9]]), "log_softmax", [0.7, 0.9]),
        (np.array([[0.7, 0.6]]), "sigmoid", [0.7]),
        (np.log([[0.7, 0.6]]), "log_sigmoid", [0.7]),
        (np.array([[0.0, 0.0], [np.log(3), 0.0]]), None, [0.5, 0.75]),
    ],
)
def test_an_answer_is_as_sure_as_its_probability(
    outputs: np.ndarray, activation: str | None, sure: list[float], digits: Task
) -> None:
    found = digits.answers({"logits": outputs}, activation)
    assert [one.sure for one in found] == pytest.approx(sure)
    assert [one.text for one in found] == [digits.facts.labels[place] for place in outputs.argmax(1)]


def test_scores_and_breakdown_by_hand(digits: Task) -> None:
    outputs = {"logits": np.eye(10, dtype=np.float32)[[0, 0, 1, 2]]}
    targets = {"class": np.array([0, 1, 1, 2])}
    assert digits.metrics["accuracy"] is ACCURACY
    found = digits.breakdown(outputs, targets)
    assert found["per_class"][:2] == [
        {"name": "0", "recall": 1.0, "precision": 0.5, "support": 1},
        {"name": "1", "recall": 0.5, "precision": 1.0, "support": 2},
    ]
    assert found["per_class"][9] == {"name": "9", "recall": None, "precision": None, "support": 0}
    assert found["confusion"][1] == [1, 1, 0, 0, 0, 0, 0, 0, 0, 0]


def test_many_classes_are_told_by_the_cells_that_are_not_zero(digits: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = replace(digits.facts, labels=tuple(f"c{number}" for number in range(129)))
    monkeypatch.setattr(digits, "facts", facts)
    answers, targets = np.array([128, 0, 0, 7, 128]), np.array([128, 0, 128, 7, 128])
    outputs = np.zeros((5, 129), np.float32)
    outputs[np.arange(5), answers] = 1
    found = digits.breakdown({"logits": outputs}, {"class": targets})
    assert "confusion" not in found
    assert found["cells"] == {"targets": [0, 7, 128, 128], "answers": [0, 7, 0, 128], "counts": [1, 1, 1, 2]}
    assert found["per_class"][128] == {"name": "c128", "recall": 2 / 3, "precision": 1.0, "support": 3}
    assert found["per_class"][0] == {"name": "c0", "recall": 1.0, "precision": 0.5, "support": 1}


def test_a_folder_of_pictures(pets: Path) -> None:
    made = task(pets, data={"folder": "pets"}, preprocess=SMALL, validation=0.2)
    assert [made.size(split) for split in ("train", "validation", "test")] == [16, 4, 8]
    assert made.facts.notes[0] == "classes in order: cat, dog"
    assert made.facts.labels == ("cat", "dog")
    (batch,) = made.batches("test", 8, form="pixels_nhwc")
    assert only(batch.inputs).shape == (8, 8, 8, 3)
    assert only(batch.inputs)[:, 0, 0, 0].tolist() == [0] * 4 + [200] * 4
    shown = made.show("test", 5)
    assert shown.encoded == (pets / "pets/test/dog/1.png").read_bytes()
    assert shown.target == "dog"
    assert Image.open(io.BytesIO(shown.encoded)).size == (13, 10)


def test_a_folder_too_large_for_memory_is_the_same(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = task(pets, data={"folder": "pets"}, preprocess=SMALL, augment=["horizontal_flip"])
    monkeypatch.setattr("compressor.data.image_data.MEMORY_LIMIT", 0)
    decoded = task(pets, data={"folder": "pets"}, preprocess=SMALL, augment=["horizontal_flip"])
    assert all(map(same, kept.batches("train", 5, Order(1)), decoded.batches("train", 5, Order(1))))


def test_random_resized_crop_comes_from_the_file(pets: Path) -> None:
    made = task(pets, data={"folder": "pets"}, preprocess=SMALL, augment=["random_resized_crop", "horizontal_flip"])
    whole = list(made.batches("train", 6, Order(1, 1)))
    assert only(whole[0].inputs).shape == (6, 3, 8, 8)
    assert all(map(same, made.batches("train", 6, Order(1, 1, 2)), whole[2:]))


def test_one_heap_of_class_folders_is_split_once_and_for_all(pets: Path) -> None:
    made = task(pets, data={"folder": "pets/train", "test": 0.3}, preprocess=SMALL)
    again = task(pets, data={"folder": "pets/train", "test": 0.3}, preprocess=SMALL)
    assert (made.size("train"), made.size("validation"), made.size("test")) == (13, 1, 6)
    assert all(map(same, made.batches("test", 8), again.batches("test", 8)))


def test_a_picture_on_both_sides_is_said(pets: Path) -> None:
    (pets / "pets/test/cat/0.png").write_bytes((pets / "pets/train/cat/3.png").read_bytes())
    made = task(pets, data={"folder": "pets"}, preprocess=SMALL, validation=2)
    assert any(note.startswith("1 test pictures are also in train, byte for byte") for note in made.facts.notes)


def test_broken_pictures_stop_or_are_skipped(pets: Path) -> None:
    path = pets / "pets/train/cat/3.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match=r"3\.png' cannot be read as a picture"):
        task(pets, data={"folder": "pets"}, preprocess=SMALL)
    made = task(pets, data={"folder": "pets", "broken": "skip"}, preprocess=SMALL, validation=2)
    assert made.size("train") == 17
    assert any("1 pictures cannot be decoded" in note for note in made.facts.notes)


def test_a_file_that_goes_away_during_a_run_is_named(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = task(pets, data={"folder": "pets"}, preprocess=SMALL)
    (pets / "pets/test/dog/1.png").unlink()
    with pytest.raises(
        InputError, match=r"1\.png' cannot be read \(No such file or directory\); leave the folder alone"
    ):
        made.show("test", 5)


def test_every_file_of_metrics_is_one_and_accuracy_decides() -> None:
    from compressor import discovery
    from compressor.tasks import classification_metrics

    assert len(classification_metrics.METRICS) == len(discovery.files(classification_metrics))
    assert next(iter(classification_metrics.METRICS)) == "accuracy"
