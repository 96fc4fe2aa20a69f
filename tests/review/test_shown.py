"""Boxes out to fractions and back, ids, and what was shown against what stands there now."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxray.core.findings import Presence
from boxray.data.corrections import Opinion
from boxray.review.shown import Shown, box_id, shown_images, to_fractions, to_pixels
from built import box_row, image_row, manifest_of

SIDES = st.integers(16, 4000)
SHARE = st.floats(0, 1)


@given(SIDES, SIDES, SHARE, SHARE, SHARE, SHARE)
def test_a_box_comes_back_from_fractions_to_the_last_digits(width, height, a, b, c, d):
    xyxy = (min(a, b) * width, min(c, d) * height, max(a, b) * width, max(c, d) * height)
    back = to_pixels(to_fractions(xyxy, (width, height)), (width, height))
    assert np.allclose(back, xyxy, rtol=0, atol=1e-9)


def test_a_box_has_the_same_id_wherever_it_is_made_and_another_one_for_another_place():
    one = box_id("made:1", "fluid", (1.0, 2.0, 3.0, 4.0))
    assert one == box_id("made:1", "fluid", (1, 2, 3, 4))
    assert len({one, box_id("made:1", "fluid", (1, 2, 3, 5)), box_id("made:2", "fluid", (1, 2, 3, 4))}) == 3
    assert len(one) == 24
    int(one, 16)


def test_what_was_shown_comes_back_from_text_without_loss():
    shown = Shown({"fluid": "boxed", "heart": "unknown"}, {"fluid": {"a" * 24: (0.1, 0.2, 33.333333333333336, 4.0)}})
    assert Shown.from_json(shown.to_json()) == shown


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (Shown({"fluid": "boxed"}, {"fluid": {"a": (1, 2, 30, 40)}}), False),
        (Shown({"fluid": "boxed"}, {"fluid": {"a": (1, 2, 30.2, 40)}}), False),  # rounding of tools
        (Shown({"fluid": "boxed"}, {"fluid": {"a": (1, 2, 31, 40)}}), True),
        (Shown({"fluid": "boxed"}, {"fluid": {"b": (1, 2, 30, 40)}}), True),
        (Shown({"fluid": "boxed"}, {}), True),
        (Shown({"fluid": "absent"}, {"fluid": {"a": (1, 2, 30, 40)}}), True),
    ],
)
def test_only_what_a_hand_does_differs_from_what_was_shown(change, differs):
    shown = Shown({"fluid": "boxed"}, {"fluid": {"a": (1, 2, 30, 40)}})
    assert change.differs("fluid", shown) is differs


def test_a_reviewer_sees_his_own_opinion_and_others_see_the_set(tmp_path):
    row = image_row(1, "test", {"fluid": ("boxed", "box"), "heart": ("unknown", "none")})
    manifest = manifest_of(tmp_path, [row], [box_row("made:1", "fluid", (10, 20, 30, 40))])
    mine = Opinion("made:1", row["sha256"], "fluid", "alice", Presence.BOXED, ((10, 20, 30, 60),))
    opinions = {mine.cell: mine}
    (box,) = shown_images(manifest, opinions, "alice")["made:1"]["fluid"].boxes
    assert box.xyxy == (10, 20, 30, 60)
    (box,) = shown_images(manifest, opinions, "bob")["made:1"]["fluid"].boxes
    assert box.xyxy == (10, 20, 30, 40)
    assert shown_images(manifest, opinions, "bob")["made:1"]["heart"].presence is Presence.UNKNOWN


def test_an_opinion_on_other_pixels_is_not_shown(tmp_path):
    row = image_row(1, "test", {"fluid": ("absent", "label"), "heart": ("unknown", "none")})
    mine = Opinion("made:1", "f" * 64, "fluid", "alice", Presence.UNKNOWN)
    shown = shown_images(manifest_of(tmp_path, [row], []), {mine.cell: mine}, "alice")
    assert shown["made:1"]["fluid"].presence is Presence.ABSENT
