"""The books of a source: what is lost without a reason is a fault of the importer."""

import pytest

from boxray.core.errors import DataError
from boxray.data.books import Books
from making import a_card


def an_audit(**counts):
    return Books(a_card(expected={"images": 3, "boxes": 4}), **counts)


def test_books_close_if_what_is_named_is_built_or_dropped():
    audit = an_audit(images_named=3, boxes_named=4, images_built=2, boxes_built=1)
    audit.drop_image("not on disk", 2)
    audit.boxes_dropped["Mass: not asked for"] += 1

    audit.close()

    assert audit.boxes_dropped["on an image left out: not on disk"] == 2


@pytest.mark.parametrize(
    ("counts", "what"),
    [
        pytest.param({"images_named": 3, "images_built": 2}, "3 images named, 2 built and 0 dropped", id="image-lost"),
        pytest.param({"images_named": 1, "images_built": 2}, "1 images named, 2 built", id="image-invented"),
        pytest.param({"boxes_named": 4, "boxes_built": 3}, "4 boxes named, 3 built and 0 dropped", id="box-lost"),
    ],
)
def test_books_that_do_not_close_are_refused_with_their_numbers(counts, what):
    with pytest.raises(DataError, match=what):
        an_audit(**counts).close()


def test_a_count_that_is_not_the_cards_is_said_and_not_an_error():
    audit = an_audit(images_named=3, images_built=3)

    books = audit.to_json()

    assert books["images"]["as_expected"] is True
    assert books["boxes"]["as_expected"] is False
    assert (books["boxes"]["expected"], books["boxes"]["named"]) == (4, 0)
    assert books["licence"] == "none needed"


def test_an_image_without_boxes_drops_no_box():
    audit = an_audit()

    audit.drop_image("quality.blank", 0)

    assert audit.images_dropped == {"quality.blank": 1}
    assert audit.boxes_dropped == {}
