import os
from datetime import timedelta

import pytest

from compressor.errors import InputError
from compressor.store.clean import clean
from compressor.store.keys import digest
from compressor.store.store import Store

DAY = 86_400.0
NOW = 1_700_000_000.0


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", wait_seconds=0)


def put(store, name, days_ago, size=1000):
    """An artifact of `size` bytes, last used so long before NOW."""
    key = digest(name)
    folder = store.staging(key)
    (folder / "weights").write_bytes(b"x" * size)
    record = {"pipeline": "digits", "step": name, "created": "2026-01-01T00:00:00+00:00"}
    made = store.commit(key, folder, kind="model", stage="finetune", settings={}, inputs={}, facts={}, record=record)
    os.utime(made.file("artifact.json"), (0, NOW - days_ago * DAY))
    return key


def left(store):
    return [row.step for row in store.list()]


def test_list_has_the_last_used_first(store):
    key = put(store, "old", 9)
    put(store, "new", 1)
    put(store, "middle", 5)
    assert left(store) == ["digits/new", "digits/middle", "digits/old"]
    row = store.list()[-1]
    assert (row.key, row.kind, row.stage, row.bytes, row.used) == (key, "model", "finetune", 1000, NOW - 9 * DAY)
    store.open(key)
    assert left(store)[0] == "digits/old"


def test_a_store_copied_without_its_work_folder_can_be_cleaned(store):
    put(store, "a", 1)
    (store.root / "work").rmdir()
    assert len(store.clean(max_size=0).rows) == 1


def test_what_was_not_used_for_so_long_goes(store):
    for name, days in (("a", 29.9), ("b", 30.1), ("c", 300)):
        put(store, name, days)
    freed = clean(store.root, store.wait_seconds, timedelta(days=30), None, NOW)
    assert [row.step for row in freed.rows] == ["digits/c", "digits/b"]
    assert (freed.bytes, freed.bytes_left) == (2000, 1000)
    assert left(store) == ["digits/a"]
    assert store.find(digest("b")) is None


@pytest.mark.parametrize(
    ("max_size", "stay"), [(3000, ["c", "b", "a"]), (2999, ["c", "b"]), (1000, ["c"]), (999, []), (0, [])]
)
def test_the_least_recently_used_go_until_the_rest_fits(store, max_size, stay):
    for days, name in enumerate("cba"):
        put(store, name, days)
    freed = clean(store.root, store.wait_seconds, None, max_size, NOW)
    assert left(store) == [f"digits/{name}" for name in stay]
    assert freed.bytes_left == 1000 * len(stay)


def test_both_limits_together(store):
    for days, name in ((1, "a"), (2, "b"), (40, "c")):
        put(store, name, days)
    clean(store.root, store.wait_seconds, timedelta(days=30), 1500, NOW)
    assert left(store) == ["digits/a"]


def test_what_a_process_at_work_needs_stays(store):
    teacher, held = put(store, "teacher", 40), put(store, "held", 40)
    put(store, "other", 40)
    with store.hold(held, needs=[teacher]):
        freed = clean(store.root, store.wait_seconds, timedelta(days=30), None, NOW)
    assert sorted(left(store)) == ["digits/held", "digits/teacher"]
    assert {row.step for row in freed.spared} == {"digits/held", "digits/teacher"}
    assert freed.bytes_left == 2000


def test_interrupted_work_is_listed_and_ages(store):
    key = digest("under way")
    path = store.work(key) / "epoch.safetensors"
    path.write_bytes(b"x" * 10)
    for one in (path, path.parent):
        os.utime(one, (0, NOW - 10 * DAY))
    (row,) = store.list()
    assert (row.key, row.kind, row.bytes, row.used) == (key, "work", 10, NOW - 10 * DAY)
    assert clean(store.root, store.wait_seconds, timedelta(days=11), None, NOW).rows == ()
    assert clean(store.root, store.wait_seconds, timedelta(days=9), None, NOW).rows == (row,)
    assert store.interrupted(key) is None


def test_leftovers_go_and_what_is_in_use_stays(store):
    key = put(store, "a", 1)
    other = digest("b")
    (store.staging(other) / "half").write_text("half")
    store.work(key).joinpath("epoch").write_text("of a finished step")
    store.work(other).joinpath("epoch").write_text("of an interrupted step")
    (store.root / "work" / "trash-1-2").mkdir()
    old = store.folder(key).with_name(f"{key}.old-1-2")
    old.mkdir()
    freed = store.clean()
    assert freed.rows == ()
    assert freed.leftovers == 4
    assert sorted(one.name for one in (store.root / "work").iterdir()) == [other]
    store.open(key)


def test_a_work_folder_that_was_never_used_goes_without_a_word(store):
    store.work(digest("checked only"))
    assert (store.list(), store.clean().leftovers) == ((), 0)
    assert list((store.root / "work").iterdir()) == []


def test_a_damaged_artifact_is_listed_and_stays_until_its_time(store):
    key = put(store, "a", 1)
    (store.folder(key) / "artifact.json").write_text("{")
    (row,) = store.list()
    assert (row.key, row.kind, row.bytes) == (key, "damaged", 1001)
    assert store.clean().rows == ()
    assert store.folder(key).exists()
    assert [row.key for row in store.clean(max_size=0).rows] == [key]


def test_digests_of_files_that_are_gone_are_forgotten(store, tmp_path):
    store.digests = type(store.digests)(store.root / "digests", clock=lambda: 10**19)
    for name in ("kept", "gone"):
        (tmp_path / name).write_text(name)
        store.digests.file(tmp_path / name)
    (tmp_path / "gone").unlink()
    store.clean()
    assert len(list((store.root / "digests").iterdir())) == 1


def test_only_one_process_cleans(store):
    from compressor.errors import ResourceError
    from compressor.store import locks

    put(store, "a", 1)
    lock = locks.held(store.root / "lock", what="the store", wait_seconds=0, waiting=None)
    with lock, pytest.raises(ResourceError, match="is held by process"):
        store.clean(max_size=0)
    assert left(store) == ["digits/a"]


class TestCommands:
    """What `compress store` prints."""

    def test_list(self, store, capsys):
        from compressor.cli import store_commands

        store_commands.show(store.root)
        assert capsys.readouterr().out == f"the store is empty\n0 B in {store.root}\n"
        put(store, "student", 40, size=1_234_567)
        store_commands.show(store.root)
        head, row, total = capsys.readouterr().out.splitlines()
        assert head.split() == ["KEY", "WHAT", "STEP", "SIZE", "USED"]
        assert row.split()[:5] == [digest("student")[:12], "finetune", "digits/student", "1.23", "MB"]
        assert row.endswith("days ago")
        assert total == f"1.23 MB in {store.root}"

    def test_clean(self, store, capsys):
        from compressor.cli import store_commands

        put(store, "a", 40)
        put(store, "b", 50)
        store_commands.clean(store.root, older_than=None, max_size="1KB")
        assert capsys.readouterr().out == f"removed 1 artifact, 1.00 KB; 1.00 KB left in {store.root}\n"
        store_commands.clean(store.root, older_than="30d", max_size=None)
        assert capsys.readouterr().out == f"removed 1 artifact, 1.00 KB; 0 B left in {store.root}\n"
        store_commands.clean(store.root, older_than="30d", max_size="5GB")
        assert capsys.readouterr().out == f"removed nothing, 0 B; 0 B left in {store.root}\n"

    def test_a_file_is_no_store(self, tmp_path):
        from compressor.cli import store_commands

        (tmp_path / "file").write_text("mine")
        with pytest.raises(InputError, match="file: is a file, and a store is a folder; name another with --store"):
            store_commands.show(tmp_path / "file")
        with pytest.raises(InputError, match="is a file"):
            store_commands.clean(tmp_path / "file", older_than=None, max_size="1GB")

    @pytest.mark.parametrize(
        ("text", "seconds"), [("45m", 2700), ("12h", 43_200), ("30d", 2_592_000), ("2w", 1_209_600), ("1.5d", 129_600)]
    )
    def test_duration(self, text, seconds):
        from compressor.cli.store_commands import duration

        assert duration(text) == timedelta(seconds=seconds)

    @pytest.mark.parametrize(
        ("text", "count"), [("500", 500), ("5GB", 5 * 10**9), ("2 GiB", 2**31), ("1.5mb", 1_500_000), ("0", 0)]
    )
    def test_size(self, text, count):
        from compressor.cli.store_commands import size

        assert size(text) == count

    @pytest.mark.parametrize("text", ["", "30", "d", "-3d", "3 years", "9" * 400 + "d"])
    def test_no_duration(self, text):
        from compressor.cli.store_commands import duration

        with pytest.raises(InputError, match="--older-than: "):
            duration(text)

    @pytest.mark.parametrize("text", ["", "GB", "-3GB", "5 XB", "5IB", "5 gigabytes"])
    def test_no_size(self, text):
        from compressor.cli.store_commands import size

        with pytest.raises(InputError, match=r"--max-size: .* is no size"):
            size(text)
