"""The page *Read*: files in, a worklist, the film with its boxes and its map."""

from typing import Final

from boxray.serve.desk import KINDS, LOWEST_SCORE, Desk
from boxray.serve.viewer import viewer_script
from boxray.serve.words import LANGUAGES, words_in

DOWNLOADS: Final = (*KINDS, "table")
"""A button each; the last is about the whole worklist. Their texts are ``viewer.save_overlay`` and so on."""


def read_page(desk: Desk) -> None:
    """Lay out the page: one element, which the viewer's script fills and in which it asks the desk's door.

    Args:
        desk: Offers its examples, and knows the findings.
    """
    import gradio as gr

    script = viewer_script(
        desk.service.label_space,
        {language: words_in(language) for language in LANGUAGES},
        lowest=LOWEST_SCORE,
        examples=[path.name for path in desk.examples],
        downloads=DOWNLOADS,
    )
    gr.HTML("", js_on_load=script, elem_id="viewer", apply_default_css=False)
