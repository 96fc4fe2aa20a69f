"""Pull: edits become what a reviewer holds, once, as a whole, and only where they fit the set."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxray.core.findings import Presence
from boxray.data.correction_log import CorrectionLog, undo
from boxray.data.corrections import Correction, Kind
from boxray.review.edits import VERDICTS, Edits, read_verdicts
from boxray.review.pull import pull, weigh
from built import box_row, image_row, manifest_of

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LEFT, RIGHT, NEW = (10.0, 20.0, 60.0, 80.0), (150.0, 20.0, 200.0, 80.0), (90.0, 90.0, 140.0, 160.0)


def shifted(box, by=5.0):
    return tuple(value + by for value in box)


@pytest.fixture
def manifest(tmp_path):
    """Film 1 has two boxes of fluid and a heart that is there; film 2 has neither; film 3 stands for a copy."""
    cells = {"fluid": ("boxed", "box"), "heart": ("present", "label")}
    none = {"fluid": ("absent", "label"), "heart": ("unknown", "none")}
    images = [image_row(1, "train", cells), image_row(2, "test", none), image_row(3, "val", none)]
    images[2]["copies"] = "made:33"
    boxes = [box_row("made:1", "fluid", LEFT), box_row("made:1", "fluid", RIGHT)]
    return manifest_of(tmp_path / "set", images, boxes)


class Reviewer:
    """Makes edits, each a minute after the one before."""

    def __init__(self, manifest, name="alice"):
        self.shas = dict(zip(manifest.images["image_id"], manifest.images["sha256"], strict=True))
        self.name, self.clock = name, NOON

    def edit(self, kind, image="made:1", finding="fluid", **changes):
        self.clock += timedelta(minutes=1)
        said = {"sha256": self.shas.get(image, "0" * 64), "reviewer": self.name, "made_at": self.clock, "base": "b"}
        return Correction(**{"image_id": image, "finding": finding, "kind": kind} | said | changes)

    def adds(self, box, **changes):
        return self.edit(Kind.ADDED, box_after_xyxy=box, **changes)

    def moves(self, box, to, **changes):
        return self.edit(Kind.CHANGED, box_before_xyxy=box, box_after_xyxy=to, **changes)

    def removes(self, box, **changes):
        return self.edit(Kind.REMOVED, box_before_xyxy=box, **changes)

    def sets(self, before, after, **changes):
        return self.edit(Kind.PRESENCE, presence_before=before, presence_after=after, **changes)


@pytest.fixture
def alice(manifest):
    return Reviewer(manifest)


@pytest.fixture
def bob(manifest):
    return Reviewer(manifest, "bob")


@pytest.fixture
def pulls(manifest, tmp_path):
    """Pulls edits into one log and gives what has become of them."""
    return lambda *made, **options: pull(Edits(made), manifest, tmp_path / "log", NOON, **options)


@pytest.fixture
def held(tmp_path):
    """What a reviewer holds of a finding: his boxes, or a presence."""

    def look(image="made:1", finding="fluid", reviewer="alice"):
        opinion = CorrectionLog.read(tmp_path / "log").opinions[image, finding, reviewer]
        return list(opinion.boxes_xyxy) or opinion.presence

    return look


def test_a_reviewer_holds_the_sets_boxes_with_his_edits(alice, pulls, held):
    pulls(alice.moves(LEFT, shifted(LEFT)), alice.adds(NEW), alice.removes(RIGHT))

    assert held() == [shifted(LEFT), NEW]


def test_a_set_presence_takes_the_boxes_with_it_and_a_later_box_takes_the_presence(alice, pulls, held):
    pulls(alice.sets(Presence.BOXED, Presence.ABSENT))
    assert held() == Presence.ABSENT

    pulls(alice.adds(NEW))

    assert held() == [NEW]


def test_without_its_last_box_a_finding_is_unknown_until_somebody_says_that_it_is_absent(alice, pulls, held):
    pulls(alice.removes(LEFT), alice.removes(RIGHT))

    assert held() == Presence.UNKNOWN


def test_pulling_twice_adds_nothing(alice, pulls, tmp_path):
    made = (
        alice.moves(LEFT, shifted(LEFT)),
        alice.adds(NEW),
        alice.sets(Presence.PRESENT, Presence.ABSENT, finding="heart"),
    )
    first = pulls(*made)
    again = pulls(*made)

    assert (len(first.taken), len(again.taken), len(again.known)) == (3, 0, 3)
    assert again.batch is None
    assert len(list((tmp_path / "log").glob("*.jsonl"))) == 1


def test_the_same_edit_found_again_at_another_time_adds_nothing(alice, pulls):
    pulls(alice.moves(LEFT, shifted(LEFT)), alice.adds(NEW), alice.removes(RIGHT))

    again = pulls(alice.moves(LEFT, shifted(LEFT)), alice.adds(shifted(NEW, 0.3)), alice.removes(RIGHT))

    assert not again.taken
    assert not again.refused


def test_a_box_that_he_moved_before_is_found_by_where_it_stood(alice, pulls, held):
    pulls(alice.moves(LEFT, NEW))

    pulls(alice.moves(LEFT, shifted(NEW, 9)))  # the set was not built again meanwhile, so it still shows LEFT

    assert held() == [shifted(NEW, 9), RIGHT]


def test_a_dry_run_writes_nothing(alice, pulls, tmp_path):
    pulled = pulls(alice.adds(NEW), write=False)

    assert len(pulled.taken) == 1
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda who: who.adds(NEW, image="made:9"), "not in this set"),
        (lambda who: who.adds(NEW, image="made:33"), "a copy of made:3"),
        (lambda who: who.adds(NEW, sha256="e" * 64), "other pixels"),
        (lambda who: who.adds(NEW, finding="gas"), "none of the set's findings: fluid, heart"),
        (lambda who: who.moves(NEW, (*LEFT[:2], 70.0, 90.0)), "changed or removed since"),
        (lambda who: who.removes(NEW), "changed or removed since"),
        (lambda who: who.edit(Kind.KEPT, box_before_xyxy=NEW), "changed or removed since"),
        (lambda who: who.sets(Presence.ABSENT, Presence.UNKNOWN), "was absent and is now boxed"),
        (lambda who: who.adds((10.0, 10.0, 300.0, 90.0)), "out of the picture of 256 x 256"),
        (lambda who: who.adds((10.0, 10.0, 11.0, 90.0)), "a click"),
    ],
)
def test_an_edit_that_does_not_fit_is_refused_with_its_reason_and_the_rest_goes_on(alice, pulls, held, edit, said):
    pulled = pulls(edit(alice), alice.adds(NEW))

    assert said in pulled.refused[0].reason
    assert held() == [LEFT, NEW, RIGHT]


def test_a_box_over_the_edge_by_a_slip_is_clipped(alice, pulls, held):
    pulls(alice.adds((200.0, 200.0, 256.6, 250.0)))

    assert (200.0, 200.0, 256.0, 250.0) in held()


def test_a_mark_for_a_second_opinion_says_nothing_of_the_finding(alice, pulls, tmp_path):
    made = alice.edit(Kind.MARKED, second_opinion=True)
    pulls(made)
    again = pulls(alice.edit(Kind.MARKED, second_opinion=True))

    log = CorrectionLog.read(tmp_path / "log")
    assert log.corrections == (made,)
    assert not log.opinions
    assert not again.taken


def test_a_box_that_is_kept_makes_its_reviewer_a_reader_of_it(alice, pulls, held):
    pulls(alice.edit(Kind.KEPT, box_before_xyxy=LEFT))

    assert held() == [LEFT, RIGHT]


def test_reviewers_who_differ_are_both_kept_and_named(alice, bob, pulls, held):
    pulls(alice.moves(LEFT, shifted(LEFT)))

    pulled = pulls(bob.sets(Presence.BOXED, Presence.ABSENT))

    assert held() == [shifted(LEFT), RIGHT]
    assert held(reviewer="bob") == Presence.ABSENT
    assert [(row.finding, row.reviewers) for row in pulled.conflicts] == [("fluid", ("alice", "bob"))]


def test_reviewers_who_say_the_same_are_no_conflict(alice, bob, pulls):
    pulled = pulls(alice.moves(LEFT, shifted(LEFT)), bob.moves(LEFT, shifted(LEFT)))

    assert len(pulled.taken) == 2
    assert not pulled.conflicts


def test_of_a_consensus_a_reviewer_moves_his_own_part(alice, bob, manifest, pulls, held):
    pulls(alice.moves(LEFT, shifted(LEFT, 4)), bob.moves(LEFT, shifted(LEFT, 8)))
    fused = shifted(LEFT, 6)
    for place, corner in enumerate(("x1", "y1", "x2", "y2")):
        manifest.boxes.loc[0, corner] = fused[place]  # the set as it would be built now

    pulls(bob.moves(fused, NEW))

    assert held() == [shifted(LEFT, 4), RIGHT]
    assert held(reviewer="bob") == [NEW, RIGHT]


def test_what_is_undone_can_be_pulled_again(alice, pulls, held, tmp_path):
    made = alice.adds(NEW)
    batch = pulls(made).batch
    undo(tmp_path / "log", batch.name, NOON)
    assert CorrectionLog.read(tmp_path / "log").opinions == {}

    again = pulls(made)

    assert again.batch.name == "000003"
    assert held() == [LEFT, NEW, RIGHT]


def test_the_order_of_edits_is_that_of_their_times(alice, manifest, held, pulls):
    first, second = alice.sets(Presence.ABSENT, Presence.PRESENT, image="made:2"), alice.adds(NEW, image="made:2")

    pulls(second, first)

    assert held("made:2") == [NEW]


def test_weighing_changes_neither_the_set_nor_the_log(alice, manifest):
    before, log = manifest.fingerprint, CorrectionLog()

    weigh(Edits((alice.adds(NEW),)), manifest, log)

    assert manifest.fingerprint == before
    assert log == CorrectionLog()


def test_of_a_file_of_verdicts_a_bad_row_is_named_and_the_others_are_read(alice, tmp_path):
    rows = [alice.adds(NEW).to_json(), {"image_id": "made:1"}, "nonsense", alice.adds(NEW).to_json() | {"patient": "x"}]
    for row in rows[:1]:
        row.pop("base")
    path = tmp_path / "verdicts.json"
    path.write_text(json.dumps({"schema": VERDICTS, "base": "b", "reviewer": "alice", "verdicts": rows}))

    edits = read_verdicts(path)

    assert [made.base for made in edits.corrections] == ["b"]
    assert [row.place for row in edits.unread] == [f"verdicts.json, verdict {number}" for number in (2, 3, 4)]
    assert "unknown" in edits.unread[2].reason


acts = st.lists(
    st.tuples(st.sampled_from(["add", "move", "remove", "absent"]), st.integers(0, 9), st.booleans()), max_size=12
)


@settings(max_examples=20)
@given(acts)
def test_whatever_the_order_of_edits_and_pulls_a_reviewer_holds_what_he_left_on_the_screen(tmp_path_factory, made):
    """Against a screen that is edited in place: a list of boxes, or a word. After some edits it is pulled."""
    folder = tmp_path_factory.mktemp("log")
    cells = {"fluid": ("boxed", "box"), "heart": ("unknown", "none")}
    boxes = [box_row("made:1", "fluid", LEFT), box_row("made:1", "fluid", RIGHT)]
    manifest = manifest_of(folder, [image_row(1, "train", cells)], boxes)
    alice = Reviewer(manifest)
    screen, word, waiting, all_made = [LEFT, RIGHT], Presence.BOXED, [], []
    for number, (act, which, pulled_now) in enumerate(made):
        place = which % len(screen) if screen else None
        new = (10.0 + 15 * number, 180.0, 22.0 + 15 * number, 240.0)  # nowhere near another box
        if act == "add":
            waiting.append(alice.adds(new))
            screen.append(new)
        elif act == "absent":
            waiting.append(alice.sets(word, Presence.ABSENT))
            screen = []
        elif place is not None:
            was = screen.pop(place)
            waiting.append(alice.removes(was) if act == "remove" else alice.moves(was, new))
            screen += [] if act == "remove" else [new]
        if screen or act == "absent":
            word = Presence.BOXED if screen else Presence.ABSENT
        elif word is Presence.BOXED:
            word = Presence.UNKNOWN
        if pulled_now:
            assert not pull(Edits(tuple(waiting)), manifest, folder / "log", NOON).refused
            all_made, waiting = all_made + waiting, []
    assert not pull(Edits(tuple(waiting)), manifest, folder / "log", NOON).refused
    again = pull(Edits(tuple(all_made + waiting)), manifest, folder / "log", NOON)

    opinion = CorrectionLog.read(folder / "log").opinions.get(("made:1", "fluid", "alice"))
    assert not again.taken
    assert (sorted(opinion.boxes_xyxy) if opinion else [LEFT, RIGHT]) == sorted(screen)
    assert (opinion.presence if opinion else Presence.BOXED) is word
