"""`python -m compressor.bundle.inside`: the process in which `verify` reads, checks and runs a bundle's graph."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from compressor.device.check import HANDLERS
from compressor.device.memory import first_line, short_of_memory
from compressor.device.refused import ALTERED, Refused
from compressor.device.serve import serve


def describe(request: Mapping[str, Any], _: Any) -> tuple[dict[str, Any], None]:
    """`{"opset", "ir_version", "inputs", "outputs"}` of the file `path`, a port as [name, dtype, shape].

    Refused (4) where it is no valid ONNX.
    """
    import onnx

    path = request["path"]
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's decoder has its own exceptions, by implementation
        raise _refused(path, f"is no ONNX file ({first_line(error)})", error) from None
    try:
        onnx.checker.check_model(model, full_check=True)
        inputs, outputs = ([_port(value) for value in values] for values in (model.graph.input, model.graph.output))
    except Exception as error:  # the checker's and the shape inference's, and those of the libraries below them
        raise _refused(path, f"is refused by the ONNX checker ({first_line(error)})", error) from None
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), None)
    return {"opset": opset, "ir_version": model.ir_version, "inputs": inputs, "outputs": outputs}, None


def _refused(path: str, problem: str, error: BaseException) -> BaseException:
    if short_of_memory(error):
        return error
    refused: BaseException = Refused(ALTERED, path, problem, "get a fresh copy of the bundle")
    return refused


def _port(value: Any) -> tuple[str, str, list[int | str]]:
    from onnx import helper

    tensor = value.type.tensor_type
    shape = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in tensor.shape.dim]
    return value.name, helper.tensor_dtype_to_np_dtype(tensor.elem_type).name, shape


if __name__ == "__main__":
    sys.exit(serve({"describe": describe, **HANDLERS}, sys.argv[1:]))
