"""YAML of people's own files: what could surprise is refused with its line."""

import pytest

from boxray.core.errors import DataError
from boxray.data.yaml_file import LARGEST_BYTES, read_yaml
from making import write_text


def test_plain_data_come_as_they_stand(tmp_path):
    path = write_text(tmp_path / "card.yaml", "key: nih", "boxes: {Effusion: effusion}", "shares: [0.1, 2]")

    assert read_yaml(path) == {"key": "nih", "boxes": {"Effusion": "effusion"}, "shares": [0.1, 2]}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        pytest.param(["a: 1", "b: [1, 2"], r"card\.yaml:3: ", id="not-closed"),
        pytest.param(["a: 1", "b: 2", "a: 3"], r"card\.yaml:3: key 'a' is there twice", id="twice"),
        pytest.param(["a: {b: 1, b: 2}"], r"card\.yaml:1: key 'b' is there twice", id="twice-inside"),
        pytest.param(["a: &x [1]", "b: *x"], r"card\.yaml:2: an alias", id="D9a-alias-as-in-a-billion-laughs"),
        pytest.param(["a: !!python/object/apply:os.system [id]"], r"card\.yaml:1: .*python", id="D9a-python-object"),
        pytest.param(["a: 1", "---", "b: 2"], r"card\.yaml:2: ", id="two-documents"),
        pytest.param(["a: 2020-13-45"], r"card\.yaml: not plain YAML", id="a-date-that-is-none"),
        pytest.param(["[" * 5000], r"card\.yaml: nested too deeply", id="too-deep"),
    ],
)
def test_what_is_not_plain_is_refused_with_its_line(tmp_path, lines, message):
    with pytest.raises(DataError, match=message):
        read_yaml(write_text(tmp_path / "card.yaml", *lines))


def test_another_encoding_is_refused(tmp_path):
    path = tmp_path / "card.yaml"
    path.write_bytes("key: häm".encode("utf-16"))

    with pytest.raises(DataError, match=r"card\.yaml"):
        read_yaml(path)


def test_a_file_that_cannot_be_a_card_is_not_read(tmp_path):
    path = write_text(tmp_path / "card.yaml", "a" * LARGEST_BYTES)

    with pytest.raises(DataError, match="at most"):
        read_yaml(path)
