"""The pages Compare, Model and About, in three languages."""

import json
import os
import re
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest

from boxray.core.reading import ModelIdentity
from boxray.data.card import load_label_space
from boxray.serve.pages.about import about_html
from boxray.serve.pages.compare import COMMAND, Told, newest_comparison, nothing_html
from boxray.serve.pages.films import films_in
from boxray.serve.pages.model import JOBS, card_of, licences_of, model_html
from boxray.serve.pages.worst import report_of, worst_errors, worst_html
from boxray.serve.words import LANGUAGES, words_in
from boxray.weights import ModelCard, released_cards
from serve.comparison_folder import PIXEL, write_folder

SPACE = load_label_space("chest8")
STRANGER = ModelIdentity("<b>mine", "9", "0" * 64)


def text_of(html: str) -> str:
    words = []
    parser = HTMLParser()
    parser.handle_data = words.append
    parser.feed(html)
    return " ".join(" ".join(words).split())


def released() -> dict[str, ModelIdentity]:
    return {
        role: ModelCard.model_validate_json(released_cards(job)[0].read_text("utf-8")).identity()
        for role, job in JOBS.items()
    }


# Compare


def test_the_newest_comparison_is_shown_and_nothing_else(tmp_path):
    assert newest_comparison(tmp_path / "none") is None
    (tmp_path / "summary.json").write_text('{"schema": "another/1"}')
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "summary.json").write_text("{")
    assert newest_comparison(tmp_path) is None

    old, new = write_folder(tmp_path / "new"), write_folder(tmp_path / "old")
    os.utime(old / "summary.json", (1e9, 1e9))

    assert newest_comparison(tmp_path) == new
    assert newest_comparison(old) == old


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_comparison_is_told_with_its_figures(language, tmp_path):
    words = words_in(language)
    told = Told(write_folder(tmp_path), words, SPACE)

    whole, part = text_of(told.whole()), text_of(told.part("effusion"))

    assert "75%" in whole
    assert "+50" in whole
    assert "0.75 (0.65–0.85)" in whole
    assert "+0.50 (+0.40, +0.60)" in whole
    assert "mobile<b> 1" in whole
    assert words.finding(SPACE["edema"]) in whole  # not compared
    assert f"{words.finding(SPACE['effusion'])} (nih)" in whole  # one source only
    assert words.finding(SPACE["effusion"]) in part
    assert "0.25 (0.15–0.35)" in part
    assert told.part("edema") == ""


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("said", "taught"), [({}, "labels"), ({"maps_taught_by_boxes": True}, "boxes")])
def test_a_comparison_tells_what_its_maps_learned_from(language, said, taught, tmp_path):
    words = words_in(language)

    whole = text_of(Told(write_folder(tmp_path, **said), words, SPACE).whole())

    for one in ("labels", "boxes"):
        assert (words[f"compare.taught.{one}"] in whole) is (one == taught)
    assert words[f"model.maps.{taught}"] in whole


def test_what_comes_from_the_folder_is_text_and_not_html(tmp_path):
    hostile = {"split": "<script>alert(1)</script>", "images": 1, "patients": 1, "sources": {"effusion": {"<img>": 1}}}

    said = Told(write_folder(tmp_path, data=hostile), words_in("en"), SPACE).whole()

    assert "<script" not in said
    assert "<img" not in said


def test_films_are_only_the_pictures_that_lie_in_the_page(tmp_path):
    films = films_in(write_folder(tmp_path) / "compare.html")

    assert set(films) == {"effusion"}
    assert re.findall(r'src="([^"]*)"', films["effusion"]) == [PIXEL]
    assert "Effusion &lt;one&gt;" in films["effusion"]
    assert "Who points right" in films["effusion"]
    assert "script" not in films["effusion"]
    assert films_in(tmp_path / "none.html") == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_a_comparison_it_is_said_how_one_is_made(language):
    assert COMMAND in nothing_html(words_in(language))


# Model


REPORT = f"""<section id="effusion"><details><summary>Figures</summary></details>
<details><summary>Worst misses (1)</summary><script>alert(1)</script>
<figure><img src="{PIXEL}" alt="miss: <b>"></figure></details></section>"""


def write_report(folder, sha256, **changes):
    folder.mkdir()
    results = {"schema": "boxray.detection.evaluation/1", "model": {"sha256": sha256}} | changes
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "report.html").write_text(REPORT)


def test_pictures_of_the_worst_errors_are_those_of_a_report_on_the_very_same_weights(tmp_path):
    models = {"detector": ModelIdentity("yolo", "1", "ab" * 32), "classifier": STRANGER}
    write_report(tmp_path / "others", "cd" * 32)
    write_report(tmp_path / "older", "ab" * 32)
    write_report(tmp_path / "other_kind", "ab" * 32, schema="another/1")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "results.json").write_text("[")
    os.utime(tmp_path / "older" / "results.json", (1e9, 1e9))
    assert report_of(models["detector"], tmp_path) == tmp_path / "older" / "report.html"
    write_report(tmp_path / "newer", "ab" * 32)

    errors = worst_errors(models, tmp_path)
    said = worst_html(words_in("es"), errors, "effusion")

    assert report_of(models["detector"], tmp_path) == tmp_path / "newer" / "report.html"
    assert {role: set(of) for role, of in errors.items()} == {"detector": {"effusion"}}
    assert re.findall(r'src="([^"]*)"', said) == [PIXEL]
    assert "Worst misses (1)" in said
    assert "Figures" not in said
    assert "<script" not in said
    assert worst_html(words_in("es"), errors, "edema") == ""
    assert worst_errors(models, tmp_path / "none") == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_model_page_says_what_is_not_assessed_in_each_language(language):
    words, models = words_in(language), released()
    cards = {role: card_of(role, models[role]) for role in JOBS}
    card, _ = cards["detector"]

    said = text_of(model_html(words, models, cards))

    silent = [words.finding(card.space[key]) for key in card.space.keys if key not in card.assessed]
    assert silent
    assert words("model.silent", findings=words["list.comma"].join(silent)) in said
    assert card.identity().sha256 in said
    assert card.licence in said
    for key, point in card.operating_points.items():
        assert f"{point.threshold:.3g}" in said, key
        assert point.chosen in said


@pytest.mark.parametrize(("pointing", "taught"), [(0.0, "labels"), (0.3, "boxes")])
def test_the_model_page_says_what_the_maps_learned_from(pointing, taught):
    words, models = words_in("en"), released()
    card, name = card_of("classifier", models["classifier"])
    made = card.trained_on.model_copy(update={"recipe": card.trained_on.recipe | {"pointing": pointing}})
    cards = {"classifier": (card.model_copy(update={"trained_on": made}), name), "detector": None}

    said = text_of(model_html(words, models, cards))

    assert f"{words['model.maps']} {words[f'model.maps.{taught}']}" in said


def test_a_model_without_a_released_card_is_named_and_no_more():
    cards = {role: card_of(role, STRANGER) for role in JOBS}

    said = model_html(words_in("en"), {"detector": STRANGER}, cards)

    assert set(cards.values()) == {None}
    assert "&lt;b&gt;mine" in said
    assert words_in("en")["model.unknown"] in text_of(said)
    assert words_in("en")["model.none"] in text_of(said)


# About


@pytest.mark.parametrize("language", LANGUAGES)
def test_about_names_source_licences_and_the_interface(language):
    words = words_in(language)
    licences = licences_of(released())

    said = about_html(words, 'https://example.org/"source', licences)

    assert words["disclaimer"] in text_of(said)
    assert 'href="https://example.org/&quot;source"' in said
    assert 'href="v1/openapi.json"' in said
    assert len(licences) == 2
    assert all(line in text_of(said) for line in licences)
    assert re.search(r"boxray \d+\.\d+", text_of(said))


# In a browser


@pytest.fixture
def in_language(served, browser):
    """Opens the app in a browser whose language is given; what it asked for is kept beside the page."""
    contexts = []

    def opened(accepted: str, width: int = 1300):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, extra_http_headers={"accept-language": accepted}
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.asked, page.faults = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.goto(served.url)
        page.wait_for_selector("#banner .bx-banner")
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.browser
@pytest.mark.parametrize(("accepted", "language", "width"), [("zh-CN,zh", "zh", 390), ("es-AR", "es", 1300)])
def test_all_pages_speak_the_browsers_language_and_fit(accepted, language, width, in_language, served):
    words = words_in(language)
    write_folder(served.uploads.parent / "compare")
    page = in_language(accepted, width)

    assert page.get_attribute("html", "lang") == words.tag
    assert words["disclaimer"] in page.inner_text("#banner")
    shown = (
        ("compare", "#compare-part .pairs", words("compare.mean", n=2)),
        ("model", "#model section", words["model.limits"]),
        ("about", "#about section", words["about.privacy"]),
    )
    for tab, there, said in shown:
        page.get_by_role("tab", name=words[f"tab.{tab}"]).click()
        page.wait_for_selector(there)
        assert said in page.inner_text(f"#{tab}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    assert page.faults == []
    assert {urlsplit(url).hostname for url in page.asked if not url.startswith(("data:", "blob:"))} == {"127.0.0.1"}


@pytest.mark.browser
def test_a_page_comes_whole_in_one_answer_and_nothing_is_asked_before(in_language, served):
    write_folder(served.uploads.parent / "compare")
    page = in_language("es")
    asked = [url for url in page.asked if urlsplit(url).path.endswith("/queue/join")]
    assert asked == []  # a tab opened at once would not wait for what is asked here

    page.get_by_role("tab", name=words_in("es")["tab.compare"]).click()
    page.wait_for_selector("#compare-part .pairs")

    asked = [url for url in page.asked if urlsplit(url).path.endswith("/queue/join")]
    assert len(asked) == 1


@pytest.mark.browser
def test_another_language_is_chosen_by_its_name_and_stays(in_language):
    page = in_language("en")
    assert page.get_attribute("[data-language=en]", "aria-pressed") == "true"

    page.click("[data-language=zh]")
    page.wait_for_selector("[data-language=zh][aria-pressed=true]")
    page.reload()
    page.wait_for_selector("[data-language=zh][aria-pressed=true]")

    assert words_in("zh")["banner.caution"] in page.inner_text("#banner")
    assert page.get_by_role("tab", name=words_in("zh")["tab.about"]).count() == 1


@pytest.mark.browser
def test_nothing_of_a_comparison_can_be_asked_for_as_a_file(served):
    import httpx

    folder = write_folder(served.uploads.parent / "compare")

    with httpx.Client(base_url=served.url, trust_env=False, timeout=60) as door:
        for address in (f"/gradio_api/file={folder / 'summary.json'}", "/compare/summary.json", f"/file={folder}"):
            answer = door.get(address)
            assert answer.status_code in {403, 404}, address
            assert json.dumps(str(folder)) not in answer.text
