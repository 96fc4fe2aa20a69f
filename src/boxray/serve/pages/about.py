"""The page *About*: what this is, under which terms."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gradio as gr


def about_page(say: Callable[[str], Any], language: "gr.State") -> None:
    """Lay out the page."""
    del say, language
