"""Loading the catalogue, looking up in it, and choosing the language of a request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from string import Formatter
from typing import Final

from boxray.core.errors import CODES
from boxray.core.findings import Finding, LabelSpace
from boxray.core.reading import DISCLAIMER
from boxray.localization.words import ENGLISH
from boxray.serve.problems import REQUEST_CODES

LANGUAGES: Final[Mapping[str, str]] = {"en": "English", "es": "Español", "zh": "简体中文"}
"""Language -> what it calls itself. The first is that of whoever asks for none of them."""

COOKIE: Final = "boxray_language"
"""In which the browser keeps the language; it says nothing else."""

_TAGS: Final[Mapping[str, str]] = {"en": "en", "es": "es", "zh": "zh-CN"}
"""Language -> what Gradio calls it, so that its own words are of the same language."""


@dataclass(frozen=True, eq=False)
class Words(Mapping[str, str]):
    """All texts in one language. A mapping of templates; called, it fills one in.

    Raises:
        KeyError: If the catalogue has no such key, or a placeholder gets no value.
    """

    language: str
    texts: Mapping[str, str]

    def __call__(self, key: str, /, **values: object) -> str:
        """The text of a key with its placeholders filled in."""
        return self[key].format_map({name: str(value) for name, value in values.items()})

    def __getitem__(self, key: str) -> str:
        try:
            return self.texts[key]
        except KeyError:
            raise KeyError(f"{self.language}.json has no text for {key!r}; add it in all languages") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    def __len__(self) -> int:
        return len(self.texts)

    def finding(self, finding: Finding) -> str:
        """The name of a finding; that of its label space where the catalogue knows none, and in English."""
        return self.texts.get(f"finding.{finding.key}", finding.display)

    def label_space(self, space: LabelSpace) -> LabelSpace:
        """The same label space with names in this language; keys, and so what a reading says, stay as they are."""
        return replace(space, findings=tuple(replace(each, display=self.finding(each)) for each in space))

    def refusal(self, code: str) -> str:
        """What a code of `CODES` or of `REQUEST_CODES` means; of an unknown one, what ``internal.error`` does."""
        return self.texts.get(f"refusal.{code}", self["refusal.internal.error"])

    @property
    def viewer(self) -> dict[str, str]:
        """What the viewer's script says, for its payload: the keys that begin with ``viewer.``, without that."""
        return {key.removeprefix("viewer."): text for key, text in self.items() if key.startswith("viewer.")}

    @property
    def tag(self) -> str:
        """Of BCP 47, for the attribute ``lang``."""
        return _TAGS[self.language]


@cache
def words_in(language: str) -> Words:
    """The catalogue in a language.

    Raises:
        KeyError: If `language` is none of `LANGUAGES`.
    """
    if language not in LANGUAGES:
        raise KeyError(f"{language!r} is none of {', '.join(LANGUAGES)}")
    written: dict[str, str] = json.loads(files(__package__).joinpath(f"{language}.json").read_text("utf-8"))
    return Words(language, _of_lower_rooms() | written if language == "en" else written)


def _of_lower_rooms() -> dict[str, str]:
    """English words that others own."""
    codes = {f"refusal.{name}": code.meaning for name, code in CODES.items()}
    requests = {f"refusal.{name}": meaning for name, (_, meaning) in REQUEST_CODES.items()}
    return {"disclaimer": DISCLAIMER, **codes, **requests, **ENGLISH}


def placeholders(text: str) -> frozenset[str]:
    """The names in braces."""
    return frozenset(name for _, name, _, _ in Formatter().parse(text) if name is not None)


def browser_words() -> dict[str, dict[str, str]]:
    """What Gradio's components say, for ``gr.I18n(**browser_words())``: texts without placeholders alone."""
    return {
        words.tag: {key: text for key, text in words.items() if not placeholders(text)}
        for words in map(words_in, LANGUAGES)
    }


def language_of(headers: Mapping[str, str]) -> str:
    """The language that a request asks for: the cookie's, else the first known one of Accept-Language, else English.

    Args:
        headers: Of the request, names in lower case.
    """
    for part in headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE and value in LANGUAGES:
            return value
    asked = [_weighed(part) for part in headers.get("accept-language", "").split(",")]
    for _, tag in sorted(asked, key=lambda each: -each[0]):
        if (language := tag.partition("-")[0].lower()) in LANGUAGES:
            return language
    return next(iter(LANGUAGES))


def words_for(headers: Mapping[str, str]) -> Words:
    """The words in the language that a request asks for: `words_in` of `language_of`."""
    return words_in(language_of(headers))


def _weighed(part: str) -> tuple[float, str]:
    """Weight and tag of one member of Accept-Language (RFC 9110, 12.5.4); what cannot be read weighs nothing."""
    tag, _, parameter = part.partition(";")
    try:
        return float(parameter.strip().removeprefix("q=") or 1), tag.strip()
    except ValueError:
        return 0.0, tag.strip()
