"""The catalogue: every key in every language, none unused, none missing that the sources name."""

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import boxray
from boxray.core.errors import CODES
from boxray.core.findings import Finding, LabelSpace
from boxray.core.reading import DISCLAIMER
from boxray.data.card import load_label_space
from boxray.localization.words import ENGLISH
from boxray.serve.problems import REQUEST_CODES
from boxray.serve.words import LANGUAGES, browser_words, language_of, words_in
from boxray.serve.words.catalogue import placeholders
from boxray.serve.words.spoken import head_script

ROOM = Path(boxray.__file__).parent
SOURCES = [*(ROOM / "serve").rglob("*.py"), *(ROOM / "serve").rglob("*.js"), *(ROOM / "localization").glob("*.py")]
OTHERS = [language for language in LANGUAGES if language != "en"]
PREFIXES = {key.partition(".")[0] for key in words_in("en") if "." in key}


def label_spaces() -> list[LabelSpace]:
    bench = Path(__file__).parents[2] / "data" / "label_spaces"
    return [load_label_space(path.stem) for path in sorted(bench.glob("*.yaml"))]


def sources() -> str:
    return "\n".join(path.read_text("utf-8") for path in SOURCES)


@pytest.mark.parametrize("language", OTHERS)
def test_every_language_has_every_key_and_the_names_of_the_findings_besides(language):
    names = {f"finding.{finding.key}" for space in label_spaces() for finding in space}

    assert set(words_in(language)) - names == set(words_in("en"))
    assert names <= set(words_in(language))


@pytest.mark.parametrize("language", OTHERS)
def test_a_text_has_the_placeholders_of_the_english_one(language):
    english, other = words_in("en"), words_in(language)

    differing = [key for key in english if placeholders(english[key]) != placeholders(other[key])]

    assert differing == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_empty_and_none_is_left_in_english(language):
    words = words_in(language)

    assert all(text.strip() for text in words.values())
    if language == "zh":  # in Spanish some words are the same
        latin = [key for key, text in words.items() if not re.search(r"[\u3001-\u9fff]", text)]
        assert set(latin) <= {"viewer.zoom_value", "tab.boxray"}, latin


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_file_names_no_key_twice(language):
    pairs = json.loads(
        files("boxray.serve.words").joinpath(f"{language}.json").read_text("utf-8"), object_pairs_hook=list
    )

    assert len({key for key, _ in pairs}) == len(pairs)


def test_english_words_of_lower_rooms_are_taken_from_there():
    words = words_in("en")

    assert words["disclaimer"] == DISCLAIMER
    assert all(words.refusal(name) == code.meaning for name, code in CODES.items())
    assert all(words.refusal(name) == meaning for name, (_, meaning) in REQUEST_CODES.items())
    assert all(words[key] == text for key, text in ENGLISH.items())
    written = json.loads(files("boxray.serve.words").joinpath("en.json").read_text("utf-8"))
    assert not {key for key in written if key.startswith("refusal.")}
    assert not set(written) & set(ENGLISH)


def test_every_key_is_used():
    said = sources()
    words = set(re.findall(r"\w+", said))
    made = re.findall(r"[\"'`]([a-z_]+\.[a-z_.]*\$?\{[^}]*\}[a-z_]*)", said)  # such as `viewer.${act}_help`
    patterns = {re.sub(r"\\?\$?\\\{.*\\\}", r"(\\w+)", re.escape(each)) for each in made}

    def is_used(key: str) -> bool:
        if re.search(rf"[\"'`]{re.escape(key)}[\"'`]", said) or key.startswith(("finding.", "refusal.")):
            return True
        return any(found[1] in words for found in (re.fullmatch(pattern, key) for pattern in patterns) if found)

    unused = [key for key in words_in("en") if not is_used(key)]

    assert unused == []


def test_no_key_is_missing_that_the_sources_name():
    known = set(words_in("en")) | {"html.banner", "html.foot", "html.about"}
    own = "|".join(sorted(PREFIXES - {"refusal", "input", "request"}))
    named = set(re.findall(rf"(?:say|words|texts)[\(\[]\s*[\"'`]((?:{own})\.[a-z_.0-9]+)[\"'`]", sources()))

    assert len(named) > 50
    assert named <= known


def test_a_missing_key_and_a_missing_value_are_errors():
    words = words_in("es")

    with pytest.raises(KeyError, match=r"es\.json has no text for 'no\.such'"):
        words("no.such")
    with pytest.raises(KeyError, match="score"):
        words("table.below", threshold=0.3)
    assert words("table.below", score=0.1, threshold="0.3") == "0.1, por debajo de 0.3"
    with pytest.raises(KeyError, match="fr"):
        words_in("fr")


def test_findings_are_named_in_the_language_and_unknown_ones_as_their_label_space_does():
    own = LabelSpace(
        "own", (Finding("effusion", "Pleural effusion", "it", "#000000"), Finding("x", "X", "it", "#000000"))
    )

    assert [each.display for each in words_in("zh").label_space(own)] == ["胸腔积液", "X"]
    assert [each.display for each in words_in("es").label_space(own)] == ["Derrame pleural", "X"]
    assert words_in("en").label_space(own) == own
    assert words_in("zh").label_space(own).keys == own.keys


def test_the_eight_findings_have_the_words_of_radiology():
    names = {language: [words_in(language).finding(each) for each in load_label_space("chest8")] for language in OTHERS}

    assert names["es"] == [
        *("Edema pulmonar", "Neumonía", "Tuberculosis", "Cardiomegalia"),
        *("Enfisema", "COVID-19", "Derrame pleural", "Atelectasia"),
    ]
    assert names["zh"] == [
        *("肺水肿", "肺炎", "肺结核", "心影增大"),
        *("肺气肿", "新冠肺炎（COVID-19）", "胸腔积液", "肺不张"),
    ]


@pytest.mark.parametrize(
    ("headers", "language"),
    [
        ({}, "en"),
        ({"accept-language": "es-MX,es;q=0.9,en;q=0.8"}, "es"),
        ({"accept-language": "fr-FR,fr;q=0.9,zh-TW;q=0.5,en;q=0.3"}, "zh"),
        ({"accept-language": "en;q=0.2, es;q=0.7"}, "es"),
        ({"accept-language": "de"}, "en"),
        ({"accept-language": "es;q=much"}, "es"),
        ({"accept-language": "es", "cookie": "a=b; boxray_language=zh"}, "zh"),
        ({"accept-language": "es", "cookie": "boxray_language=<script>"}, "es"),
    ],
)
def test_the_language_is_the_chosen_one_or_the_browsers(headers, language):
    assert language_of(headers) == language


@given(st.text(), st.text())
def test_any_header_gives_a_language(accepted, cookie):
    assert language_of({"accept-language": accepted, "cookie": cookie}) in LANGUAGES


def test_the_browser_gets_texts_that_need_no_value():
    said = browser_words()

    assert set(said) == {"en", "es", "zh-CN"}
    assert said["zh-CN"]["tab.read"] == "阅片"
    assert not any(placeholders(text) for texts in said.values() for text in texts.values())


def test_the_script_in_the_head_has_no_name_left_open():
    script = head_script("zh")

    assert '"zh-CN"' in script
    assert not re.search(r"\b(LANGUAGE|TAG|COOKIE|ALL)\b", script)
