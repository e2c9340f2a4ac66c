import json
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from compressor.errors import IntegrityError, ResourceError, StepError
from compressor.store import digests as digests_room
from compressor.store.digests import Digests
from compressor.store.keys import digest
from compressor.store.store import Store, default_root

KEY = digest("a step")
OTHER = digest("another step")


def put(store, key=KEY, data=b"weights", *, replace=False, facts=None, record=None):
    """Commit an artifact of two files, one in a subfolder."""
    folder = store.staging(key)
    (folder / "weights.safetensors").write_bytes(data)
    (folder / "bundle").mkdir()
    (folder / "bundle" / "model.onnx").write_bytes(b"graph")
    return store.commit(
        key, folder, kind="model", stage="finetune", settings={"epochs": 2}, inputs={"from": OTHER},
        facts=facts or {"precision": "float32"}, record=record or {"seconds": 1.5}, replace=replace,
    )  # fmt: skip


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", rebuild=lambda key: "compress run x.yaml --fresh student")


def names(folder: Path) -> list[str]:
    return sorted(one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file())


def test_what_was_committed_is_found_and_opened(store):
    assert store.find(KEY) is None
    put(store)
    for artifact in (store.find(KEY), store.open(KEY)):
        assert (artifact.key, artifact.kind, artifact.stage) == (KEY, "model", "finetune")
        assert artifact.facts == {"precision": "float32"}
        assert artifact.record == {"seconds": 1.5}
        assert artifact.file("weights.safetensors").read_bytes() == b"weights"
    manifest = store.manifest(KEY)
    assert manifest.inputs == {"from": OTHER}
    assert manifest.settings == {"epochs": 2}
    graph = Digests(None).file(artifact.file("bundle/model.onnx"))
    assert manifest.files["bundle/model.onnx"] == {"sha256": graph, "bytes": 5}


def test_layout(store, tmp_path):
    put(store)
    assert names(tmp_path / "store" / "artifacts") == [
        f"{KEY[:2]}/{KEY}/{name}" for name in ("artifact.json", "bundle/model.onnx", "weights.safetensors")
    ]
    entry = json.loads((store.folder(KEY) / "artifact.json").read_text())
    assert {"kind", "stage", "settings", "inputs", "files"} <= set(entry)


def test_reading_makes_nothing(tmp_path):
    store = Store(tmp_path / "store")
    assert store.find(KEY) is None
    assert store.previous("x/y") is None
    assert store.interrupted(KEY) is None
    assert store.list() == ()
    assert store.clean(timedelta(0)).rows == ()
    assert not (tmp_path / "store").exists()


def swap_for_link(path):
    """Put a link in the place of a file or folder, to its bytes elsewhere."""
    aside = path.rename(path.parents[1] / f"{path.name}.aside")
    path.symlink_to(aside)


DAMAGES = {
    "cut short": lambda f: (f / "weights.safetensors").write_bytes(b"wei"),
    "altered": lambda f: (f / "weights.safetensors").write_bytes(b"weightz"),
    "altered below": lambda f: (f / "bundle" / "model.onnx").write_bytes(b"Graph"),
    "missing": lambda f: (f / "weights.safetensors").unlink(),
    "too many": lambda f: (f / "bundle" / "run.py").write_text("import os"),
    "link": lambda f: swap_for_link(f / "weights.safetensors"),
    "linked folder": lambda f: swap_for_link(f / "bundle"),
    "pipe": lambda f: os.mkfifo(f / "pipe"),
}
SAYS = {
    "cut short": "weights.safetensors: has 3 bytes where 7 were written",
    "altered": "weights.safetensors: was altered after it was written",
    "altered below": "bundle/model.onnx: was altered after it was written",
    "missing": "weights.safetensors: is missing from this artifact",
    "too many": "bundle/run.py: was not written by the step that made this artifact",
    "link": "weights.safetensors: is a symbolic link, which no artifact has",
    "linked folder": "bundle: is a symbolic link, which no artifact has",
    "pipe": "pipe: is not a plain file",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_with_the_command_that_rebuilds(store, damage):
    folder = put(store).folder
    DAMAGES[damage](folder)
    before = names(folder)
    with pytest.raises(IntegrityError) as caught:
        store.open(KEY)
    todo = "build it again with `compress run x.yaml --fresh student`"
    assert caught.value.sentence() == f"{folder}/{SAYS[damage]}; {todo}"
    assert names(folder) == before
    assert store.find(KEY) is not None


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_even_when_the_digests_were_remembered(store, damage, monkeypatch):
    folder = put(store).folder
    monkeypatch.setattr(store, "digests", Digests(store.root / "digests", clock=lambda: time.time_ns() + 10**13))
    store.open(KEY)
    marks = {name: (folder / name).stat() for name in ("weights.safetensors", "bundle/model.onnx")}
    DAMAGES[damage](folder)
    for name, mark in marks.items():
        if (folder / name).exists():
            os.utime(folder / name, ns=(mark.st_atime_ns, mark.st_mtime_ns))
    with pytest.raises(IntegrityError):
        store.open(KEY)


def test_an_unchanged_artifact_is_not_hashed_again(store, monkeypatch):
    put(store)
    store.digests = Digests(store.root / "digests", clock=lambda: time.time_ns() + 10**13)
    store.open(KEY)
    monkeypatch.setattr(digests_room.hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
    store.open(KEY)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is cut short or no manifest"),
        ("[]", "is cut short or no manifest"),
        ('{"key": 1}', "is cut short or no manifest"),
        (None, "is missing from this artifact"),
        (b"\xff\xfe", "is not what was written"),
    ],
)
def test_damaged_manifest_is_named_by_find(store, text, said):
    path = put(store).folder / "artifact.json"
    path.unlink()
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(IntegrityError, match=f"artifact.json: {said}.*`compress run y.yaml --fresh slim`"):
        store.find(KEY, "compress run y.yaml --fresh slim")


def test_altered_manifest_is_found(store):
    path = put(store).folder / "artifact.json"
    path.write_text(path.read_text().replace('"float32"', '"float64"'))
    with pytest.raises(IntegrityError, match="was altered after it was written"):
        store.find(KEY)


def test_artifact_under_another_key_is_found(store):
    put(store).folder.rename(store.folder(KEY).with_name(KEY[:2] + OTHER[2:]))
    with pytest.raises(IntegrityError, match="belongs to another key"):
        store.find(KEY[:2] + OTHER[2:])


def test_opening_what_is_not_there_is_said(store):
    with pytest.raises(ResourceError, match="is not in the store any more; build it again with"):
        store.open(KEY)


def test_equal_bytes_keep_the_old_artifact(store):
    first = put(store, record={"seconds": 1.0})
    again = put(store, record={"seconds": 2.0})
    assert again.record == first.record == {"seconds": 1.0}
    assert names(store.root / "work") == []


def test_other_bytes_are_refused_and_the_old_stay(store):
    folder = put(store).folder
    with pytest.raises(IntegrityError) as caught:
        put(store, data=b"others!")
    assert caught.value.where == str(folder)
    assert caught.value.what == "made again it came out different (weights.safetensors)"
    assert (folder / "weights.safetensors").read_bytes() == b"weights"
    store.open(KEY)


def test_other_facts_are_refused(store):
    put(store)
    with pytest.raises(IntegrityError, match=r"different \(fact precision\)"):
        put(store, facts={"precision": "bfloat16"})


def test_another_number_of_threads_is_named_as_the_likely_cause(store):
    put(store, record={"threads": 2})
    with pytest.raises(IntegrityError, match="made with 2 threads, this one with 4: use as many"):
        put(store, data=b"others!", record={"threads": 4})


def test_replace_takes_other_bytes(store):
    put(store)
    put(store, data=b"others!", replace=True)
    assert store.open(KEY).file("weights.safetensors").read_bytes() == b"others!"
    assert [one.name for one in store.folder(KEY).parent.iterdir()] == [KEY]


@pytest.mark.parametrize("damage", ["cut short", "too many", "manifest"])
def test_a_damaged_artifact_makes_way_and_is_kept(store, damage):
    folder = put(store).folder
    DAMAGES.get(damage, lambda f: (f / "artifact.json").write_text("{"))(folder)
    damaged = names(folder)
    put(store)
    store.open(KEY)
    assert names(folder.with_name(f"{KEY}.damaged")) == damaged
    assert store.clean().leftovers == 1
    assert not folder.with_name(f"{KEY}.damaged").exists()


def test_checkpoints_go_when_the_artifact_is_there(store):
    checkpoint = store.work(KEY) / "epoch.safetensors"
    checkpoint.write_bytes(b"x")
    saved = time.mktime((2026, 11, 22, 12, 30, 59, 0, 0, -1))
    os.utime(checkpoint, (saved, saved))
    assert store.interrupted(KEY) == "2026-11-22 12:30"
    put(store)
    assert store.interrupted(KEY) is None
    assert not (store.root / "work" / KEY).exists()


def test_empty_work_is_not_interrupted_work_and_work_can_be_cleared(store):
    folder = store.work(KEY)
    assert store.interrupted(KEY) is None
    (folder / "epoch").write_text("1")
    store.clear_work(KEY)
    store.clear_work(KEY)
    assert not folder.exists()


def test_a_stage_that_leaves_a_link_is_stopped(store, tmp_path):
    folder = store.staging(KEY)
    (folder / "weights").symlink_to(tmp_path)
    with pytest.raises(StepError, match="is a symbolic link"):
        store.commit(KEY, folder, kind="model", stage="x", settings={}, inputs={}, facts={}, record={})
    assert store.find(KEY) is None


def test_staging_folders_are_their_own_and_readable_by_others(store):
    first, second = store.staging(KEY), store.staging(KEY)
    assert first != second
    assert first.stat().st_dev == store.root.stat().st_dev
    umask = os.umask(0)
    os.umask(umask)
    assert first.stat().st_mode & 0o777 == 0o777 & ~umask


def test_what_a_slot_had_is_remembered(store):
    assert store.previous("digits/student") is None
    store.remember("digits/student", KEY, {"settings": {"temperature": 4.0}})
    store.remember("digits/teacher", OTHER, {})
    store.remember("digits/student", OTHER, {"settings": {"temperature": 6.0}})
    assert store.previous("digits/student") == (OTHER, {"settings": {"temperature": 6.0}})


def test_root_is_the_argument_or_the_variable_or_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPRESS_STORE", str(tmp_path / "named"))
    assert Store(tmp_path / "given").root == tmp_path / "given"
    assert Store().root == tmp_path / "named"
    monkeypatch.setenv("COMPRESS_STORE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert default_root().name == "compressor"


def test_a_file_where_the_store_should_be(tmp_path):
    (tmp_path / "store").write_text("")
    store = Store(tmp_path / "store")
    uses = {
        "work": lambda: store.work(KEY),
        "staging": lambda: store.staging(KEY),
        "hold": lambda: store.hold(KEY).__enter__(),
    }
    for use in uses.values():
        with pytest.raises(ResourceError, match="something else stands where it was expected"):
            use()


def test_only_real_keys(store):
    with pytest.raises(ValueError, match="not a step key"):
        store.find("../../etc")


def test_facts_that_are_no_numbers_never_get_in(store):
    with pytest.raises(ValueError, match="JSON"):
        put(store, facts={"loss": float("nan")})
    assert store.find(KEY) is None
