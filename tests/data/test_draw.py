from pathlib import Path

import numpy as np
import pytest

from boxray.core.errors import RecipeError
from boxray.core.findings import Presence
from boxray.data.draw import draw_at_most, hide_findings
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule
from built import box_row, image_row, manifest_of

NOTHING: dict[str, tuple[str, str]] = {}


def two_sources() -> Manifest:
    rows = [image_row(number, "train", NOTHING, source="a" if number < 12 else "b") for number in range(20)]
    return manifest_of(Path(), rows, [])


def test_a_source_that_is_not_named_is_kept_whole() -> None:
    drawn = draw_at_most(two_sources(), {"a": 5}, seed=0)

    assert drawn.images["source"].value_counts().to_dict() == {"b": 8, "a": 5}


def test_the_seed_decides_which_ones() -> None:
    first, again, other = (
        draw_at_most(two_sources(), {"a": 5}, seed=seed).images["image"].tolist() for seed in (1, 1, 2)
    )

    assert first == again != other


def test_only_eligible_images_are_drawn() -> None:
    eligible = np.arange(20) % 2 == 0

    drawn = draw_at_most(two_sources(), {"a": 3}, seed=0, eligible=eligible)

    assert {int(image) % 2 for image in drawn.images["image"]} == {0}
    assert len(drawn.images) == 3 + 4


def test_a_limit_above_what_there_is_takes_all() -> None:
    assert len(draw_at_most(two_sources(), {"a": 500}, seed=0).images) == 20


def boxed_and_absent() -> Manifest:
    """40 images of 20 patients; of each patient both are boxed for both findings, or neither is."""
    rows, boxes = [], []
    for number in range(40):
        boxed = number % 20 < 8
        cell = (Presence.BOXED.value, Rule.BOX.value) if boxed else (Presence.ABSENT.value, Rule.LABEL.value)
        rows.append(image_row(number, "train", {"fluid": cell, "heart": cell}) | {"patient": str(number % 20)})
        if boxed:
            boxes += [box_row(f"made:{number}", finding, (1, 1, 9, 9)) for finding in ("fluid", "heart")]
    return manifest_of(Path(), rows, boxes)


def hidden_patients(manifest: Manifest, finding: str = "fluid") -> set[str]:
    unknown = manifest.images[f"presence_{finding}"] == Presence.UNKNOWN.value
    return set(manifest.images["patient"][unknown])


def test_half_of_the_patients_with_a_box_and_half_of_those_without_are_hidden() -> None:
    hidden = hidden_patients(hide_findings(boxed_and_absent(), {"fluid": 0.5}, seed=0))

    assert len(hidden & {str(n) for n in range(8)}) == 4
    assert len(hidden) == 10


def test_by_look_the_patients_of_each_source_are_hidden_whose_films_have_the_highest_number() -> None:
    whole = boxed_and_absent()
    number = whole.images["image"].astype(int)
    whole.images["source"] = np.where(number % 2 == 0, "even", "odd")  # of a patient both, as 20 is even

    hidden = hidden_patients(hide_findings(whole, {"fluid": 0.5}, seed=0, look=(number % 20).to_numpy(dtype=float)))

    assert hidden == {"4", "6", "5", "7"} | {"14", "16", "18", "15", "17", "19"}


def test_of_a_hidden_finding_neither_box_nor_presence_nor_rule_is_left_in_any_image_of_the_patient() -> None:
    manifest = hide_findings(boxed_and_absent(), {"fluid": 0.5}, seed=0)
    hidden = hidden_patients(manifest)

    concerned = manifest.images["patient"].isin(hidden)
    assert concerned.sum() == 20
    assert set(manifest.images["presence_fluid"][concerned]) == {Presence.UNKNOWN.value}
    assert set(manifest.images["rule_fluid"][concerned]) == {Rule.NONE.value}
    boxed_ids = set(manifest.boxes["image_id"][manifest.boxes["finding"] == "fluid"])
    assert len(boxed_ids) == 8
    assert not boxed_ids & set(manifest.images["image_id"][concerned])


def test_the_other_findings_and_the_given_manifest_keep_all_they_know() -> None:
    whole = boxed_and_absent()
    before = whole.images.copy()

    hidden = hide_findings(whole, {"fluid": 1.0}, seed=0)

    assert whole.images.equals(before)
    assert len(whole.boxes) == 32
    assert hidden.images["presence_heart"].equals(whole.images["presence_heart"])
    assert set(hidden.boxes["finding"]) == {"heart"}
    assert (hidden.boxes["finding"] == "heart").sum() == 16


def test_each_finding_is_hidden_for_patients_of_its_own_and_the_same_ones_again() -> None:
    both, again = (hide_findings(boxed_and_absent(), {"fluid": 0.5, "heart": 0.5}, seed=3) for _ in range(2))
    alone = hide_findings(boxed_and_absent(), {"heart": 0.5}, seed=3)

    assert both.images.equals(again.images)
    assert hidden_patients(both, "heart") == hidden_patients(alone, "heart") != hidden_patients(both, "fluid")


def test_a_finding_that_is_not_asked_for_cannot_be_hidden() -> None:
    with pytest.raises(RecipeError, match=r"'spleen'.*fluid, heart"):
        hide_findings(boxed_and_absent(), {"spleen": 0.5}, seed=0)
