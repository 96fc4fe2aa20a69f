"""The page *Model*: the cards of the weights that speak."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gradio as gr


def model_page(say: Callable[[str], Any], language: "gr.State") -> None:
    """Lay out the page."""
    del say, language
