"""The reading room: one radiograph, its boxes and its map side by side, in a browser.

Pictures travel inside the page as lossless PNG and are never written to Gradio's cache. What is uploaded is
read once, by boxray's own decoder, and deleted. Moving the threshold runs no model.

Here stand the layout and the launch; `desk` does what the controls ask for, `viewer` draws, `guard` stands before.
"""

import atexit
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from boxray import __version__
from boxray.core.reading import DISCLAIMER
from boxray.imaging.child import decoding_child
from boxray.localization.page import STYLE, source_url
from boxray.serve.desk import LOWEST_SCORE, ONE, STORED, WELCOME, Desk
from boxray.serve.guard import MAX_UPLOAD_BYTES, Guard, is_loopback
from boxray.serve.service import Service
from boxray.serve.viewer import VIEWER_SCRIPT, VIEWER_STYLE

if TYPE_CHECKING:
    import gradio as gr

EXIT_CONFIGURATION: Final = 78
"""Exit code of a configuration that is refused, such as an address that others can reach."""

_EXIT_TERMINATED: Final = 143  # what a shell reports for SIGTERM
_KEEP_S: Final = 1800  # how long a radiograph stays in memory after its last use
_SESSIONS: Final = 8  # how many readers' radiographs stay in memory at once


def quiet_environment() -> None:
    """Switch off what Gradio does unasked. Must run before gradio is imported; keeps what is already set.

    ``GRADIO_ANALYTICS_ENABLED``: no telemetry. ``HF_HUB_OFFLINE``, ``HF_HUB_DISABLE_TELEMETRY``: its hub
    client asks nobody. ``GRADIO_TEMP_DIR``: uploads lie in a folder that only this user can open and that
    goes when the program ends, instead of a shared one.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if "GRADIO_TEMP_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="boxray-")  # mode 0700
        os.environ["GRADIO_TEMP_DIR"] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def build_app(service: Service, examples: Sequence[Path] = (), *, source: str | None = None) -> "gr.Blocks":
    """The page and what its controls do.

    Args:
        service: Reads radiographs.
        examples: Files that are offered as buttons, in this order.
        source: Link to the source code of what runs here; None: the installed package's.
    """
    quiet_environment()
    import gradio as gr

    desk = Desk(service, gr.update)
    with gr.Blocks(title="boxray", analytics_enabled=False, delete_cache=(300, _KEEP_S), fill_width=True) as app:
        gr.HTML(_banner(), elem_id="banner")
        opened = gr.State(None, time_to_live=_KEEP_S)
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                label = "Chest radiograph: DICOM, PNG or JPEG"
                upload = gr.File(label=label, type="filepath", height=150, elem_id="upload")
            with gr.Column(scale=1, min_width=200, elem_id="examples", visible=bool(examples)):
                gr.HTML('<p class="bx-quiet">Examples</p>')
                buttons = [
                    gr.Button(path.stem, size="sm", elem_id=f"example-{number}") for number, path in enumerate(examples)
                ]
            with gr.Column(scale=2, min_width=300):
                kinds = [("Stored, one per finding", STORED), ("One for all:", ONE)]
                thresholds = gr.Radio(kinds, value=STORED, label="Threshold of the boxes", elem_id="thresholds")
                slider = gr.Slider(
                    LOWEST_SCORE, 0.95, 0.25, step=0.01, label="One for all", elem_id="threshold", show_label=False
                )
        status = gr.HTML(WELCOME, elem_id="status")
        with gr.Column(visible=False) as result:
            choices = [(finding.display, finding.key) for finding in service.label_space]
            finding = gr.Radio(choices, label="Classifier's map of", elem_id="finding")
            viewer = gr.HTML("", js_on_load=VIEWER_SCRIPT, elem_id="viewer")
            tables = gr.HTML("", elem_id="tables")
        with gr.Row():
            picture = gr.DownloadButton("Picture (PNG)", interactive=False, elem_id="download-picture")
            record = gr.DownloadButton("Reading (JSON)", interactive=False, elem_id="download-reading")
        gr.HTML(_footer(source_url() if source is None else source), elem_id="source")

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
    return app


def launch(
    service: Service,
    examples: Sequence[Path] = (),
    *,
    address: str = "127.0.0.1",
    port: int | None = 7860,
    source: str | None = None,
    block: bool = True,
) -> str:
    """Serve the app on this machine.

    Args:
        service: Reads radiographs.
        examples: Offered as buttons.
        address: A loop-back address. There is no login yet, so no other is taken.
        port: None: a free one.
        source: Link to the source code of what runs here.
        block: Return only when the server ends; SIGTERM then ends it with code 143.

    Returns:
        The page's URL.

    Raises:
        SystemExit: With code 78, and the reason on stderr, if other machines could reach `address`.
    """
    if not is_loopback(address):
        print(
            f"refused to serve on {address!r}: there is no login yet, so whoever reaches the address could "
            "read radiographs. Serve on 127.0.0.1 and let others in through an SSH tunnel: "
            "ssh -N -L 7860:127.0.0.1:7860 THIS_MACHINE",
            file=sys.stderr,
        )
        raise SystemExit(EXIT_CONFIGURATION)
    decoding_child().start()  # so that the first radiograph need not wait for it
    app = build_app(service, examples, source=source)
    import gradio as gr
    from starlette.middleware import Middleware

    _, url, _ = app.launch(
        server_name=address,
        server_port=port,
        share=False,
        inbrowser=False,
        quiet=True,
        show_error=False,
        prevent_thread_lock=True,
        footer_links=[],
        app_kwargs={"middleware": [Middleware(Guard)]},
        max_file_size=MAX_UPLOAD_BYTES,
        state_session_capacity=_SESSIONS,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        theme=gr.themes.Base(
            primary_hue="amber",
            neutral_hue="neutral",
            font=["system-ui", "sans-serif"],
            font_mono=["monospace"],
        ),
        css=STYLE + _PAGE_STYLE + VIEWER_STYLE,
        js="() => document.body.classList.add('dark')",
    )
    if block:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(_EXIT_TERMINATED))  # so that what is on disk goes too
        print(f"boxray reads at {url}  ({DISCLAIMER})  Ctrl+C ends it.", file=sys.stderr)
        app.block_thread()
    return str(url)


def main(
    examples: Sequence[Path] = (),
    *,
    address: str = "127.0.0.1",
    port: int = 7860,
    source: str | None = None,
    detector: str | None = None,
) -> None:
    """Read with the released weights until Ctrl+C; `detector` names others than the default ones."""
    from boxray.localization.reader import released_reader

    launch(Service(released_reader(detector=detector)), examples, address=address, port=port, source=source)


def _banner() -> str:
    return (
        f'<div class="bx-banner" role="note"><b>{escape(DISCLAIMER)}</b> '
        "<span>Boxes are a detector's suggestions. This screen is not for diagnosis.</span></div>"
    )


def _footer(source: str) -> str:
    return (
        f'<p class="bx-quiet">boxray {escape(__version__)}, free software under AGPL-3.0-or-later: '
        f'<a href="{escape(source)}" rel="noreferrer" target="_blank">source code</a>. {escape(DISCLAIMER)}</p>'
    )


_PAGE_STYLE: Final = """
body.dark, body.dark .gradio-container { background: #111; color: #ececec; }
.gradio-container { padding: 0 !important; max-width: none !important; overflow: visible !important; }
.gradio-container .main.fillable { padding: 0 14px 24px !important; }
.gradio-container main.contain { padding: 0 !important; }
#banner { position: sticky; top: 0; z-index: 20; margin: 0 -14px; width: auto; }
#banner .html-container, #status .html-container, #viewer .html-container, #tables .html-container,
#source .html-container, #examples .html-container { padding: 0 !important; }
#examples { gap: 6px; }
#tables table, #tables tr, #tables td, #tables th { border-left: 0 !important; border-right: 0 !important; }
#tables table { border: 0 !important; }
#upload .wrap { font-size: 14px; }
.bx-banner { background: #ffc400; color: #111; padding: 8px 14px; font-size: 15px; }
.bx-banner b, .bx-banner span { color: #111; }
.bx-file { margin: 4px 0; font-size: 16px; color: #ececec; overflow-wrap: anywhere; }
#source a { color: #8fb7d9; }
"""
