"""The page *About*: what this is, under which terms, and what becomes of a radiograph."""

import platform
from collections.abc import Callable, Sequence
from html import escape
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from boxray import __version__
from boxray.serve.words import Words

_NAMED: Final = ("gradio", "fastapi", "pydicom", "openvino", "onnxruntime", "highdicom")
"""Libraries whose version is told: those that decode, read, and show."""


def about_page(say: Callable[[str], Any]) -> None:
    """Lay out the page.

    Args:
        say: Key of a text -> what a component shows; `about_html` is the text ``html.about``.
    """
    import gradio as gr

    gr.HTML(say("html.about"), elem_id="about", elem_classes="bx-page")


def about_html(words: Words, source: str, licences: Sequence[str]) -> str:
    """The page in one language.

    Args:
        words: The language.
        source: Link to the source code of what runs here.
        licences: Of the weights, a line each; English, as their cards state them.
    """
    weights = "".join(f'<li lang="en">{escape(line)}</li>' for line in licences)
    link = f'<a href="{escape(source)}" rel="noreferrer" target="_blank">{escape(words["about.source"])}</a>'
    parts = (
        ("about.title", _said(words, "about.what", "about.refuses")),
        ("about.use", f"<p><b>{escape(words['disclaimer'])}</b></p>{_said(words, 'about.use_text')}"),
        ("about.privacy", _said(words, "about.privacy_text")),
        ("about.licence", f"{_said(words, 'about.licence_text')}<ul>{weights}</ul><p>{link}</p>"),
        # Below the page's own address, so that it holds behind a proxy too.
        ("about.programs", f'<p><a href="v1/openapi.json" target="_blank">{escape(words["about.api"])}</a></p>'),
        ("about.versions", f'<p class="quiet">{escape(", ".join(versions()))}</p>'),
    )
    return "".join(f"<section><h2>{escape(words[key])}</h2>{content}</section>" for key, content in parts)


def versions() -> list[str]:
    """Ours, Python's, and those of the libraries that are installed."""
    there = [f"boxray {__version__}", f"Python {platform.python_version()}"]
    for name in _NAMED:
        try:
            there.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return there


def _said(words: Words, *keys: str) -> str:
    return "".join(f"<p>{escape(words[key])}</p>" for key in keys)
