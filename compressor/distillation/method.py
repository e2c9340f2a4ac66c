"""What a distillation method is: its settings, its words and its arithmetic, in one file of `methods/`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compressor.strict import Frozen

if TYPE_CHECKING:
    from torch import Tensor

    from compressor.problem.batch import Logits


class Method(Frozen):
    """How far a student's scores are from its teacher's. The fields are the settings; `name` tells methods apart."""

    name: str

    def words(self, temperature: float) -> str:
        """The distance as a person reads it."""
        raise NotImplementedError

    def distance(self, student: Logits, teacher: Logits, temperature: float) -> Tensor:
        """Summed over the rows, a float32 scalar; no gradient goes to the teacher."""
        raise NotImplementedError
