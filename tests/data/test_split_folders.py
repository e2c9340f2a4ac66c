"""Which folders are splits: names as people write them, and questions where a name could be a class."""

from __future__ import annotations

from pathlib import Path

import pytest

from compressor.data.image_folder import scan
from compressor.data.split_folders import Splits, find, role_of
from compressor.errors import InputError

HERE = Path("pics")


def refusal(names: list[str], test: float | str | None = None, classes: list[str] | None = None) -> str:
    with pytest.raises(InputError) as caught:
        find(HERE, names, test, classes)
    return caught.value.sentence()


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("train", "train Train TRAIN training Training training_set Training-Set trainset train_data TrainImages trn "
                  "train2017 images_train data-train 01_train"),
        ("test", "test Test TEST testing Testing test_set testset test-images test_data tst test2017 images_test"),
        ("validation", "val Val VAL valid Valid/ validation Validation validate dev devel eval Eval evaluation "
                       "val_set validation_data val2017 hold_out holdout"),
        (None, "trainer trains tester contest value valley devil evil cat 1 training_wheels test_tube"),
    ],
)  # fmt: skip
def test_names_that_people_give_to_splits(role: str | None, names: str) -> None:
    assert {name: role_of(name) for name in names.replace("/", "").split()} == dict.fromkeys(
        names.replace("/", "").split(), role
    )


@pytest.mark.parametrize(
    "names", [("Train", "Test"), ("Training", "Testing"), ("training_set", "test_set"), ("TRAIN", "test")]
)
def test_splits_in_any_spelling(names: tuple[str, str]) -> None:
    assert find(HERE, [*names, "valid", "extra"], None, None) == Splits(
        HERE / names[0], HERE / names[1], ("extra", "valid")
    )


def test_what_all_names_begin_with_is_no_part_of_them() -> None:
    found = find(HERE, ["seg_train", "seg_test", "seg_pred"], None, None)
    assert found == Splits(HERE / "seg_train", HERE / "seg_test", ("seg_pred",))
    assert "test: imagenet_val} to test on imagenet_val/" in refusal(["imagenet_train", "imagenet_val"])
    for one, other in (
        ("train-jpg", "test-jpg"),
        ("a_b_train", "a_b_test"),
        ("Train.v2", "Test.v2"),
        ("trainA", "testA"),
    ):
        assert find(HERE, [one, other], None, None) == Splits(HERE / one, HERE / other, ())
        assert find(HERE, [one, other], None, [one, other]) is None
    assert find(HERE, ["seg_train", "seg_val"], "seg_val", None) == Splits(HERE / "seg_train", HERE / "seg_val", ())
    assert find(HERE, ["toy_train", "toy_car"], None, None) is None
    assert find(HERE, ["constrain", "contest"], None, None) is None
    assert find(HERE, ["freight_train", "bullet_train"], None, None) is None


@pytest.mark.parametrize(
    "names",
    [["trainA", "trainB", "testA", "testB"], ["cats_train", "cats_test", "dogs_train", "dogs_test"],
     ["Train cats", "Test cats", "Train dogs", "Test dogs"]],
)  # fmt: skip
def test_parts_of_sets_are_no_classes(names: list[str]) -> None:
    said = refusal(names)
    assert "which look like parts of a training set; put the class folders into one train/ and one test/" in said
    assert f"write classes: [{', '.join(sorted(names))}]" in said
    assert find(HERE, names, None, names) is None


def test_two_letters_are_splits_where_there_is_nothing_else() -> None:
    assert find(HERE, ["tr", "te"], None, None) == Splits(HERE / "tr", HERE / "te", ())
    assert find(HERE, ["TR", "va", "TS"], None, None) == Splits(HERE / "TR", HERE / "TS", ("va",))
    assert "write data: {folder: …, test: va} to test on va/" in refusal(["tr", "va"])
    assert find(HERE, ["tr", "te"], None, ["te", "tr"]) is None
    assert find(HERE, ["de", "te", "tr"], None, None) is None
    assert find(HERE, ["te", "ts"], None, None) is None


def test_folders_of_other_names_are_classes() -> None:
    assert find(HERE, ["cat", "dog", "tester"], None, None) is None


def test_train_with_val_names_the_field_that_settles_it() -> None:
    assert refusal(["train", "val"]) == (
        "task.data.folder: 'pics' has train/ and val/ but no test/; "
        "write data: {folder: …, test: val} to test on val/, or add test/"
    )
    assert find(HERE, ["train", "val"], "val", None) == Splits(HERE / "train", HERE / "val", ())
    assert find(HERE, ["Training", "Validation", "test"], "Validation", None) == Splits(
        HERE / "Training", HERE / "Validation", ("test",)
    )


def test_a_class_that_is_called_like_a_split_is_asked_for() -> None:
    assert refusal(["bus", "car", "train"]) == (
        "task.data.folder: 'pics' has train/ but no test/; add test/; "
        "if it is a class, write classes: [bus, car, train]"
    )
    assert "has Validation/ but no train/" in refusal(["cat", "dog", "Validation"])
    assert find(HERE, ["bus", "car", "train"], None, ["car", "bus", "train"]) is None


def test_two_of_one_kind_are_refused() -> None:
    assert "has both Train/ and training/, which mean the same; leave one" in refusal(["training", "Train", "test"])


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ("vaal", "holds no folder 'vaal'; did you mean val"),
        ("Validation", "holds no folder 'Validation'; did you mean val"),
        ("quiz", "holds no folder 'quiz'; write the name of a folder in it, a share, or a count"),
        ("train", "names 'train', and 'pics' has no train/ beside it; put the training pictures into one folder"),
        (0.2, "has train/ and val/ but no test/"),
    ],
)
def test_a_wrong_test(test: str | float, words: str) -> None:
    assert words in refusal(["train", "val"], test)


def test_a_share_has_no_effect_beside_a_test_folder() -> None:
    assert "'pics' has a Testing/ of its own; leave it out" in refusal(["Train", "Testing"], 0.2)


def test_a_folder_with_val_as_its_test(pictures: Path) -> None:
    (pictures / "test").rename(pictures / "val")
    found = scan(pictures, test="val")

    assert found.test is not None
    assert [file.label for file in found.test] == [0, 0, 1, 1]
    assert {file.path.parent.parent.name for file in found.test} == {"val"}
    assert found.notes == ()
