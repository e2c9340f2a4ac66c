"""The layout of a folder, found out without opening a picture."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from compressor.data.class_order import natural
from compressor.data.image_folder import identity, scan
from compressor.errors import InputError


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        scan(folder)
    return caught.value.sentence()


def test_names_sort_as_people_count() -> None:
    names = ["b", "A10", "a2", "a1", "10", "9", "a"]
    assert sorted(names, key=natural) == ["9", "10", "a", "a1", "a2", "A10", "b"]


def test_train_and_test_with_pictures_in_natural_order(pictures: Path) -> None:
    for number in (10, 9):
        (pictures / f"train/dog/{number}.JPG").write_bytes(b"not opened here")
    found = scan(pictures)
    assert found.classes == ("cat", "dog")
    assert [file.name for file in found.train if file.label == 1] == [f"{n}.png" for n in range(1, 7)] + [
        "9.JPG",
        "10.JPG",
    ]
    assert found.test is not None
    assert [file.label for file in found.test] == [0, 0, 1, 1]


def test_class_folders_at_the_top_are_still_to_be_split(pictures: Path) -> None:
    found = scan(pictures / "train")
    assert found.test is None
    assert found.classes == ("cat", "dog")
    assert len(found.train) == 12


def test_a_class_that_test_lacks_keeps_its_place(pictures: Path, shoot) -> None:
    shoot("train/bee/1.png")
    found = scan(pictures)
    assert found.classes == ("bee", "cat", "dog")
    assert found.test is not None
    assert {file.label for file in found.test} == {1, 2}
    assert any("no pictures of 'bee'" in note for note in found.notes)


def test_what_is_no_picture_is_left_out_and_said(pictures: Path) -> None:
    (pictures / "train/cat/notes.txt").write_text("hello")
    (pictures / "train/cat/.DS_Store").write_text("hidden")
    for name in ("val", "unlabelled"):
        (pictures / name).mkdir()
    notes = scan(pictures).notes
    assert any("1 files" in note and "train/cat/notes.txt" in note for note in notes)
    assert any("val/ is not read" in note for note in notes)
    assert any("'unlabelled'" in note and "is not read" in note for note in notes)


def test_classes_are_in_the_order_of_imagefolder(pictures: Path, shoot) -> None:
    for name in ("2", "10", "1", "Zebra"):
        shoot(f"heap/{name}/1.png")

    assert scan(pictures / "heap").classes == ("1", "10", "2", "Zebra")
    assert scan(pictures / "heap", classes=["1", "2", "10", "Zebra"]).classes == ("1", "2", "10", "Zebra")


def test_what_systems_leave_is_no_class_and_no_picture(pictures: Path) -> None:
    for name in ("__MACOSX", "@eaDir", ".ipynb_checkpoints", "train/@eaDir", "train/cat/@eaDir"):
        (pictures / name).mkdir()
        (pictures / name / "SYNO_1.jpg").write_bytes(b"no picture")
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini", "._1.png"):
        (pictures / "train/cat" / name).write_bytes(b"no picture")
    found = scan(pictures)

    assert found.classes == ("cat", "dog")
    assert len(found.train) == 12
    assert found.notes == ()


def test_a_class_folder_that_holds_only_folders_is_refused(pictures: Path, shoot) -> None:
    shoot("nested/animals/cat/1.png"), shoot("nested/animals/dog/1.png"), shoot("nested/things/cup/1.png")

    assert refusal(pictures / "nested") == (
        f"task.data.folder: the class folder '{pictures}/nested/animals' holds only folders (cat, dog), and no picture "
        "itself; name the folder that holds the class folders, or put its pictures into it"
    )


def test_a_class_with_pictures_and_folders_has_them_all(pictures: Path, shoot) -> None:
    shoot("train/cat/more/7.png")
    assert sum(one.label == 0 for one in scan(pictures).train) == 7


@pytest.mark.parametrize("ending", ["JPG", "jfif", "gif", "TIFF", "tif", "ppm", "PGM", "pbm", "BMP", "WebP"])
def test_every_format_that_is_read_is_a_picture(pictures: Path, ending: str) -> None:
    (pictures / f"train/cat/odd.{ending}").write_bytes(b"not opened here")
    assert f"odd.{ending}" in [one.name for one in scan(pictures).train]


def test_no_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path / "gone") == (
        f"task.data.folder: there is no folder '{tmp_path}/gone'; "
        "write the folder that holds train/ and test/, or the class folders"
    )


def test_train_without_test(pictures: Path) -> None:
    shutil.rmtree(pictures / "test")
    assert "has train/ but no test/; add test/, or name the folder of class folders itself" in refusal(pictures)


def test_an_empty_class_folder(pictures: Path) -> None:
    (pictures / "train/eel").mkdir()
    assert f"the class folder '{pictures}/train/eel' holds no pictures (.jpg, .jpeg" in refusal(pictures)


def test_a_class_in_test_that_train_lacks(pictures: Path, shoot) -> None:
    shoot("test/fox/1.png")
    assert "test/ has the class 'fox', which train/ lacks (train has 'cat', 'dog'); give it a folder" in refusal(
        pictures
    )


def test_one_class_is_none(pictures: Path) -> None:
    shutil.rmtree(pictures / "train/dog")
    assert "has one class folder, 'cat'; give each of two or more classes a folder" in refusal(pictures)


def test_a_split_asked_for_in_vain_is_refused(pictures: Path) -> None:
    with pytest.raises(InputError, match="has no effect, since"):
        scan(pictures, test=0.2)


@pytest.mark.skipif(sys.platform != "linux", reason="file systems elsewhere refuse such names")
@pytest.mark.parametrize("odd", ["train/f\udce9e", "train/cat/\udce9.png", "train/cat/sub\udce9/a.png"])
def test_a_name_that_is_not_utf_8_is_refused(pictures: Path, odd: str) -> None:
    path = pictures / odd
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"not opened here") if path.suffix else path.mkdir()
    shown = odd.replace("\udce9", "\\udce9")
    assert refusal(pictures) == f"task.data.folder: the name '{pictures}/{shown}' is not UTF-8; rename it"


def test_a_folder_whose_own_name_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "\udce9").endswith("is not UTF-8; rename it")


@pytest.mark.skipif(sys.platform != "linux", reason="file systems elsewhere refuse such names")
def test_what_is_no_picture_may_have_any_name(pictures: Path) -> None:
    (pictures / "train/cat/\udce9.txt").write_text("hello")
    (note,) = scan(pictures).notes
    assert note.encode().decode().endswith("train/cat/\\udce9.txt, …")


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_link_to_nothing_is_named_or_skipped(pictures: Path) -> None:
    link = pictures / "test/cat/0.png"
    link.symlink_to(pictures / "gone.png")
    (pictures / "test/cat/good.png").symlink_to(pictures / "test/cat/1.png")
    assert refusal(pictures) == f"task.data.folder: '{link}' is a link to nothing; remove it, or write broken: skip"
    skipped = scan(pictures, skip_broken=True)
    assert skipped.test is not None
    assert [file.path.name for file in skipped.test] == ["1.png", "2.png", "good.png", "1.png", "2.png"]
    assert any("1 files" in note and "test/cat/0.png" in note for note in skipped.notes)


def test_identity_is_contents_and_names_and_no_path(pictures: Path, tmp_path: Path) -> None:
    def known(folder: Path) -> dict[Path, str]:
        return {path: str(len(path.read_bytes())) for path in folder.rglob("*.png")}

    before = identity(scan(pictures).train, known(pictures))
    moved = tmp_path / "elsewhere"
    pictures.rename(moved)
    assert identity(scan(moved).train, known(moved)) == before
    assert before[1][:2] == [0, "2.png"]
    assert str(tmp_path) not in str(before)
