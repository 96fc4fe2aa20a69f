"""From the graph's probabilities to lungs in the radiograph's frame."""

import numpy as np

from boxray.classification.lung_field import lung_field
from boxray.core.boxes import Box
from boxray.core.frames import Letterbox

SIZE_WH = (200, 100)
LETTERBOX = Letterbox.fit(SIZE_WH, 64)
"""32 rows of picture between two times 16 rows of nothing."""


def probabilities(*places: tuple[int, int, int, int, int]) -> np.ndarray:
    """Cells of 4 px: channel, x1, y1, x2, y2, which are all lung; elsewhere none is."""
    cells = np.zeros((2, 16, 16), dtype=np.float32)
    for channel, x1, y1, x2, y2 in places:
        cells[channel, y1:y2, x1:x2] = 1
    return cells


def test_the_lungs_lie_where_the_letterbox_has_put_them() -> None:
    lungs = lung_field(probabilities((0, 2, 5, 6, 10), (1, 10, 5, 14, 10)), LETTERBOX, SIZE_WH)

    # 8 cells are the 32 px of the picture's height, so a cell is 12.5 px; the picture begins at the fourth.
    assert lungs.right.shape == (100, 200)
    assert lungs.right_box is not None
    assert lungs.left_box is not None
    np.testing.assert_allclose(lungs.right_box.xyxy, Box(25, 12.5, 75, 75).xyxy, atol=1)
    np.testing.assert_allclose(lungs.left_box.xyxy, Box(125, 12.5, 175, 75).xyxy, atol=1)


def test_only_the_largest_part_of_a_lung_stays() -> None:
    alone = lung_field(probabilities((0, 2, 5, 6, 10)), LETTERBOX, SIZE_WH)
    with_speck = lung_field(probabilities((0, 2, 5, 6, 10), (0, 12, 5, 13, 7)), LETTERBOX, SIZE_WH)

    assert (alone.right == with_speck.right).all()


def test_a_speck_alone_is_no_lung() -> None:
    lungs = lung_field(probabilities((1, 3, 5, 4, 7)), LETTERBOX, SIZE_WH)

    assert not lungs.both.any()
    assert lungs.left_box is None


def test_a_lower_threshold_gives_a_larger_lung() -> None:
    cells = probabilities((0, 2, 5, 6, 10))
    cells[0, 4:11, 1:7] = np.maximum(cells[0, 4:11, 1:7], 0.3)

    strict, mild = (lung_field(cells, LETTERBOX, SIZE_WH, limit).right.sum() for limit in (0.5, 0.2))

    assert mild > 1.5 * strict
