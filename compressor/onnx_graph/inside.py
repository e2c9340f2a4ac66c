"""`python -m compressor.onnx_graph.inside`: the process in which `evaluate` runs a file from elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compressor.device.memory import first_line, short_of_memory
from compressor.device.refused import Refused
from compressor.device.serve import serve

if TYPE_CHECKING:
    import numpy as np
    import onnxruntime

Answer = tuple[dict[str, Any], "np.ndarray | None"]


class Inside:
    """The file that is open. code: the exit code of what it does wrong."""

    def __init__(self) -> None:
        self.path, self.code = Path(), 0
        self.session: onnxruntime.InferenceSession | None = None

    def open(self, request: Mapping[str, Any], _: Any) -> Answer:
        """Load the file `path` for so many `threads`: the batch size that it was made for."""
        from compressor.onnx_graph import session

        self.path, self.code = Path(request["path"]), request["code"]
        try:
            self.session = session.make_session(self.path, request["threads"])
        except Exception as error:  # onnxruntime has a dozen exception types without a common one
            raise self._refused(error) from None
        return {"batch": session.fixed_batch(self.session)}, None

    def count(self, request: Mapping[str, Any], _: Any) -> Answer:
        """The operators and the cost of the file `path`, null with a sentence where they cannot be told. sample: the
        sizes of one sample."""
        from compressor.onnx_graph import cost, operators

        path = Path(request["path"])
        try:
            made = operators.count(path) | {"precision_unknown": None}
        except Exception as error:  # onnxruntime has a dozen exception types without a common one
            if short_of_memory(error):
                raise
            made = operators.unknown(f"its operators are not known: {first_line(error)}")
        return made | cost.count(path, request["sample"]), None

    def run(self, _: Mapping[str, Any], batch: np.ndarray) -> Answer:
        """What the open file answers to a batch."""
        from compressor.onnx_graph import session

        assert self.session is not None
        try:
            found = session.answer(self.session, batch)
            if found.dtype.hasobject:
                raise ValueError("its output is no array of numbers")
        except Exception as error:  # onnxruntime has a dozen exception types without a common one
            raise self._refused(error) from None
        return {}, found

    def pace(self, _: Mapping[str, Any], samples: np.ndarray) -> Answer:
        """`seconds` that the open file takes to answer these samples, a second time; 0 where it cannot."""
        from compressor.onnx_graph import session

        assert self.session is not None
        try:
            session.answer(self.session, samples)
            began = time.monotonic()
            session.answer(self.session, samples)
        except Exception as error:  # onnxruntime has a dozen exception types without a common one
            if short_of_memory(error):
                raise
            return {"seconds": 0}, None
        return {"seconds": time.monotonic() - began}, None

    def neighbours(self, _: Mapping[str, Any], samples: np.ndarray) -> Answer:
        """`found`: what is wrong and what to do, where a sample's answer depends on the samples beside it."""
        from compressor.onnx_graph import neighbours

        assert self.session is not None
        try:
            return {"found": neighbours.find(self.path, self.session, samples)}, None
        except Exception as error:  # onnxruntime has a dozen exception types without a common one
            raise self._refused(error) from None

    def _refused(self, error: Exception) -> Exception:
        if short_of_memory(error):
            return error
        problem = f"onnxruntime cannot run it ({first_line(error)})"
        refused: Exception = Refused(self.code, str(self.path), problem, "check the file")
        return refused


if __name__ == "__main__":
    inside = Inside()
    asked = ("open", "count", "run", "pace", "neighbours")
    sys.exit(serve({name: getattr(inside, name) for name in asked}, sys.argv[1:]))
