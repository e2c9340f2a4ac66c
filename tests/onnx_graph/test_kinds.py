"""The lists of operators: complete for ONNX, without an operator in two of them."""

from itertools import combinations

import onnx
import pytest

from compressor.onnx_graph import kinds

LISTS = {
    name: getattr(kinds, name)
    for name in (
        "INTEGER_KERNELS", "INTEGER_ARITHMETIC", "FLOAT_CONVOLUTIONS", "FLOAT_PRODUCTS", "FLOAT_ARITHMETIC", "HARMLESS",
    )
}  # fmt: skip


@pytest.mark.parametrize("two", list(combinations(LISTS, 2)), ids=" ".join)
def test_no_operator_is_in_two_lists(two: tuple[str, str]) -> None:
    assert not LISTS[two[0]] & LISTS[two[1]]


def test_every_operator_of_onnx_is_in_a_list() -> None:
    known = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain in ("", "ai.onnx.ml")}
    assert len(known) > 200
    assert not known - kinds.LISTED


def test_every_name_in_the_lists_is_an_operator_of_onnx_or_onnxruntime() -> None:
    from onnxruntime.capi import onnxruntime_pybind11_state

    known = {schema.name for schema in onnxruntime_pybind11_state.get_all_operator_schema()}
    known |= {schema.name for schema in onnx.defs.get_all_schemas()}
    known |= {f"Nchwc{name}" for name in known}
    assert not kinds.LISTED - known


def test_what_multiplies_is_no_harmless_operator() -> None:
    assert {"LSTM", "GRU", "RNN", "Attention", "Einsum", "MultiHeadAttention", "MatMulNBits"} <= kinds.FLOAT_PRODUCTS
    assert {"DeformConv", "FusedConv", "NchwcConv", "ConvTranspose"} <= kinds.FLOAT_CONVOLUTIONS
