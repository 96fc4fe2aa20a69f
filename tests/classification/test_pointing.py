"""A map that is taught by boxes points into them, and nothing else of the classifier is pulled."""

from pathlib import Path

import numpy as np
import pytest

from built import TWO, box_row, image_row, manifest_of

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from boxray.classification.change import Change  # noqa: E402
from boxray.classification.pointing import (  # noqa: E402
    SquareBoxes,
    boxes_in_squares,
    inside_boxes,
    pointing_loss,
)
from boxray.core.frames import Cells  # noqa: E402

ABSENT = {"fluid": ("absent", "label"), "heart": ("absent", "label")}
STEP = 32
TILES = Cells(STEP / 2, STEP)
"""Cells that look at their own tile of a square."""


def boxes(*xyxy: tuple[float, ...], findings: tuple[int, ...] = ()) -> SquareBoxes:
    return SquareBoxes(np.array(xyxy, dtype=float).reshape(-1, 4), np.array(findings or [0] * len(xyxy), dtype=int))


def test_boxes_lie_in_the_square_where_the_letterboxed_film_shows_them(tmp_path: Path) -> None:
    rows = [image_row(0, "train", ABSENT) | {"width": 200, "height": 400}, image_row(1, "train", ABSENT)]
    manifest = manifest_of(tmp_path, rows, [box_row("made:0", "heart", (0, 0, 200, 100))])

    tall, empty = boxes_in_squares(manifest, 128)

    assert tall.boxes_xyxy.tolist() == [[32, 0, 96, 32]]  # 64 px wide between two bands of 32
    assert tall.findings.tolist() == [TWO.keys.index("heart")]
    assert empty.boxes_xyxy.shape == (0, 4)


def test_a_cell_is_inside_by_the_share_that_a_box_covers_of_what_it_looks_at() -> None:
    inside = inside_boxes([boxes((0, 0, 48, 32), (40, 64, 64, 128), findings=(0, 1))], 2, 4, TILES)

    assert inside.shape == (1, 2, 4, 4)
    assert inside[0, 0].tolist() == [[1, 0.5, 0, 0], [0] * 4, [0] * 4, [0] * 4]
    assert inside[0, 1].tolist() == [[0] * 4, [0] * 4, [0, 0.75, 0, 0], [0, 0.75, 0, 0]]


def test_cells_that_look_half_a_step_to_the_left_are_inside_boxes_half_a_step_to_the_left() -> None:
    half = STEP / 2
    of_tiles = inside_boxes([boxes((32, 64, 96, 96))], 1, 4, TILES)
    of_middles = inside_boxes([boxes((32 - half, 64 - half, 96 - half, 96 - half))], 1, 4, Cells(0, STEP))

    assert np.array_equal(of_tiles, of_middles)


@pytest.mark.parametrize(
    "change",
    [
        Change(degrees=0, scale=1, shift_xy=(0.25, -0.125), gain=1),
        Change(degrees=0, scale=0.5, shift_xy=(0, 0), gain=1),
        Change(degrees=90, scale=1, shift_xy=(0.125, 0), gain=1),
        Change(degrees=0, scale=1, shift_xy=(0.25, 0), gain=1, mirrored=True),
        Change(degrees=-90, scale=2, shift_xy=(0.25, 0.25), gain=1, mirrored=True),
    ],
    ids=["shifted", "smaller", "turned", "shifted and mirrored", "all"],
)
def test_a_box_goes_where_its_pixels_go(change: Change) -> None:
    square = np.zeros((64, 64), dtype=np.uint8)
    square[24:32, 16:28] = 255

    ((x1, y1, x2, y2),) = boxes((16, 24, 28, 32)).moved(change.moves(64)).boxes_xyxy

    rows, columns = np.nonzero(change.apply(square) > 127)
    seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert (x1, y1, x2, y2) == pytest.approx(seen, abs=0.51)  # a pixel's edge is found to half a pixel


def test_the_loss_is_the_share_of_the_map_in_the_box_by_the_definition() -> None:
    by_cell = torch.log(torch.tensor([[[[1.0, 3.0], [2.0, 4.0]]]]))
    inside = torch.tensor([[[[0.0, 1.0], [0.0, 0.5]]]])

    loss = pointing_loss(by_cell, inside)

    assert loss.item() == pytest.approx(-np.log((3 + 0.5 * 4) / 10))


def test_findings_count_alike_however_many_films_have_boxes_of_them() -> None:
    by_cell = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    inside = torch.zeros_like(by_cell)
    inside[0, 0, 0, 0] = inside[1, 0, 1, 1] = inside[2, 1, 2:, 2:] = 1

    of_each = [pointing_loss(by_cell[i : i + 1], inside[i : i + 1]).item() for i in range(3)]

    assert pointing_loss(by_cell, inside).item() == pytest.approx(((of_each[0] + of_each[1]) / 2 + of_each[2]) / 2)


def test_only_where_a_map_points_is_taught_not_how_sure_it_is() -> None:
    by_cell = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    inside = torch.zeros(2, 2, 4, 4)
    inside[0, 0, 1:3, 1:3] = 1

    pointing_loss(by_cell, inside).backward()

    gradient = by_cell.grad
    assert gradient[0, 0].sum().item() == pytest.approx(0, abs=1e-6)  # what is added to all cells changes nothing
    assert (gradient[0, 0, 1:3, 1:3] < 0).all()
    assert gradient[1].abs().max() == gradient[0, 1].abs().max() == 0  # no box, nothing taught


def test_a_map_that_lies_wholly_elsewhere_is_still_pulled_into_the_box() -> None:
    by_cell = torch.tensor([[[[0.0, 60.0], [0.0, 0.0]]]], requires_grad=True)
    inside = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])

    loss = pointing_loss(by_cell, inside)
    loss.backward()

    assert loss.item() == pytest.approx(60)
    assert by_cell.grad.flatten().tolist() == pytest.approx([-1, 1, 0, 0])


def test_without_any_box_there_is_no_loss_and_nothing_breaks() -> None:
    by_cell = torch.zeros(2, 2, 4, 4, requires_grad=True)

    loss = pointing_loss(by_cell, torch.zeros(2, 2, 4, 4))
    loss.backward()

    assert loss.item() == 0
    assert by_cell.grad.abs().max() == 0
