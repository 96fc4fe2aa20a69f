"""The report of a made detector on drawn chests: its files, what they say, and what they never say."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from boxray.core.boxes import Box
from boxray.core.reading import DISCLAIMER, Detection, ModelIdentity
from boxray.data.split import Split
from boxray.detection.evaluate import judge
from boxray.detection.report.evaluation import reader_ceilings, whole_evaluation
from boxray.detection.report.write import write_report
from boxray.page.judged import JudgedOn
from built import SQUARE_XYXY, build_tiny_set

MODEL = ModelIdentity("made<b>", "1", "0" * 64, {"fluid": 0.5})
HIT, FALSE = Detection("fluid", 0.9, Box(*SQUARE_XYXY)), Detection("fluid", 0.7, Box(0, 0, 30, 30))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on six images: two boxes found, one missed, a false box on an image without fluid."""
    manifest = build_tiny_set(tmp_path_factory.mktemp("tiny")).part(Split.TEST)
    detections = [(HIT,), (FALSE,), (HIT,), (), (), ()]
    results = [
        judge(manifest, detections, key, assessed=key == "fluid", threshold=MODEL.thresholds.get(key), rounds=20)
        for key in manifest.label_space.keys
    ]
    evaluation = whole_evaluation(
        manifest,
        detections,
        results,
        MODEL,
        JudgedOn.of(manifest, fingerprint="f" * 64, split="test", with_assumed=False, rounds=20),
        told=None,
        told_note="torch is <not> here",
    )
    out = tmp_path_factory.mktemp("report")
    (out / "gallery").mkdir()
    (out / "gallery" / "old.png").write_bytes(b"of an earlier report")
    return write_report(out, evaluation, manifest, detections).parent


def test_the_numbers_are_plain_json_with_the_counts_beside_them(folder: Path) -> None:
    content = json.loads((folder / "results.json").read_text(), parse_constant=pytest.fail)

    fluid, heart = content["findings"]
    assert (fluid["boxes"], fluid["images_with"], fluid["images_without"], fluid["patients"]) == (3, 3, 3, 6)
    assert fluid["at_threshold"]["sensitivity"]["value"] == pytest.approx(2 / 3, abs=1e-4)
    assert fluid["sensitivity_at_false_per_image"]["1"]["value"] == pytest.approx(2 / 3, abs=1e-4)
    assert heart["ap50"] is None
    assert content["false_boxes_where_absent"][0]["false_boxes"] == 1
    assert content["source_from_features"] == {"not_computed": "torch is <not> here"}
    assert content["disclaimer"] == DISCLAIMER


def test_reliability_stands_in_numbers_and_as_a_plot(folder: Path) -> None:
    told = json.loads((folder / "results.json").read_text())["findings"][0]["reliability"]
    page = (folder / "report.html").read_text()

    assert (told["detections"], told["hits"]) == (3, 2)
    assert told["ece"]["value"] == pytest.approx((2 * 0.1 + 0.7) / 3, abs=1e-4)  # two hits at 0.9, a false box at 0.7
    assert [(each["low"], each["detections"]) for each in told["bins"]] == [(0.7, 1), (0.9, 2)]
    assert page.count('aria-label="reliability"') == 1  # heart is not assessed
    assert "3 boxes scored 0.01 or more, 2 of them hits" in page


def test_the_gallery_holds_the_errors_of_this_report_only(folder: Path) -> None:
    content = json.loads((folder / "results.json").read_text())

    named = {fault["picture"] for fault in content["gallery"]["fluid"]}
    assert {f"gallery/{file.name}" for file in (folder / "gallery").iterdir()} == named
    assert sorted(fault["kind"] for fault in content["gallery"]["fluid"]) == ["false box", "miss"]


def test_the_page_asks_no_host_and_runs_no_script(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    words = re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)

    assert not re.search(r"https?:|//[a-z]|<script|@import|url\(", words)
    assert set(re.findall(r'src="([^"]*)', words)) == {"data:image/jpeg;"}


def test_the_page_says_what_was_not_assessed_and_what_was_not_computed(folder: Path) -> None:
    page = (folder / "report.html").read_text()

    assert "Not assessed: the detector was never trained to box it." in page
    assert "Not computed: torch is &lt;not&gt; here" in page
    assert page.count(DISCLAIMER) >= 2


def test_names_from_outside_are_escaped(folder: Path) -> None:
    assert "made<b>" not in (folder / "report.html").read_text()


class Balance(HTMLParser):
    """Which elements are open; void ones and SVG's closed ones never are."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in {"meta", "img", "br", "link"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_element_of_the_page_is_closed_in_order(folder: Path) -> None:
    balance = Balance()

    balance.feed((folder / "report.html").read_text())

    assert balance.open == []


def test_the_ceiling_of_the_readers_comes_from_the_audit_of_the_build(tmp_path: Path) -> None:
    manifest = build_tiny_set(tmp_path)
    assert reader_ceilings(manifest) == {}
    row = {"images": 4, "boxes": 11, "f1": 0.25, "f1_low": 0.0, "f1_high": 0.5}
    manifest.save({"audit": {"readers": {"fluid": row}}})

    ceiling = reader_ceilings(manifest)["fluid"]

    assert (ceiling.n_images, ceiling.n_boxes, ceiling.f1.value, ceiling.f1.high) == (4, 11, 0.25, 0.5)
