"""One split with its geometric preprocessing done: in memory where it fits, else decoded when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from compressor.data.augment import Augmentation
from compressor.data.image_check import in_threads
from compressor.data.pictures import Pictures
from compressor.data.preprocess import changes_geometry, interpolation_of, value_of
from compressor.device.preprocess import INTERPOLATIONS, coloured, geometric


class PreparedSplit:
    """The pictures of a split as the network will see them, short of scale, mean and std.

    steps: the whole preprocessing list. shape: (height, width, channels) of every picture after it. keep: whether the
    results stay in memory once they are made.
    """

    def __init__(
        self, pictures: Pictures, steps: Sequence[Mapping[str, Any]], shape: tuple[int, int, int], *, keep: bool
    ) -> None:
        self.pictures, self.targets = pictures, pictures.targets
        self._steps, self._shape, self._keep = steps, shape, keep
        source = pictures.arrays()
        untouched = source is not None and not changes_geometry(steps) and source.shape[1:] == shape
        self._all = source if untouched else None

    def __len__(self) -> int:
        return len(self.targets)

    def pixels(self, indices: np.ndarray) -> np.ndarray:
        """uint8 [len(indices), height, width, channels] after the geometric steps."""
        if self._all is None and self._keep:
            self._all = self._made(np.arange(len(self)))
        return self._all[indices] if self._all is not None else self._made(indices)

    def augmented(self, indices: np.ndarray, augmentation: Augmentation) -> np.ndarray:
        """The same, changed at random as the augmentation says."""
        if not augmentation.cuts_source:
            return augmentation.apply(self.pixels(indices), indices)
        how = INTERPOLATIONS[interpolation_of(self._steps)]
        channels = value_of(self._steps, "channels")
        convert = [{"channels": channels}] if channels else []

        def cut(index: int) -> np.ndarray:
            image = coloured(self.pictures.picture(index), self._steps)
            small = augmentation.resized_crop(image, index, self._shape[:2], how)
            return np.asarray(geometric(small, convert))

        return augmentation.apply(np.stack(in_threads(cut, indices.tolist())), indices)

    def _made(self, indices: np.ndarray) -> np.ndarray:
        made = np.empty((len(indices), *self._shape), dtype=np.uint8)

        def fill(place: int) -> None:
            made[place] = geometric(self.pictures.picture(int(indices[place])), self._steps)

        in_threads(fill, range(len(indices)))
        return made
