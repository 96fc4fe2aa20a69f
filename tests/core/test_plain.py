"""Our JSON is read by every reader of JSON."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxray.core.plain import json_text

numbers = st.floats(allow_infinity=False) | st.integers() | st.none() | st.booleans() | st.text()
plain = st.recursive(numbers, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


def without_nan(content):
    """The same with None for NaN, the slow and obvious way."""
    if isinstance(content, list):
        return [without_nan(value) for value in content]
    if isinstance(content, dict):
        return {key: without_nan(value) for key, value in content.items()}
    return None if isinstance(content, float) and math.isnan(content) else content


@given(plain)
def test_what_is_written_comes_back_with_null_for_what_was_not_measured(content):
    assert json.loads(json_text(content), parse_constant=pytest.fail) == without_nan(content)


@pytest.mark.parametrize("content", [float("inf"), [{"loss": float("-inf")}]], ids=["alone", "inside"])
def test_a_number_without_end_is_a_fault_and_not_nothing(content):
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text(content)
