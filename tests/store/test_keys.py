import hashlib
import math

import pytest

from compressor.store.keys import canonical_json, digest


def test_order_of_keys_and_kind_of_sequence_do_not_count():
    assert canonical_json({"b": (1, 2.0), "a": None}) == '{"a":null,"b":[1,2.0]}'
    assert digest({"x": 1, "y": [2]}) == digest({"y": (2,), "x": 1})


def test_digest_is_sha256_of_the_ascii_text():
    assert digest({"é": 0.1}) == hashlib.sha256(b'{"\\u00e9":0.1}').hexdigest()


@pytest.mark.parametrize("value", [math.nan, math.inf, {"deep": [-math.inf]}])
def test_no_number_that_json_cannot_say(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(value)


@pytest.mark.parametrize("value", [{1, 2}, object(), b"bytes"])
def test_nothing_that_is_no_json(value):
    with pytest.raises(TypeError):
        canonical_json(value)


def test_floats_keep_all_their_digits():
    assert canonical_json(0.1 + 0.2) == "0.30000000000000004"
    assert digest(0.1 + 0.2) != digest(0.3)
