"""The reading room: one radiograph, its boxes and its map side by side, in a browser.

Pictures travel inside the page as lossless PNG and are never written to Gradio's cache. What is uploaded is
read once, by boxray's own decoder, and deleted. Moving the threshold runs no model.

Here stand the layout and the launch; `desk` does what the controls ask for, `viewer` draws, `guard` stands before.
"""

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from boxray import __version__
from boxray.core.reading import DISCLAIMER
from boxray.localization.page import STYLE, source_url
from boxray.serve.desk import LOWEST_SCORE, ONE, STORED, WELCOME, Desk
from boxray.serve.guard import MAX_UPLOAD_BYTES
from boxray.serve.rest.app import build_rest, sweeping
from boxray.serve.rest.kept import Readings
from boxray.serve.server import end_on_sigterm, guarded, released_or_refused, require_safe, serve
from boxray.serve.service import Service
from boxray.serve.taming import tame_gradio
from boxray.serve.viewer import VIEWER_SCRIPT, VIEWER_STYLE

if TYPE_CHECKING:
    import gradio as gr

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
    port: int = 7860,
    source: str | None = None,
    token: str | None = None,
    hosts: Collection[str] = (),
    root_path: str = "",
) -> NoReturn:
    """Serve the app and the REST door beside it until SIGTERM or Ctrl+C.

    Args:
        service: Reads radiographs for both.
        examples: Offered as buttons.
        address: Where to listen. One that others can reach is taken only with a token.
        port: 0: a free one.
        source: Link to the source code of what runs here.
        token: What everybody has to say; a browser asks for it as a password, the user's name is free.
        hosts: Names that are served beside this machine's own.
        root_path: Under which a proxy shows it, such as ``/boxray``; the proxy takes it off.

    Raises:
        SystemExit: In the end, with 143 for SIGTERM. With code 78, and the reason on stderr, if other machines could
            reach `address` and there is no token.
    """
    require_safe(address, token)
    end_on_sigterm()
    readings = Readings(service)
    rest = build_rest(service, readings, source=source)
    page = mounted(build_app(service, examples, source=source), sweeping(readings), root_path)
    doors = guarded(Doors(rest, page), address, token=token, hosts=hosts)
    sys.exit(serve(doors, service, address=address, port=port, root_path=root_path))


def mounted(app: "gr.Blocks", lifespan: Any, root_path: str = "") -> Any:
    """The page as an ASGI application, with nothing of Gradio that nobody asked for."""
    import gradio as gr
    from fastapi import FastAPI

    app.queue(default_concurrency_limit=_SESSIONS)  # who waits, and how long, is the service's business
    app.state_session_capacity = _SESSIONS
    tame_gradio(app)
    parent = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    return gr.mount_gradio_app(
        parent,
        app,
        path="/",
        root_path=root_path or None,
        show_error=False,
        run_history=False,
        footer_links=[],
        max_file_size=MAX_UPLOAD_BYTES,
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


class Doors:
    """What is asked of the REST door goes there, everything else to the page (ASGI application)."""

    def __init__(self, rest: Any, page: Any) -> None:
        self._rest = rest
        self._page = page

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        of_rest = path == "/metrics" or path.startswith(("/v1/", "/health/"))
        await (self._rest if of_rest else self._page)(scope, receive, send)


def main(examples: Sequence[Path] = (), *, detector: str | None = None, **where: Any) -> NoReturn:
    """Read with the released weights until Ctrl+C.

    Args:
        examples: Offered as buttons.
        detector: Names other weights than the default ones.
        **where: As for `launch`.
    """
    launch(released_or_refused(detector=detector), examples, **where)


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
