"""Turns a torch network into its float core graph: raw input to raw output, the batch left open."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from compressor.device.memory import short_of_memory
from compressor.errors import StepError
from compressor.models import modes
from compressor.onnx_graph import clean
from compressor.problem.signature import Signature

BATCH = "batch"
_EXAMPLES = 2


def export_core(
    model: nn.Module, signature: Signature, path: Path, opset: int, progress: Callable[[str], None] | None = None
) -> int:
    """Writes `model` to `path` as one ONNX file and tells how many subnormal weights were set to zero.

    Inputs and outputs are named as in the signature, their first dimension is `batch`. Batch norms that follow a
    convolution are folded. Equal networks give equal bytes.
    Errors: StepError naming the operator and its module when ONNX has no such operator, or why it cannot be traced.
    """
    if progress:
        progress(f"writing the float graph, opset {opset}")
    network = modes.in_eval(copy.deepcopy(model).to("cpu", torch.float32)).to(memory_format=torch.contiguous_format)
    graph = _translate(network, signature, opset)
    clean.strip(graph)
    written = next(entry.version for entry in graph.opset_import if entry.domain in ("", "ai.onnx"))
    if written != opset:
        todo = f"set onnx.opset to {written}"
        raise StepError("", f"torch writes this network in opset {written}, not in {opset}", todo)
    _check_signature(graph, signature)
    clean.rename(graph)
    subnormal = clean.flush_subnormals(graph)
    clean.save(graph, path, "")
    return subnormal


def trace(model: nn.Module, signature: Signature) -> None:
    """Follow `model` for batches of any size, as `export_core` does before it writes anything.

    Errors: StepError saying why it cannot be traced.
    """
    with clean.quiet(), torch.no_grad(), modes.evaluating(model):
        _traced(model, *_asked(signature))


def _asked(signature: Signature) -> tuple[tuple[torch.Tensor, ...], tuple[dict[int, Any], ...]]:
    """Examples of the inputs, and their open sizes."""
    # An example batch of one would make the batch a constant: torch.export specialises on 0 and 1.
    examples = tuple(torch.zeros(_EXAMPLES, *spec.shape, dtype=getattr(torch, spec.dtype)) for spec in signature.inputs)
    return examples, tuple({0: torch.export.Dim(BATCH, min=1)} for _ in examples)


def _traced(network: nn.Module, examples: tuple[Any, ...], shapes: tuple[Any, ...]) -> torch.export.ExportedProgram:
    try:
        return torch.export.export(network, examples, dynamic_shapes=shapes)
    except Exception as error:  # torch.export raises dozens of types; all mean that the network cannot be traced
        if short_of_memory(error):
            raise
        raise StepError("", *_why_not_traced(error)) from error


def _translate(network: nn.Module, signature: Signature, opset: int) -> onnx.ModelProto:
    examples, shapes = _asked(signature)
    with clean.quiet(), torch.no_grad():
        program = _traced(network, examples, shapes)
        try:
            exported = torch.onnx.export(
                program,
                examples,
                dynamo=True,
                opset_version=opset,
                dynamic_shapes=shapes,
                verbose=False,
                input_names=[spec.name for spec in signature.inputs],
                output_names=[spec.name for spec in signature.outputs],
            )
        except Exception as error:
            raise StepError("", *_why_not_translated(error, program)) from error
    assert exported is not None
    return exported.model_proto


def _why_not_traced(error: BaseException) -> tuple[str, str]:
    text = str(error)
    by_values = "data-dependent" in text.lower()
    if not by_values and "satisfy the generated guard" in text:
        return (
            "the network takes another path for some sizes of the batch, so one graph cannot take all",
            "let its `forward` compute the same for any size; `torch.cdist` asks for its size: write the distance as"
            " `((x[:, None] - w) ** 2).sum(2).sqrt()`",
        )
    if not by_values and ("Constraints violated" in text or "specialized" in text):
        return (
            "the network computes with a fixed batch size, so its graph cannot take any other",
            "in its `forward`, write `x.shape[0]` for the size of the batch, in place of `len(x)` and of constants (as"
            " in `x.view(2, -1)`)",
        )
    place = _user_line(text)
    return (
        f"the network cannot be traced{place} ({clean.first_line(error)})",
        "remove control flow that depends on the values of tensors from its `forward`",
    )


def _why_not_translated(error: BaseException, program: torch.export.ExportedProgram) -> tuple[str, str]:
    chain = _chain(error)
    text = "\n".join(str(link) for link in chain)
    if named := re.search(r"No ONNX function found for <OpOverload\(op='([\w.:]+)', overload='(\w+)'\)>", text):
        return f"{_operator(named[1], named[2], program)} has no form in ONNX", "replace it by operators that have one"
    reason = clean.first_line(chain[-1])
    if named := re.search(r"Error when translating node .*?target=torch\.ops\.([\w.]+)\.(\w+)\]", text):
        what = f"{_operator(named[1], named[2], program)} cannot be written as it is used ({reason})"
        return what, "use it in the form that is asked for, or replace it"
    return f"the graph cannot be written ({reason})", "replace the part of the network that this names"


def _operator(name: str, overload: str, program: torch.export.ExportedProgram) -> str:
    """The operator and the module that calls it, in words."""
    name = name.replace("::", ".")
    module = _module_with({name, f"{name}.{overload}"}, program)
    return f"operator `{name}`" + (f" in module `{module}`" if module else "")


def _module_with(names: set[str], program: torch.export.ExportedProgram) -> str:
    """The module that calls one of the operators, as it was written or as the exporter takes it apart."""
    written = next((node for node in program.graph.nodes if str(node.target) in names), None)
    if written is not None:
        return _module_of(written)
    apart = program.run_decompositions().graph.nodes
    return next((_module_of(node) for node in apart if str(node.target) in names), "")


def _chain(error: BaseException) -> list[BaseException]:
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    return chain


def _module_of(node: torch.fx.Node) -> str:
    """The innermost module that a traced node belongs to, as `layer1.0 (Block)`."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if not stack:
        return ""
    name, kind = stack[-1]
    kind = kind if isinstance(kind, str) else kind.__name__
    return f"{name or 'the network itself'} ({kind.rsplit('.', 1)[-1]})"


def _user_line(text: str) -> str:
    found = re.findall(r'File "[^"]*?([^/"]+)", line (\d+), in forward', text)
    return f" at {found[-1][0]}, line {found[-1][1]}" if found else ""


def _check_signature(graph: onnx.ModelProto, signature: Signature) -> None:
    """The first of the chain's three levels of parity: names, shapes and dtypes."""
    for role, values, specs in (
        ("input", graph.graph.input, signature.inputs),
        ("output", graph.graph.output, signature.outputs),
    ):
        found = [_described(value) for value in values]
        wanted = [(spec.name, spec.dtype, (BATCH, *spec.shape)) for spec in specs]
        if found != wanted:
            raise StepError(
                "",
                f"the network's {role}s are {found}, the task's are {wanted}",
                "give the network the task's shapes and number of classes",
            )


def _described(value: onnx.ValueInfoProto) -> tuple[str, str, tuple[int | str, ...]]:
    tensor = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return value.name, dtype, tuple(dim.dim_param or dim.dim_value for dim in tensor.shape.dim)
