"""The page *Compare*: what `boxray compare` measured."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gradio as gr


def compare_page(say: Callable[[str], Any], language: "gr.State") -> None:
    """Lay out the page."""
    del say, language
