"""The registry of importers."""

import pytest

from boxray.core.errors import DataError
from boxray.data.sources import LAYOUTS, Download, importer_of


def test_a_layout_that_nobody_imports_is_missed_with_the_list_of_those_that_are():
    with pytest.raises(DataError, match="there is no importer for layout 'dicomdir'; there are: nih, tbx11k"):
        importer_of("dicomdir")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_source_that_is_not_where_the_file_says_is_an_error_of_the_data(tmp_path, layout):
    with pytest.raises(DataError, match=r"expected .* in the source's folder"):
        list(importer_of(layout)(Download(tmp_path / "nowhere")))
