"""Cells of tables that people open in a spreadsheet."""

import pytest

from boxray.data.csv_cells import harmless


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_text_that_a_spreadsheet_would_run_becomes_text(cell):
    assert harmless(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["a reason", "", -1.5, 3, None, "a=1"])
def test_all_else_stays_as_it_is(cell):
    assert harmless(cell) is cell
