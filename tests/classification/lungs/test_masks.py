"""Lungs that somebody drew, in a folder, an archive, or an installed package."""

from pathlib import Path
from zipfile import ZipFile

import cv2
import numpy as np
import pytest

from boxray.classification.lungs import masks
from boxray.classification.lungs.masks import drawn_lungs, right_and_left
from boxray.core.errors import DataError, MissingExtra


def both(*boxes: tuple[int, int, int, int], shade: int = 255) -> np.ndarray:
    """A picture of 100 x 100 with upright boxes `x1, y1, x2, y2`."""
    picture = np.zeros((100, 100), np.uint8)
    for x1, y1, x2, y2 in boxes:
        picture[y1:y2, x1:x2] = shade
    return picture


RIGHT, LEFT = (10, 20, 40, 80), (60, 20, 90, 80)


def archive(path: Path, **pictures: np.ndarray) -> Path:
    with ZipFile(path, "w") as opened:
        opened.writestr("drawn/", b"")
        for name, picture in pictures.items():
            opened.writestr(f"drawn/{name}.PNG", cv2.imencode(".png", picture)[1].tobytes())
    return path


def test_one_mask_of_both_lungs_becomes_two_of_which_the_right_one_lies_left() -> None:
    drawn = both(RIGHT, LEFT, (95, 95, 98, 98)) > 0  # and a stroke beside them

    found = right_and_left(drawn)

    assert found is not None
    for mask, box in zip(found, (RIGHT, LEFT), strict=True):
        np.testing.assert_array_equal(mask, both(box, shade=1))


@pytest.mark.parametrize(
    "boxes",
    [
        pytest.param([], id="nothing"),
        pytest.param([RIGHT], id="one lung"),
        pytest.param([(10, 20, 90, 80)], id="lungs that touch"),
        pytest.param([(10, 10, 90, 40), (10, 60, 90, 90)], id="one above the other"),
        pytest.param([(10, 10, 25, 90), (40, 10, 55, 90), (70, 10, 85, 90)], id="three parts"),
    ],
)
def test_what_does_not_fall_into_two_lungs_side_by_side_is_no_mask(boxes: list[tuple[int, int, int, int]]) -> None:
    assert right_and_left(both(*boxes) > 0) is None


def test_an_archive_is_asked_by_the_names_of_the_image_and_its_copies(tmp_path: Path) -> None:
    with_pacemaker = both(RIGHT, LEFT) + both((42, 30, 50, 40), shade=127)
    drawn = drawn_lungs(archive(tmp_path / "masks.zip", film=with_pacemaker, empty=both()))

    by_name, by_copy = drawn("covid_lungs:film", ""), drawn("nih:other", "'covid_lungs:a b' covid_lungs:film")

    assert by_name is not None
    assert by_copy is not None
    np.testing.assert_array_equal(np.stack(by_name), np.stack([both(RIGHT, shade=1), both(LEFT, shade=1)]))
    np.testing.assert_array_equal(np.stack(by_copy), np.stack(by_name))
    assert drawn("covid_lungs:empty", "") is None
    assert drawn("covid_lungs:nowhere", "") is None


def test_no_download_has_no_masks() -> None:
    assert drawn_lungs(None)("covid_lungs:film", "") is None


def test_what_is_no_archive_and_what_is_no_picture_is_said(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("no archive")
    with pytest.raises(DataError, match=r"text\.zip is no archive of masks that can be opened"):
        drawn_lungs(tmp_path / "text.zip")
    with pytest.raises(DataError, match=r"absent\.zip is no archive"):
        drawn_lungs(tmp_path / "absent.zip")

    with ZipFile(tmp_path / "words.zip", "w") as opened:
        opened.writestr("drawn/film.png", b"no picture")
    with pytest.raises(DataError, match=r"drawn/film\.png of words\.zip is no picture"):
        drawn_lungs(tmp_path / "words.zip")("covid_lungs:film", "")


def test_the_masks_of_a_package_that_is_not_installed_need_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "find_spec", lambda _: None)

    with pytest.raises(MissingExtra, match=r"\[xrv\]"):
        drawn_lungs(Path("torchxrayvision"))


def test_torchxrayvisions_masks_have_the_right_lung_on_the_left_of_the_picture() -> None:
    pytest.importorskip("torchxrayvision", reason="its masks need the extra [xrv]")

    found = drawn_lungs(Path("torchxrayvision"))("covid_lungs:87d50e40", "")

    assert found is not None
    right, left = (np.nonzero(mask)[1].mean() / mask.shape[1] for mask in found)
    assert 0.1 < right < 0.45
    assert 0.55 < left < 0.9
