"""The torch-free half of the task: the data's identity by parts, and what the plan can refuse."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor.errors import InputError
from compressor.tasks.image_classification import ImageClassificationSpec


class Digests:
    def file(self, path: Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def files(self, folder: Path, names: Iterable[str]) -> dict[str, str]:
        return {name: self.file(folder / name) for name in names}


def spec(**settings: Any) -> ImageClassificationSpec:
    return ImageClassificationSpec.model_validate({"data": "digits", **settings})


def parts(base: Path = Path(), declared: Any = None, **settings: Any) -> dict[str, Any]:
    found = spec(**settings).fingerprint(base, Digests(), declared)
    return {name: json.dumps(part, sort_keys=True) for name, part in found.items()}


def changed(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    return {name for name in one if one[name] != other[name]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / "pets" / part / name).mkdir(parents=True)
            for number in range(4):
                pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "pets" / part / name / f"{number}.png")
    return tmp_path / "pets"


def test_each_setting_moves_only_its_parts() -> None:
    plain = parts()
    assert set(plain) == {"train", "validation", "test", "preprocess", "augment"}
    assert changed(plain, parts()) == set()
    assert changed(plain, parts(validation=0.2)) == {"train", "validation"}
    assert changed(plain, parts(augment=["horizontal_flip"])) == {"augment"}
    assert changed(plain, parts(preprocess=[{"scale": 255}])) == {"preprocess"}


def test_validation_from_test_leaves_train_whole() -> None:
    one, other = (parts(validation={"from": "test", "size": size}) for size in (50, 60))
    assert changed(one, other) == {"validation"}
    assert json.loads(one["train"])["held_out"] is None


def test_who_declares_the_preprocessing_is_its_identity() -> None:
    declared = {"model": "timm:x", "timm": "1.0"}
    assert json.loads(parts(declared=declared)["preprocess"]) == {"declared_by": declared, "first": "channels"}
    assert parts(declared=declared, preprocess=[{"scale": 2}])["preprocess"] == '[{"scale": 2}]'


def test_the_order_of_declared_steps_counts_whatever_the_files_are_called(folder: Path) -> None:
    """A reader goes by a file's content: a transparent PNG may be called .JPG."""
    declared = {"model": "timm:x", "timm": "1.0"}
    for path in folder.rglob("*.png"):
        path.rename(path.with_suffix(".JPG"))
    found = json.loads(parts(folder.parent, declared, data={"folder": "pets"})["preprocess"])
    assert found == {"declared_by": declared, "first": "channels"}


def test_a_folder_is_its_contents_and_not_its_place(folder: Path) -> None:
    before = parts(folder.parent, data={"folder": "pets"})
    moved = folder.rename(folder.parent / "animals")
    assert changed(before, parts(folder.parent, data={"folder": "animals"})) == set()
    Image.new("RGB", (8, 8)).save(moved / "test/dog/2.png")
    assert changed(before, parts(folder.parent, data={"folder": "animals"})) == {"test"}
    assert str(folder.parent) not in str(before)


def test_one_heap_is_split_as_the_file_says(folder: Path) -> None:
    heap = {"folder": "pets/train"}
    assert changed(parts(folder.parent, data=heap), parts(folder.parent, data={**heap, "test": 0.5})) == {
        "train",
        "validation",
        "test",
    }


def test_what_needs_no_torch_is_refused_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "train/eel").mkdir()
    with pytest.raises(InputError, match=r"^task\.data\.folder: the class folder .*eel' holds no pictures"):
        parts(folder.parent, data={"folder": "pets"})
    monkeypatch.delenv("COMPRESS_DATA", raising=False)
    with pytest.raises(InputError, match=r"^task\.data\.root: is not given"):
        parts(data="cifar10")
    with pytest.raises(InputError, match=r"^task\.data: cifar10 is not whole under .*data_batch_1 is missing"):
        parts(folder.parent, data={"name": "cifar10", "root": "pets"})
    with pytest.raises(InputError, match=r"^task\.data\.root: there is no folder"):
        parts(folder.parent, data={"name": "mnist", "root": "nowhere"})


def test_a_download_is_waited_for_only_when_asked(tmp_path: Path) -> None:
    asked = spec(data={"name": "cifar10", "root": "new", "download": True})
    assert asked.needs_download(tmp_path)
    assert "to be downloaded" in str(asked.fingerprint(tmp_path, Digests()))
    assert not spec(data={"name": "cifar10", "root": "new"}).needs_download(tmp_path)
    assert not spec().needs_download(tmp_path)


def test_classes_where_they_are_known(folder: Path) -> None:
    assert spec().source(Path()).classes() == tuple("0123456789")
    assert spec(data={"folder": "pets"}).source(folder.parent).classes() == ("cat", "dog")
    assert spec(data="cifar100").source(Path()).classes() is None
    assert spec(data={"folder": "some/pets"}).data_name == "pets"
    assert spec().data_name == "digits"


def test_the_plan_needs_nothing_heavy() -> None:
    code = (
        "import sys; from pathlib import Path; from compressor.tasks.image_classification import ImageClassificationSpec as S\n"
        "heavy = {'torch', 'torchvision', 'sklearn', 'onnx', 'onnxruntime', 'timm'}\n"
        "class D:\n    file = staticmethod(str)\n"
        "s = S.model_validate({'data': 'digits', 'preprocess': [{'scale': 255}]}); s.fingerprint(Path(), D())\n"
        "print(heavy & set(sys.modules))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        == "set()"
    )


def test_libraries_that_make_something_of_the_data_are_named_by_part() -> None:
    def libraries(**settings: Any) -> dict[str, tuple[str, ...]]:
        given = {"type": "image-classification", "data": "digits", "preprocess": [{"scale": 255}], **settings}
        return dict(ImageClassificationSpec.model_validate(given).libraries())

    assert libraries()["train"] == ("numpy",)
    assert libraries()["preprocess"] == libraries()["augment"] == ()
    assert libraries(data={"folder": "x"})["test"] == ("numpy", "pillow")
    assert libraries(preprocess=[{"resize": {"shortest": 40}}, {"scale": 255}])["preprocess"] == ("pillow",)
    assert libraries(preprocess=None)["preprocess"] == ("pillow",)
    assert libraries(augment=["random_resized_crop", "trivial_augment"])["augment"] == ("pillow", "torchvision")
