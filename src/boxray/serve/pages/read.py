"""The page *Read*: a radiograph, its boxes and its map."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxray.serve.desk import LOWEST_SCORE, ONE, STORED, WELCOME, Desk
from boxray.serve.service import Service
from boxray.serve.viewer import VIEWER_SCRIPT

if TYPE_CHECKING:
    import gradio as gr

KEEP_S = 1800
"""How long a radiograph stays in memory after its last use."""


def read_page(service: Service, examples: Sequence[Path], say: Callable[[str], Any], language: "gr.State") -> None:
    """Lay out the page and join its controls to the desk.

    Args:
        service: Reads radiographs.
        examples: Files that are offered as buttons, in this order.
        say: Key of the catalogue -> what a component shows; the browser puts in the text of its language.
        language: Of the session, for texts that are made here: a key of `boxray.serve.words.LANGUAGES`.
    """
    import gradio as gr

    del language
    desk = Desk(service, gr.update)
    opened = gr.State(None, time_to_live=KEEP_S)
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            upload = gr.File(label=say("read.upload"), type="filepath", height=150, elem_id="upload")
        with gr.Column(scale=1, min_width=200, elem_id="examples", visible=bool(examples)):
            gr.Markdown(say("read.examples"), elem_classes="bx-quiet")
            buttons = [
                gr.Button(path.stem, size="sm", elem_id=f"example-{number}") for number, path in enumerate(examples)
            ]
        with gr.Column(scale=2, min_width=300):
            kinds = [(say("read.stored"), STORED), (say("read.one"), ONE)]
            thresholds = gr.Radio(kinds, value=STORED, label=say("read.thresholds"), elem_id="thresholds")
            slider = gr.Slider(
                LOWEST_SCORE, 0.95, 0.25, step=0.01, label=say("read.slider"), elem_id="threshold", show_label=False
            )
    status = gr.HTML(WELCOME, elem_id="status")
    with gr.Column(visible=False) as result:
        choices = [(finding.display, finding.key) for finding in service.label_space]
        finding = gr.Radio(choices, label=say("read.finding"), elem_id="finding")
        viewer = gr.HTML("", js_on_load=VIEWER_SCRIPT, elem_id="viewer")
        tables = gr.HTML("", elem_id="tables")
    with gr.Row():
        picture = gr.DownloadButton(say("read.picture"), interactive=False, elem_id="download-picture")
        record = gr.DownloadButton(say("read.record"), interactive=False, elem_id="download-reading")

    # Nothing here is an interface for programs: that is the REST door's job.
    hidden: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
    controls = [opened, thresholds, slider, finding]
    shown = [status, result, viewer, tables, picture, record]
    fresh = [opened, finding, *shown]
    events = [
        upload.upload(desk.open_upload, [upload, thresholds, slider], [upload, *fresh], **hidden),
        thresholds.input(desk.show, controls, shown, **hidden),
        slider.input(
            desk.move_slider, [opened, slider, finding], [thresholds, *shown], trigger_mode="always_last", **hidden
        ),
        finding.input(desk.show_map, controls, [viewer, picture], **hidden),
    ]
    events += [
        button.click(partial(desk.open_example, path), [thresholds, slider], fresh, **hidden)
        for button, path in zip(buttons, examples, strict=True)
    ]
    for event in events:  # the film is there first, the file for the download follows
        event.then(desk.make_picture, controls, picture, **hidden)
