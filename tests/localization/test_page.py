from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from boxray.core.boxes import Box
from boxray.core.errors import InputError, Outcome
from boxray.core.findings import Finding, LabelSpace
from boxray.core.reading import DISCLAIMER, Agreement, Case, Detection, ModelIdentity, Reading
from boxray.localization.page import Item, boxes_table, findings_table, rows_of, source_url, write_page

EVIL = """</title><script>alert(1)</script>"'><img src=x onerror=alert(2)>"""
KEYS = ("edema", "pneumonia", "tuberculosis", "cardiomegaly", "emphysema", "covid", "effusion", "atelectasis")
SPACE = LabelSpace("eight", tuple(Finding(key, key.capitalize(), "it", "#EE6677") for key in KEYS))
PICTURE = np.arange(30 * 40 * 3, dtype=np.uint32).astype(np.uint8).reshape(30, 40, 3)


class Parsed(HTMLParser):
    """A page as a browser's parser sees it: tags with their attributes, and the text of table rows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_data(self, data):
        self.text += data
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data

    def row(self, name: str) -> list[str]:
        return next(row for row in self.rows if row and row[0] == name)


def a_reading(file: str = "a.png", **changes) -> Reading:
    stated = {
        "size_wh": (100, 120),
        "detections": (
            Detection("effusion", 0.83, Box(10, 20, 40, 60)),
            Detection("effusion", 0.41, Box(50, 20, 70, 60)),
        ),
        "scores": {key: 0.25 for key in KEYS if key != "covid"},
        "not_assessed": {"detector": ("edema", "emphysema"), "classifier": ("covid",)},
        "agreement": tuple(Agreement(key, Case.BOX_ONLY if key == "effusion" else Case.NEITHER) for key in KEYS),
        "models": {"detector": ModelIdentity("yolo", "1", "ab" * 32, {"atelectasis": 0.3})},
    }
    return Reading(file, Outcome.RESULT, **{**stated, **changes})


def a_page(folder, *readings: Reading, **options) -> Parsed:
    page = write_page(folder, [Item(reading, PICTURE) for reading in readings], SPACE, **options)
    return Parsed(page.read_text(encoding="utf-8"))


def test_a_result_has_one_row_per_finding_in_the_order_of_the_label_space(tmp_path):
    page = a_page(tmp_path, a_reading())

    names = [row[0] for row in page.rows if len(row) == 5]

    assert names == ["Finding", *(key.capitalize() for key in KEYS)]


def test_boxed_no_box_and_not_assessed_are_three_things(tmp_path):
    page = a_page(tmp_path, a_reading())

    assert page.row("Effusion")[1:3] == ["boxed (2)", "0.83"]
    assert page.row("Pneumonia")[1:3] == ["no box", "none"]
    assert page.row("Edema")[1:3] == ["not assessed", "not assessed"]
    assert page.row("Covid")[3] == "not assessed"
    assert page.row("Edema")[4] == "Not compared: not assessed by the detector"
    assert page.row("Effusion")[4] == "Box only"


def test_a_box_below_its_threshold_is_told_but_not_counted():
    below = Detection("atelectasis", 0.12, Box(1, 2, 3, 4))
    rows = rows_of(a_reading(), SPACE, a_reading(detections=(*a_reading().detections, below)))

    parsed = Parsed(findings_table(rows))

    assert parsed.row("Atelectasis")[1:3] == ["no box", "0.12, below 0.30"]


def test_a_threshold_that_was_asked_for_stands_in_place_of_the_stored_one():
    below = Detection("atelectasis", 0.12, Box(1, 2, 3, 4))
    rows = rows_of(a_reading(min_score=0.2), SPACE, a_reading(detections=(*a_reading().detections, below)))

    assert Parsed(findings_table(rows)).row("Atelectasis")[2] == "0.12, below 0.20"


CLOSE = [
    (0.031, 0.0329, "0.031", "0.033"),  # two digits would be 0.03 and 0.03
    (0.5, 0.033, "0.50", "0.033"),
    (0.25, 0.2541, "0.250", "0.254"),
    (0.2999996, 0.3, "0.300000", "0.300000"),  # more digits than anybody reads
]
"""Score, threshold, and how both are written side by side."""


@pytest.mark.parametrize(("score", "threshold", "score_said", "threshold_said"), CLOSE)
def test_a_score_and_its_threshold_have_the_digits_that_tell_them_apart(score, threshold, score_said, threshold_said):
    models = {"classifier": ModelIdentity("cnn", "1", "cd" * 32, {"edema": threshold}),
              "detector": ModelIdentity("yolo", "1", "ab" * 32, {"atelectasis": threshold})}  # fmt: skip
    reading = a_reading(scores={"edema": score}, detections=(), models=models, not_assessed={"detector": ()})
    box = Detection("atelectasis", score, Box(1, 2, 3, 4))

    parsed = Parsed(findings_table(rows_of(reading, SPACE, a_reading(detections=(box,)))))

    assert parsed.row("Edema")[3] == f"{score_said}{'≥' if score >= threshold else '<'} {threshold_said}"
    if score < threshold:
        assert parsed.row("Atelectasis")[2] == f"{score_said}, below {threshold_said}"


@pytest.mark.parametrize(("score", "said"), [(0.62, "≥"), (0.5, "≥"), (0.49, "<")])
def test_a_score_stands_beside_its_threshold(score, said):
    reading = a_reading(
        scores={"edema": score}, models={"classifier": ModelIdentity("cnn", "1", "cd" * 32, {"edema": 0.5})}
    )

    parsed = Parsed(findings_table(rows_of(reading, SPACE)))

    assert parsed.row("Edema")[3] == f"{score:.2f}{said} 0.50"


def test_every_box_has_a_row_with_its_place():
    parsed = Parsed(boxes_table(a_reading(), SPACE))

    assert parsed.rows[1:] == [
        ["d1", "Effusion", "0.83", "10, 20, 40, 60"],
        ["d2", "Effusion", "0.41", "50, 20, 70, 60"],
    ]


def test_no_box_at_all_is_a_sentence_and_not_an_empty_table():
    assert "not a statement of absence" in boxes_table(a_reading(detections=()), SPACE)


def test_what_was_refused_has_a_reason_and_no_table(tmp_path):
    page = a_page(tmp_path, Reading.not_answered("a.png", InputError("image.colour", "three different channels")))

    assert "image.colour" in page.text
    assert "three different channels" in page.text
    assert "neither present nor absent" in page.text
    assert page.rows == []


def test_a_hostile_name_stays_a_name(tmp_path):
    hostile = LabelSpace("evil", (Finding("x", EVIL, EVIL, "#EE6677"),))
    readings = [
        Reading(EVIL, Outcome.RESULT, size_wh=(9, 9), detections=(Detection("x", 0.5, Box(1, 1, 2, 2)),), notes=(EVIL,),
                not_assessed={EVIL: ("x",)}, models={EVIL: ModelIdentity(EVIL, EVIL, EVIL)}),
        Reading.not_answered(EVIL, InputError("image.colour", EVIL)),
    ]  # fmt: skip

    path = write_page(tmp_path, [Item(reading, PICTURE) for reading in readings], hostile, title=EVIL, source=EVIL)
    page = Parsed(path.read_text(encoding="utf-8"))

    assert not any(tag == "script" for tag, _ in page.tags)
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert sum(tag == "img" for tag, _ in page.tags) == 1
    assert page.text.count(EVIL) >= 6


def test_the_page_asks_no_other_host(tmp_path):
    page = a_page(tmp_path, a_reading(), a_reading("b.png"), source="https://example.org/source")

    wanted = [attributes["src"] for _, attributes in page.tags if "src" in attributes]
    links = [attributes["href"] for _, attributes in page.tags if "href" in attributes]

    assert wanted == ["001.png", "002.png"]
    assert links == ["001.png", "002.png", "https://example.org/source"]
    assert "url(" not in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_pictures_are_written_without_loss_under_names_of_our_own(tmp_path):
    a_page(tmp_path / "new", a_reading("../../etc/passwd"))

    stored = cv2.imread(str(tmp_path / "new" / "001.png"))

    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["001.png", "index.html"]
    assert (cv2.cvtColor(stored, cv2.COLOR_BGR2RGB) == PICTURE).all()


def test_the_page_says_research_use_only_and_where_the_source_is(tmp_path):
    page = a_page(tmp_path, a_reading())

    assert DISCLAIMER in page.text
    assert source_url() in [attributes.get("href") for _, attributes in page.tags]
    assert source_url().startswith("https://")


@pytest.mark.parametrize("n_findings", [1, 6, 8])
def test_any_label_space_has_as_many_rows_as_findings(n_findings):
    space = LabelSpace("n", SPACE.findings[:n_findings])

    assert len(rows_of(Reading("a", Outcome.RESULT, size_wh=(9, 9)), space)) == n_findings
