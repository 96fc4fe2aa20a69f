import json
import re
from importlib.resources import files

import cv2
import numpy as np
import pytest

from boxray.core.findings import Finding, LabelSpace
from boxray.core.reading import SaliencyMap
from boxray.imaging.draw import film_of, map_picture
from boxray.localization.page import told_apart
from boxray.serve.packing import packed_pixels
from boxray.serve.viewer import FILES, colours, letters, looks, viewer_code, viewer_script, viewer_style
from boxray.serve.words import LANGUAGES, words_in
from serve.reading_room import SPACE


def a_space(*displays):
    return LabelSpace("made", tuple(Finding(name.lower(), name, "it", "#EE6677") for name in displays))


def test_every_script_beside_the_module_is_joined_and_no_other():
    there = {file.name for file in files("boxray.serve.viewer").iterdir() if file.name.endswith(".js")}

    assert there == set(FILES)
    assert all(files("boxray.serve.viewer").joinpath(name).read_text() in viewer_code() for name in FILES)


def test_nothing_is_asked_of_a_host_outside():
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", viewer_code() + viewer_style())
    assert "@import" not in viewer_style()


@pytest.mark.parametrize(
    "displays",
    [("Edema",), ("Edema", "Emphysema", "Effusion", "Empyema"), tuple("abcdefgh"), ("A", "a ", "A-")],
)
def test_no_two_findings_have_the_same_letter(displays):
    signs = letters(a_space(*displays))

    assert len(set(signs)) == len(displays)


def test_no_two_of_eight_findings_have_the_same_dashes():
    assert len({tuple(look["dash"]) for look in looks(SPACE)}) == len(SPACE.findings)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_that_the_viewer_says_is_in_the_catalogue(language):
    said = set(re.findall(r"'((?:viewer|table|agreement|refused|role|banner)\.[a-zA-Z_]+)'", viewer_code()))
    acts = re.findall(r"(\w+): \(", viewer_code()[viewer_code().index("actions() {") :])
    made = [f"viewer.{act}_help" for act in acts if act not in {"setLayout", "reader"}]
    texts = words_in(language)

    missing = [key for key in sorted(said) + made if key not in texts]

    assert len(said) > 50
    assert missing == []


def test_the_script_carries_its_texts_in_all_languages_and_nothing_that_ends_a_script():
    script = viewer_script(SPACE, {each: words_in(each) for each in LANGUAGES}, lowest=0.01, examples=["</script>"])

    setup = json.loads(script.rsplit("boxray.openRoom(element, ", 1)[1].removesuffix(");"))

    assert set(setup["words"]) == set(LANGUAGES)
    assert "</script" not in script


# In a browser, without a server


@pytest.fixture
def blank(browser):
    """An empty page that knows the viewer's functions as ``boxray``."""
    page = browser.new_page()
    page.evaluate(f"window.boxray = {viewer_code()}; 0")
    yield page
    page.close()


@pytest.mark.browser
def test_the_values_in_the_browser_are_the_radiographs_16_bit_values(blank):
    grey = np.random.default_rng(0).integers(0, 65536, (37, 53)).astype(np.uint16)
    packed = packed_pixels((grey / np.float32(65535)).astype(np.float32))

    there = blank.evaluate("(bytes) => [...boxray.unpackedPixels(new Uint8Array(bytes).buffer).pixels]", list(packed))

    assert there == grey.ravel().tolist()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("level", "width", "inverted", "value", "grey"),
    [
        (0.5, 1, False, 0, 0),
        (0.5, 1, False, 65535, 255),
        (0.5, 1, False, 32768, 128),  # the file's own shades
        (0.5, 1, True, 0, 255),
        (0.25, 0.5, False, 32768, 255),  # the upper half is white
        (0.75, 0.5, False, 32767, 0),  # the lower half is black
        (0.5, 0.5, False, 32768, 128),
    ],
)
def test_a_window_gives_each_value_its_shade(blank, level, width, inverted, value, grey):
    rgba = blank.evaluate(
        "([level, width, inverted, value]) => boxray.shades({level, width}, inverted)[value]",
        [level, width, inverted, value],
    )

    assert rgba == 0xFF000000 | grey * 0x010101


SAID = {
    "reading": {
        "models": {"detector": {"thresholds": {"a": 0.3}}, "classifier": {"thresholds": {"a": 0.5}}},
        "not_assessed": {"detector": ["c"], "classifier": []},
        "scores": {"a": 0.7, "b": 0.1, "c": 0.2},
        "detections": [
            {"finding": key, "box_xyxy": [0, 0, 9, 9], "score": 0}
            for key in ("a", "b", "a", "a")  # by falling score
        ],
    },
    "scores": [0.9, 0.5, 0.3, 0.1],
    "by_boxes": {"a": [{"case": "map_only"}, {"case": "one"}, {"case": "two"}, {"case": "three"}], "b": []},
}


@pytest.mark.browser
@pytest.mark.parametrize(
    ("threshold", "ids", "case_of_a"),
    [
        (None, [0, 1, 2], "two"),  # a from 0.3 on, b has no stored threshold
        (0.2, [0, 1, 2], "two"),
        (0.31, [0, 1], "one"),
        (0.01, [0, 1, 2, 3], "three"),
        (0.95, [], "map_only"),
    ],
)
def test_a_threshold_keeps_the_boxes_that_reach_it_numbered_as_a_reading_numbers_them(blank, threshold, ids, case_of_a):
    shown, rows = blank.evaluate(
        """([said, threshold]) => [boxray.boxesAt(said, threshold),
           boxray.rowsAt(said, ['a', 'b', 'c'].map((key) => ({key})), threshold)]""",
        [SAID, threshold],
    )

    assert [box["index"] for box in shown] == ids
    assert [box["id"] for box in shown] == [f"d{number}" for number in range(1, len(ids) + 1)]
    assert rows[0]["agreement"]["case"] == case_of_a
    assert rows[2]["state"] == "not_assessed"
    assert rows[2]["agreement"] is None


@pytest.mark.browser
def test_a_score_and_its_threshold_have_the_digits_that_the_demos_page_gives_them(blank):
    pairs = [(0.031, 0.0329), (0.5, 0.033), (0.25, 0.2541), (0.83, 0.3), (0.1, 0.1), (0.2999996, 0.3), (0.0996, 0.1)]

    written = blank.evaluate("(pairs) => pairs.map(([score, least]) => boxray.apartWords(score, least))", pairs)

    assert [tuple(each) for each in written] == [told_apart(*pair) for pair in pairs]
    assert written[0] == ["0.031", "0.033"]


@pytest.mark.browser
def test_a_point_stays_under_the_finger_when_zoomed(blank):
    before, after = blank.evaluate("""() => {
      const pane = {left: 10, top: 0, width: 600, height: 400}, film = {width: 1000, height: 900};
      const view = boxray.zoomedAt({zoom: 2, x: 0.5, y: 0.5}, pane, film, 1.5, 200, 100);
      const under = (each) => boxray.toFilm(each, pane, film, 200, 100);
      return [under({zoom: 2, x: 0.5, y: 0.5}), under(view)];
    }""")

    assert after == pytest.approx(before)


@pytest.mark.browser
def test_a_reader_accepts_takes_back_changes_and_draws_and_the_models_boxes_stay(blank):
    told = blank.evaluate("""() => {
      const said = new boxray.Annotations(() => {}), box = {index: 4, finding: 'a', box: [0, 0, 9, 9]};
      const steps = [];
      const step = (act) => { act(); steps.push(said.told('R').map(({action, of}) => `${action} ${of}`).join(', ')); };
      let key;
      step(() => said.judge(box, 'accepted'));
      step(() => said.judge(box, 'rejected'));
      step(() => said.judge(box, 'rejected'));
      step(() => { key = said.change(box); });
      step(() => said.update(key, {finding: 'b', box: [1, 1, 8, 8]}));
      step(() => said.draw('c', [2, 2, 5, 5]));
      const boxes = said.boxes.map(({id, finding, box}) => [id, finding, box]);
      step(() => said.remove(key));
      return [steps, boxes, box.box];
    }""")

    assert told == [
        ["accepted 4", "rejected 4", "", "changed 4", "changed 4", "changed 4, drawn null", "drawn null"],
        [["r1", "b", [1, 1, 8, 8]], ["r2", "c", [2, 2, 5, 5]]],
        [0, 0, 9, 9],
    ]


@pytest.mark.browser
@pytest.mark.parametrize(
    ("edges", "right", "down", "box"),
    [
        (None, 5, 5, [15, 15, 35, 35]),
        (None, 500, -500, [80, 0, 100, 20]),  # stays on the film
        ([True, False, False, False], -50, 7, [0, 10, 30, 30]),
        ([False, False, True, True], -50, 100, [10, 10, 14, 90]),  # never smaller than a finger's breadth
    ],
)
def test_a_box_that_is_moved_or_resized_stays_on_the_film(blank, edges, right, down, box):
    moved = blank.evaluate(
        "([edges, right, down]) => boxray.reshaped([10, 10, 30, 30], edges, right, down, {width: 100, height: 90})",
        [edges, right, down],
    )

    assert moved == box


@pytest.mark.browser
def test_a_map_has_the_colours_of_the_picture_that_is_saved(blank):
    values = np.linspace(0, 2, 64, dtype=np.float32).reshape(8, 8)
    film = film_of(np.full((8, 8), 0.5, dtype=np.float32))
    expected = map_picture(film, SaliencyMap("edema", values).values, 2.0, SPACE)[:8, :8]

    there = blank.evaluate(
        """([map, colours]) => {
          const canvas = document.createElement('canvas');
          canvas.width = canvas.height = 8;
          const context = canvas.getContext('2d');
          context.fillStyle = 'rgb(128, 128, 128)';
          context.fillRect(0, 0, 8, 8);
          context.drawImage(boxray.mapPicture(map, 8, 8, colours, boxray.OVERLAY_OPACITY), 0, 0);
          return [...context.getImageData(0, 0, 8, 8).data];
        }""",
        [np.round(values / 2 * 65535).astype(int).ravel().tolist(), colours()],
    )

    rgb = np.array(there).reshape(8, 8, 4)[:, :, :3]
    assert cv2.absdiff(rgb.astype(np.uint8), expected).max() <= 3  # the canvas keeps colours times their opacity
