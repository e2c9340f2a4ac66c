"""Sets by name, read by torchvision's own classes from tiny real files."""

from __future__ import annotations

import gzip
import hashlib
import struct
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from compressor.data import torchvision_sets
from compressor.errors import InputError


def write_idx(path: Path, array: np.ndarray) -> None:
    """The format of MNIST's files: magic number with type and dimensions, sizes, bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for part, samples in (("train", 20), ("t10k", 10)):
        raw = tmp_path / "FashionMNIST/raw"
        write_idx(raw / f"{part}-images-idx3-ubyte", random.integers(0, 256, (samples, 28, 28), dtype=np.uint8))
        write_idx(raw / f"{part}-labels-idx1-ubyte", (np.arange(samples) % 10).astype(np.uint8))
    return tmp_path


def test_both_splits_in_the_official_order(root: Path) -> None:
    data = torchvision_sets.load("fashion_mnist", root)
    pixels = data.train.arrays()
    assert pixels is not None
    assert pixels.shape == (20, 28, 28, 1)
    assert pixels.dtype == np.uint8
    assert data.test.targets.tolist() == list(range(10))
    assert data.test.targets.dtype == np.int64
    assert data.classes[0] == "T-shirt/top"
    raw = (root / "FashionMNIST/raw/train-images-idx3-ubyte").read_bytes()[16:]
    assert pixels.tobytes() == raw


def test_the_files_that_count_are_found_without_loading_them(root: Path) -> None:
    assert torchvision_sets.present("fashion_mnist", root)
    assert not torchvision_sets.present("cifar10", root)


def test_a_missing_file_is_named(root: Path) -> None:
    (root / "FashionMNIST/raw/t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError) as caught:
        torchvision_sets.load("fashion_mnist", root)
    assert caught.value.sentence() == (
        f"task.data: fashion_mnist is not whole under '{root}': FashionMNIST/raw/t10k-labels-idx1-ubyte is missing; "
        "put fashion_mnist there as torchvision lays it out, or write download: true"
    )


def test_a_damaged_set_is_said_to_be_damaged(tmp_path: Path) -> None:
    for part in torchvision_sets.files("cifar10", tmp_path).values():
        for file in part:
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(b"not the official bytes")
    with pytest.raises(InputError, match=r"cifar10 under .* cannot be read .*; remove the damaged files"):
        torchvision_sets.load("cifar10", tmp_path)


def test_the_root_is_the_files_else_the_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESS_DATA", "/data")
    assert torchvision_sets.root_folder(tmp_path, Path("sets")) == tmp_path / "sets"
    assert torchvision_sets.root_folder(tmp_path, None) == Path("/data")
    monkeypatch.delenv("COMPRESS_DATA")
    with pytest.raises(InputError, match=r"task\.data\.root: is not given, and COMPRESS_DATA is not set; write root"):
        torchvision_sets.root_folder(tmp_path, None)


def test_a_download_that_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision.datasets

    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host\nsecond line")

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", offline)
    with pytest.raises(InputError, match=r"could not be downloaded to .* \(no route to host\); check the network"):
        torchvision_sets.fetch("cifar10", tmp_path / "new")


def test_svhn_and_usps_as_their_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import bz2

    import torchvision.datasets
    from scipy.io import savemat

    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    listed = {}
    for part in ("train", "test"):
        file = tmp_path / f"{part}_32x32.mat"
        savemat(file, {"X": pixels.transpose(1, 2, 3, 0), "y": np.arange(1, 13)[:, None] % 10 + 1})
        listed[part] = ["", file.name, hashlib.md5(file.read_bytes()).hexdigest()]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", listed)
    data = torchvision_sets.load("svhn", tmp_path)
    assert np.array_equal(data.train.arrays(), pixels)
    assert data.test.targets.tolist()[:4] == [2, 3, 4, 5]

    row = "7 " + " ".join(f"{place}:{-1 if place % 2 else 1}" for place in range(1, 257))
    for name in ("usps.bz2", "usps.t.bz2"):
        (tmp_path / name).write_bytes(bz2.compress(f"{row}\n".encode()))
    data = torchvision_sets.load("usps", tmp_path)
    found = data.train.arrays()
    assert found is not None
    assert (found.shape, found[0, 0, :2, 0].tolist(), data.train.targets.tolist()) == ((1, 16, 16, 1), [0, 255], [6])


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_a_download_by_torchvisions_own_code(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision.datasets

    published = tmp_path / "published"
    published.mkdir()
    resources = []
    for file in sorted((root / "FashionMNIST/raw").iterdir()):
        packed = gzip.compress(file.read_bytes())
        (published / f"{file.name}.gz").write_bytes(packed)
        resources.append((f"{file.name}.gz", hashlib.md5(packed).hexdigest()))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(published)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "resources", resources)
    try:
        torchvision_sets.fetch("fashion_mnist", tmp_path / "new")
    finally:
        server.shutdown()
        server.server_close()
    assert torchvision_sets.present("fashion_mnist", tmp_path / "new")
    fetched, given = (torchvision_sets.load("fashion_mnist", where) for where in (tmp_path / "new", root))
    assert np.array_equal(fetched.train.arrays(), given.train.arrays())
