"""The data sets that torchvision knows by name, read through its classes. Nothing is downloaded unasked."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compressor.errors import InputError, unspelled

if TYPE_CHECKING:
    import numpy as np

    from compressor.data.pictures import DataSet

VARIABLE = "COMPRESS_DATA"


@dataclass(frozen=True)
class NamedSet:
    """One of torchvision's sets: its class there, the folder and files it reads below the root, and our default.

    split: its class asks for a `split` instead of `train`, and has `labels` beside pictures with channels first.
    """

    torchvision: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    size: tuple[int, int]
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...] | None
    split: bool = False

    @property
    def preprocess(self) -> tuple[dict[str, Any], ...]:
        """The task's own default: to 0..1, then the mean and standard deviation of the training pixels."""
        return ({"scale": 255}, {"mean": list(self.mean)}, {"std": list(self.std)})


def _idx(folder: str, torchvision: str, mean: float, std: float, classes: tuple[str, ...]) -> NamedSet:
    train, test = (
        tuple(f"{part}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")) for part in ("train", "t10k")
    )
    return NamedSet(torchvision, folder, train, test, (28, 28), 1, (mean,), (std,), classes)


SETS: Mapping[str, NamedSet] = {
    "cifar10": NamedSet(
        "CIFAR10", "cifar-10-batches-py", tuple(f"data_batch_{part}" for part in range(1, 6)), ("test_batch",),
        (32, 32), 3, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616),
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    ),
    "cifar100": NamedSet(
        "CIFAR100", "cifar-100-python", ("train",), ("test",),
        (32, 32), 3, (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762), None,
    ),
    "fashion_mnist": _idx(
        "FashionMNIST/raw", "FashionMNIST", 0.2860, 0.3530,
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    "kmnist": _idx(
        "KMNIST/raw", "KMNIST", 0.1918, 0.3483, ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    ),
    "mnist": _idx("MNIST/raw", "MNIST", 0.1307, 0.3081, tuple("0123456789")),
    "svhn": NamedSet(
        "SVHN", ".", ("train_32x32.mat",), ("test_32x32.mat",),
        (32, 32), 3, (0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970), tuple("0123456789"), split=True,
    ),
    "usps": NamedSet(
        "USPS", ".", ("usps.bz2",), ("usps.t.bz2",), (16, 16), 1, (0.2469,), (0.2989,), tuple("0123456789"),
    ),
}  # fmt: skip


def root_folder(base: Path, root: Path | None) -> Path:
    """Where the set lies: the file's `root`, relative to the file, else the variable COMPRESS_DATA."""
    if root is not None:
        return base / root.expanduser()
    given = os.environ.get(VARIABLE)
    if not given:
        raise InputError(
            "task.data.root", f"is not given, and {VARIABLE} is not set", f"write root: FOLDER, or set {VARIABLE} to it"
        )
    return Path(given).expanduser().absolute()


def files(name: str, root: Path) -> dict[str, list[Path]]:
    """The files of each part, `train` and `test`, whether they are there or not."""
    known = SETS[name]
    folder = root / known.folder
    return {"train": [folder / file for file in known.train], "test": [folder / file for file in known.test]}


def present(name: str, root: Path) -> bool:
    """Whether all files of a set are there."""
    return all(file.is_file() for part in files(name, root).values() for file in part)


def require(name: str, root: Path) -> None:
    """Raise an InputError that names the first file that is missing."""
    if not root.is_dir():
        if wrong := unspelled(str(root)):
            raise wrong
        raise InputError("task.data.root", f"there is no folder {str(root)!r}", _todo(name))
    for part in files(name, root).values():
        for file in part:
            if not file.is_file():
                what = f"{name} is not whole under {str(root)!r}: {file.relative_to(root)} is missing"
                raise InputError("task.data", what, _todo(name))


def _todo(name: str) -> str:
    return f"put {name} there as torchvision lays it out, or write download: true"


def fetch(name: str, root: Path) -> None:
    """Download a set with torchvision, which checks its MD5 sums. Only for a file that asked for it."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        _open(name, root, train=True, download=True)
    except InputError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        what = f"{name} could not be downloaded to {str(root)!r} ({reason})"
        raise InputError("task.data.download", what, "check the network, or put the files there by hand") from error


def load(name: str, root: Path) -> DataSet:
    """Both splits in memory, in the set's official order."""
    from compressor.data.pictures import DataSet, PixelPictures

    require(name, root)
    train, test = _open(name, root, train=True), _open(name, root, train=False)
    classes = SETS[name].classes or tuple(train.classes)
    first, last = (PixelPictures(*_arrays(part, split=SETS[name].split)) for part in (train, test))
    return DataSet(first, last, classes)


def _open(name: str, root: Path, *, train: bool, download: bool = False) -> Any:
    import torchvision.datasets

    # torchvision prints; standard output belongs to whoever reads our own.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            known = SETS[name]
            part = {"split": "train" if train else "test"} if known.split else {"train": train}
            return getattr(torchvision.datasets, known.torchvision)(root, download=download, **part)
        except Exception as error:
            if download:
                raise
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            todo = "remove the damaged files and fetch them again"
            raise InputError("task.data", f"{name} under {str(root)!r} cannot be read ({reason})", todo) from error


def _arrays(opened: Any, *, split: bool) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    pixels = np.asarray(opened.data)
    pixels = pixels.transpose(0, 2, 3, 1) if split else pixels.reshape(*pixels.shape[:3], -1)
    return np.ascontiguousarray(pixels), np.asarray(opened.labels if split else opened.targets, dtype=np.int64)
