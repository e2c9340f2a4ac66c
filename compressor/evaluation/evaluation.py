"""One model as onnxruntime runs it: the artifact of an evaluation, with its one writer and its one reader."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zipfile import BadZipFile

from pydantic import ConfigDict, Field, ValidationError

from compressor.errors import IntegrityError
from compressor.evaluation.record import Record
from compressor.models.answer_kinds import Kind

if TYPE_CHECKING:
    import numpy as np

    from compressor.problem.metric import Metric

FACTS, PREDICTIONS = "evaluation.json", "predictions.npz"
AGAIN = "run the step again with --fresh"

Precision = Literal["float32", "int8", "mixed"]


class Parity(Record):
    """How near a graph comes to what it was made from."""

    max_abs: float | None = None
    max_rel: float | None = None
    cosine: float | None = None
    sqnr_db: float | None = None
    same_answers: float | None = None
    n: int | None = None


class Bits(Record):
    """Whether every CPU gives the same bits. because: the kinds of operators without proof, as `layer_norm (float)`."""

    proven: bool
    because: tuple[str, ...] = ()


class TensorFacts(Record):
    """A file's input or output, in words that a device's author reads."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())

    name: str | None = None
    dtype: str | None = None
    shape: tuple[int | str | None, ...] | None = None
    layout: str | None = None
    meaning: str | None = None


class Predictions:
    """What a model answered to the samples of validation and test, in their order.

    arrays: `{split}_outputs` float32 [samples, *shape] and `{split}_targets` int64 [samples] of each split;
    `test_indices` int64; `unseen` bool [test], samples that no choice was made on; `score_{metric}` float64 [test].
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = arrays

    def outputs(self, split: Literal["validation", "test"]) -> np.ndarray:
        """float32 [samples, *shape]."""
        return self.arrays[f"{split}_outputs"]

    def targets(self, split: Literal["validation", "test"]) -> np.ndarray:
        """int64 [samples]."""
        return self.arrays[f"{split}_targets"]

    @cached_property
    def indices(self) -> np.ndarray:
        """int64 [test]: places in the split."""
        return self.arrays["test_indices"]

    @cached_property
    def unseen(self) -> np.ndarray:
        """bool [test]: samples that no choice was made on."""
        return self.arrays["unseen"]

    @cached_property
    def scores(self) -> dict[str, np.ndarray]:
        """Metric -> float64 [test]."""
        return {name.removeprefix("score_"): self.arrays[name] for name in self.arrays if name.startswith("score_")}

    def count(self, unseen: bool = False) -> int:
        """Test samples, or those of them that no choice was made on, where choices were made on others."""
        return int(self.unseen.sum()) if unseen and self.partly_seen else len(self.unseen)

    def each(self, metric: Metric, unseen: bool = False) -> np.ndarray | None:
        """What each of these samples got, float64 [samples]; None where the metric is no mean."""
        found = self.scores.get(metric.name)
        if found is None and metric.each is not None:
            found = metric.each({"": self.outputs("test")}, {"": self.targets("test")})
        return found if found is None else found[self._chosen(unseen)]

    def weighted(self, metric: Metric, unseen: bool = False) -> Callable[[np.ndarray | None], float]:
        """A metric over these samples as a function of how often each counts."""
        chosen = self._chosen(unseen)
        outputs, targets = {"": self.outputs("test")[chosen]}, {"": self.targets("test")[chosen]}
        return lambda weights: metric.value(outputs, targets, weights)

    def _chosen(self, unseen: bool) -> np.ndarray:
        """bool [test]."""
        return self.unseen if unseen and self.partly_seen else self.unseen | True

    @property
    def partly_seen(self) -> bool:
        """Whether choices were made on some of the test samples, and on others none."""
        return bool(self.unseen.any() and not self.unseen.all())


class Evaluation(Record):
    """What is known of one model, and what it answered.

    float_names: convolutions and products that run in float. unknown_operators: those of which nobody can say what they
    compute in. macs_unknown: why `macs` is null. final_activation: what the answers come out of, null for raw scores.
    parity: null where there was nothing to compare with. breakdown: what the task tells class by class.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    metric: str
    operators: dict[str, int]
    float_convolutions: int
    float_matmuls: int
    float_names: tuple[str, ...] = ()
    unknown_operators: tuple[str, ...] = ()
    precision: Precision
    bits: Bits | None = None
    params: int | None = None
    macs: int | None = None
    macs_unknown: str | None = None
    size_bytes: int
    subnormal_weights: int = 0
    model_sha256: str
    input: TensorFacts
    output: TensorFacts
    final_activation: Kind | None = None
    parity: Parity | None = None
    breakdown: dict[str, Any] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    predictions: Predictions = Field(exclude=True)

    def write(self, folder: Path) -> None:
        """Both files of the artifact."""
        import numpy as np

        np.savez(folder / PREDICTIONS, **self.predictions.arrays)  # type: ignore[arg-type]
        text = json.dumps(self.model_dump(mode="json"), indent=1, allow_nan=False, ensure_ascii=False)
        (folder / FACTS).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Evaluation:
        """The evaluation in an artifact's folder; its arrays are read when they are asked for.

        Raises:
            IntegrityError: a file is damaged; also when an array is asked for.
        """
        path = folder / FACTS
        try:
            facts = json.loads(path.read_bytes())
            return cls.model_validate({**facts, "predictions": Predictions(_Stored(folder / PREDICTIONS))})
        except ValidationError as error:
            first = error.errors()[0]
            what = f"is no evaluation ({'.'.join(map(str, first['loc']))}: {first['msg']})"
            raise IntegrityError(str(path), what, AGAIN) from None
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise IntegrityError(str(path), f"cannot be read ({error})", AGAIN) from None


class _Stored(Mapping[str, "np.ndarray"]):
    """The arrays of a file, each read when it is asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _read(self, name: str | None) -> Any:
        import numpy as np

        try:
            with np.load(self._path, allow_pickle=False) as arrays:
                return arrays.files if name is None else arrays[name]
        except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
            raise IntegrityError(str(self._path), f"cannot be read ({error})", AGAIN) from None

    def __getitem__(self, name: str) -> np.ndarray:
        found: np.ndarray = self._read(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._read(None))

    def __len__(self) -> int:
        return len(self._read(None))
