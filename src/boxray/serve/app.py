"""The reading room: one radiograph, its boxes and its map side by side, in a browser.

Pictures travel inside the page as lossless PNG and are never written to Gradio's cache. What is uploaded is
read once, by boxray's own decoder, and deleted. Moving the threshold runs no model.
"""

import atexit
import ipaddress
import json
import os
import shutil
import signal
import sys
import tempfile
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import cv2

from boxray import __version__
from boxray.core.arrays import ByteArray
from boxray.core.errors import Outcome
from boxray.core.findings import LabelSpace
from boxray.core.reading import DISCLAIMER, Reading
from boxray.imaging.child import decoding_child
from boxray.imaging.draw import Film, Panel, encode_png, film_of
from boxray.localization.overlay import boxes_panel, leading_finding, map_of, map_panel, overlay
from boxray.localization.page import (
    STYLE,
    boxes_table,
    findings_table,
    models_html,
    refusal_html,
    rows_of,
    silence_html,
    source_url,
)
from boxray.serve.service import Answer, Service

if TYPE_CHECKING:
    import gradio as gr

LOWEST_SCORE: Final = 0.05
"""With which every radiograph is read once; the slider filters what came out."""

MAX_UPLOAD_BYTES: Final = 128 * 2**20
EXIT_CONFIGURATION: Final = 78
"""Exit code of a configuration that is refused, such as an address that others can reach."""

_EXIT_TERMINATED: Final = 143  # what a shell reports for SIGTERM
_KEEP_S: Final = 1800  # how long a radiograph stays in memory after its last use
_STORED, _ONE = "stored", "one"
_SESSIONS: Final = 8  # how many readers' radiographs stay in memory at once


@dataclass(frozen=True, slots=True)
class Opened:
    """The radiograph that one reader looks at: all boxes that the slider may show."""

    answer: Answer
    film: Film
    film_uri: str


@dataclass(frozen=True, slots=True)
class View:
    """What the controls say."""

    min_score: float | None
    finding: str | None

    @classmethod
    def of(cls, thresholds: str, min_score: float, finding: str | None = None) -> "View":
        """From the values of the controls, in the page's order."""
        return cls(None if thresholds == _STORED else min_score, finding)


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
                kinds = [("Stored, one per finding", _STORED), ("One for all:", _ONE)]
                thresholds = gr.Radio(kinds, value=_STORED, label="Threshold of the boxes", elem_id="thresholds")
                slider = gr.Slider(
                    LOWEST_SCORE, 0.95, 0.25, step=0.01, label="One for all", elem_id="threshold", show_label=False
                )
        status = gr.HTML(_WELCOME, elem_id="status")
        with gr.Column(visible=False) as result:
            choices = [(finding.display, finding.key) for finding in service.label_space]
            finding = gr.Radio(choices, label="Classifier's map of", elem_id="finding")
            viewer = gr.HTML("", js_on_load=_VIEWER_JS, elem_id="viewer")
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


class Desk:
    """What happens when somebody touches a control: values of the page in, values of the page out.

    It remembers nothing; what is open is handed in and out as `Opened`. `shown` in the docstrings is:
    status, result, viewer, tables, picture, record.
    """

    def __init__(self, service: Service, update: Callable[..., Any]) -> None:
        self._service = service
        self._update = update

    def open_upload(self, path: str, thresholds: str, min_score: float) -> list[Any]:
        """Read what was uploaded and delete it: empty upload, opened, finding, *shown."""
        file = Path(path)
        data = file.read_bytes()
        file.unlink(missing_ok=True)
        return [None, *self._open(data, file.name, View.of(thresholds, min_score))]

    def open_example(self, path: Path, thresholds: str, min_score: float) -> list[Any]:
        """Read an example as if it had been uploaded: opened, finding, *shown."""
        return self._open(path.read_bytes(), path.name, View.of(thresholds, min_score))

    def show(self, opened: Opened | None, thresholds: str, min_score: float, finding: str | None) -> list[Any]:
        """Show what is open as the controls say: *shown."""
        return self._shown(opened, View.of(thresholds, min_score, finding))

    def move_slider(self, opened: Opened | None, min_score: float, finding: str | None) -> list[Any]:
        """Whoever moves the slider wants one threshold for all: thresholds, *shown."""
        return [_ONE, *self._shown(opened, View(min_score, finding))]

    def show_map(self, *controls: Any) -> list[Any]:
        """Another finding's map changes nothing else: viewer, picture."""
        _, _, viewer, _, picture, _ = self.show(*controls)
        return [viewer, picture]

    def make_picture(self, opened: Opened | None, thresholds: str, min_score: float, finding: str | None) -> Any:
        """The overlay as a file for the download button."""
        if opened is None:
            return self._off()
        reading = self._reading(opened, View.of(thresholds, min_score))
        drawn = overlay(opened.answer.radiograph, reading, self._service.label_space, finding)
        return self._update(value=_file("boxray-overlay.png", encode_png(drawn)), interactive=True)

    def _open(self, data: bytes, name: str, view: View) -> list[Any]:
        answer = self._service.read(data, name, LOWEST_SCORE)
        if answer.radiograph is None or answer.reading.status is not Outcome.RESULT:
            return [None, self._update(), *self._refused(answer.reading)]
        film = film_of(answer.radiograph.pixels)
        opened = Opened(answer, film, _data_uri(film.grey))
        finding = leading_finding(self._reading(opened, view))
        return [opened, self._update(value=finding), *self._shown(opened, replace(view, finding=finding))]

    def _reading(self, opened: Opened, view: View) -> Reading:
        return self._service.rethreshold(opened.answer, view.min_score).reading

    def _shown(self, opened: Opened | None, view: View) -> list[Any]:
        if opened is None:
            return [_WELCOME, self._update(visible=False), "", "", self._off(), self._off()]
        reading, label_space = self._reading(opened, view), self._service.label_space
        return [
            _status(reading, opened.film),
            self._update(visible=True),
            _viewer(opened, reading, label_space, view.finding),
            _tables(opened, reading, label_space),
            self._update(interactive=False),  # until the new one is drawn
            self._update(value=_json_file(reading), interactive=True),
        ]

    def _refused(self, reading: Reading) -> list[Any]:
        record = self._update(value=_json_file(reading), interactive=True)
        said = _file_line(reading, "") + refusal_html(reading)
        return [said, self._update(visible=False), "", "", self._off(), record]

    def _off(self) -> Any:
        return self._update(value=None, interactive=False)


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
    if not _is_loopback(address):
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
        app_kwargs={"middleware": [Middleware(_Guard)]},
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
        css=STYLE + _APP_STYLE,
        js="() => document.body.classList.add('dark')",
    )
    if block:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(_EXIT_TERMINATED))  # so that what is on disk goes too
        print(f"boxray reads at {url}  ({DISCLAIMER})  Ctrl+C ends it.", file=sys.stderr)
        app.block_thread()
    return str(url)


def main(
    examples: Sequence[Path] = (), *, address: str = "127.0.0.1", port: int = 7860, source: str | None = None
) -> None:
    """Read with the released weights until Ctrl+C."""
    from boxray.localization.reader import released_reader

    launch(Service(released_reader()), examples, address=address, port=port, source=source)


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class _Guard:
    """Stands before every request, as Gradio sets no limits of this kind (ASGI middleware).

    * A request that names another host than this machine is refused: a web page elsewhere that lets its own
      name point here (DNS rebinding) reads no radiograph.
    * No body is larger than an upload may be, whichever path it goes to.
    * The browser is told to keep nothing, to ask no other host, and to show the page in no frame.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = urlsplit("//" + headers.get(b"host", "")).hostname or ""
        n_received = 0

        async def limited_receive() -> Any:
            nonlocal n_received
            message = await receive()
            n_received += len(message.get("body", b""))
            return message if n_received <= _MAX_BODY_BYTES else {"type": "http.disconnect"}

        async def guarded_send(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *_HEADERS]}
            await send(message)

        if not _is_loopback(host):
            await _answer(guarded_send, 403, "this host name is not served")
        elif int(headers.get(b"content-length", "0")) > _MAX_BODY_BYTES:
            await _answer(guarded_send, 413, "input.too_large")
        else:
            await self._app(scope, limited_receive, guarded_send)


async def _answer(send: Any, status: int, text: str) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": text.encode()})


_MAX_BODY_BYTES: Final = MAX_UPLOAD_BYTES + 2**20  # the form around the file
# Gradio's own scripts are inline and compile templates: hence the two words with "unsafe".
_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: Final = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]


# What the page shows


def _status(reading: Reading, film: Film) -> str:
    n_boxes = len(reading.detections)
    said = f"{n_boxes} box{'' if n_boxes == 1 else 'es'}"
    return _file_line(reading, f"{escape(film.caption)}, {said}")


def _file_line(reading: Reading, said: str) -> str:
    return f'<p class="bx-file" aria-live="polite"><b>{escape(reading.file)}</b> {said}</p>'


def _tables(opened: Opened, reading: Reading, label_space: LabelSpace) -> str:
    rows = rows_of(reading, label_space, opened.answer.reading)
    tables = findings_table(rows) + boxes_table(reading, label_space)
    return silence_html(reading, label_space) + tables + models_html(reading)


def _viewer(opened: Opened, reading: Reading, label_space: LabelSpace, finding: str | None) -> str:
    """Two windows on the same film, moved together by the script; the film alone lies on top, hidden."""
    film = opened.film
    said = ", ".join(f"{label_space[det.finding].display} {det.score:.2f}" for det in reading.detections)
    panes = _pane(film, boxes_panel(film, reading, label_space), f"Boxes on the film: {said or 'none'}")
    if finding is not None and map_of(reading, finding) is not None:
        panel = map_panel(film, reading, label_space, finding)
        panes += _pane(film, panel, panel.title)
    elif finding is not None:
        name = escape(label_space[finding].display)
        panes += f'<p class="bx-nomap">The classifier gives no map of {name}.</p>'
    return (
        f'<div class="bx-viewer" data-film="{id(opened)}" style="--film:url({opened.film_uri})">'
        f'{_TOOLS}<div class="bx-panes">{panes}</div></div>'
    )


def _pane(film: Film, panel: Panel, alt: str) -> str:
    height, width = panel.picture.shape[:2]
    film_h, film_w = film.grey.shape
    left, share_w, share_h = panel.film_x / width, film_w / width, film_h / height
    place = f"left:{left:.4%};width:{share_w:.4%};height:{share_h:.4%}"
    origin = f"{left + share_w / 2:.4%} {share_h / 2:.4%}"
    notes = "".join(f"<span>{escape(note)}</span>" for note in panel.notes)
    return (
        f'<figure style="flex:{width} 1 0"><figcaption><b>{escape(panel.title)}</b> {notes}</figcaption>'
        f'<div class="bx-window" data-width="{share_w:.6f}" data-height="{share_h:.6f}" '
        f'data-x="{left + share_w / 2:.6f}" data-y="{share_h / 2:.6f}" style="aspect-ratio:{width}/{height}">'
        f'<div class="bx-sheet" style="transform-origin:{origin}">'
        f'<img src="{_data_uri(panel.picture)}" alt="{escape(alt)}" draggable="false">'
        f'<div class="bx-film" style="{place}"></div></div></div></figure>'
    )


def _data_uri(picture: ByteArray) -> str:
    """A picture inside the page: lossless, and no file that somebody else could ask for."""
    data = encode_png(picture) if picture.ndim == 3 else bytes(cv2.imencode(".png", picture)[1])
    return f"data:image/png;base64,{b64encode(data).decode()}"


def _json_file(reading: Reading) -> str:
    return _file("boxray-reading.json", (json.dumps(reading.to_json(), indent=1) + "\n").encode())


def _file(name: str, data: bytes) -> str:
    """A file for one download, in a folder of its own that goes with Gradio's cache."""
    folder = Path(tempfile.mkdtemp(dir=os.environ.get("GRADIO_TEMP_DIR")))
    (folder / name).write_bytes(data)
    return str(folder / name)


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


_WELCOME: Final = (
    '<p class="bx-file" aria-live="polite">Open a frontal chest radiograph, or take an example. '
    "It is read on this machine and sent nowhere.</p>"
)

_TOOLS: Final = """<div class="bx-tools" role="toolbar" aria-label="Film">
<button type="button" data-do="plain" aria-pressed="false">Film only <kbd>O</kbd></button>
<button type="button" data-do="invert" aria-pressed="false">Invert <kbd>I</kbd></button>
<button type="button" data-do="larger" aria-label="Larger">+</button>
<button type="button" data-do="smaller" aria-label="Smaller">&minus;</button>
<button type="button" data-do="reset">Reset <kbd>R</kbd></button>
<button type="button" data-do="full">Full screen <kbd>F</kbd></button>
<label>Brightness <input type="range" data-set="brightness" min="30" max="300" value="100"></label>
<label>Contrast <input type="range" data-set="contrast" min="30" max="300" value="100"></label>
</div>"""

_VIEWER_JS: Final = """
// One view for both windows, in units of the film: x, y is how far its middle was moved, zoom 1 shows all of it.
const shades = {brightness: 100, contrast: 100};
const fresh = () => ({zoom: 1, x: 0, y: 0, plain: false, invert: false, ...shades});
let view = fresh(), film = null;
const pointers = new Map();

function apply() {
  const root = element.querySelector('.bx-viewer');
  if (!root) return;
  if (root.dataset.film !== film) { film = root.dataset.film; view = fresh(); }
  // Turning the hues back keeps each finding's colour when the shades are exchanged.
  const filter = `brightness(${view.brightness}%) contrast(${view.contrast}%)`
    + (view.invert ? ' invert(1) hue-rotate(180deg)' : '');
  for (const pane of root.querySelectorAll('.bx-window')) {
    const sheet = pane.firstElementChild, {width, height} = pane.dataset;
    const right = view.x * width * 100, down = view.y * height * 100;
    sheet.style.transform = `translate(${right}%, ${down}%) scale(${view.zoom})`;
    sheet.style.filter = filter;
    pane.style.touchAction = view.zoom > 1 ? 'none' : 'pan-y';
  }
  root.classList.toggle('bx-plain', view.plain);
  for (const name of ['plain', 'invert'])
    root.querySelector(`[data-do=${name}]`).setAttribute('aria-pressed', view[name]);
  for (const name of ['brightness', 'contrast'])
    root.querySelector(`[data-set=${name}]`).value = view[name];
}

// Where on the film a pointer is, from the film's middle, as shown and not as moved.
function place(pane, event) {
  const frame = pane.getBoundingClientRect(), data = pane.dataset;
  return {x: ((event.clientX - frame.left) / frame.width - data.x) / data.width,
          y: ((event.clientY - frame.top) / frame.height - data.y) / data.height};
}
function zoom(factor, at = {x: 0, y: 0}) {
  const next = Math.min(12, Math.max(1, view.zoom * factor)), ratio = next / view.zoom;
  view.x = at.x - (at.x - view.x) * ratio;
  view.y = at.y - (at.y - view.y) * ratio;
  view.zoom = next;
  if (next === 1) view.x = view.y = 0;
  apply();
}
const actions = {
  plain() { view.plain = !view.plain; apply(); },
  invert() { view.invert = !view.invert; apply(); },
  larger() { zoom(1.4); },
  smaller() { zoom(1 / 1.4); },
  reset() { view = fresh(); apply(); },
  full() {
    if (document.fullscreenElement) document.exitFullscreen();
    else element.requestFullscreen();
  },
};
const keys = {o: 'plain', i: 'invert', r: 'reset', f: 'full', '+': 'larger', '-': 'smaller'};

element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-do]');
  if (button) actions[button.dataset.do]();
});
element.addEventListener('input', (event) => {
  if (event.target.dataset.set) { view[event.target.dataset.set] = Number(event.target.value); apply(); }
});
element.addEventListener('wheel', (event) => {
  const pane = event.target.closest('.bx-window');
  const wanted = event.ctrlKey || view.zoom > 1 || document.fullscreenElement;  // else the page scrolls
  if (!pane || !wanted) return;
  event.preventDefault();
  zoom(Math.exp(-event.deltaY / 400), place(pane, event));
}, {passive: false});
element.addEventListener('dblclick', (event) => {
  const pane = event.target.closest('.bx-window');
  if (pane) zoom(view.zoom > 1 ? 1 / view.zoom : 3, place(pane, event));
});
element.addEventListener('pointerdown', (event) => {
  const pane = event.target.closest('.bx-window');
  if (!pane) return;
  pointers.set(event.pointerId, {pane, at: place(pane, event)});
  pane.setPointerCapture(event.pointerId);
});
element.addEventListener('pointermove', (event) => {
  const held = pointers.get(event.pointerId);
  if (!held) return;
  const now = place(held.pane, event);
  const others = [...pointers.entries()].filter(([id]) => id !== event.pointerId);
  if (others.length === 1) {  // two fingers: their distance is the zoom
    const other = others[0][1].at, far = (one) => Math.hypot(one.x - other.x, one.y - other.y);
    const middle = {x: (now.x + other.x) / 2, y: (now.y + other.y) / 2};
    zoom(far(now) / Math.max(far(held.at), 0.01), middle);
  } else if (view.zoom > 1) {
    view.x += now.x - held.at.x;
    view.y += now.y - held.at.y;
    apply();
  }
  held.at = now;
});
for (const end of ['pointerup', 'pointercancel'])
  element.addEventListener(end, (event) => pointers.delete(event.pointerId));
document.addEventListener('keydown', (event) => {
  const action = keys[event.key.toLowerCase()];
  const typing = event.target.closest('input:not([type=radio], [type=range]), textarea');
  if (!action || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (element.querySelector('.bx-viewer')) actions[action]();
});
new MutationObserver(apply).observe(element, {childList: true, subtree: true});
apply();
"""

_APP_STYLE: Final = """
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
.bx-tools { display: flex; flex-wrap: wrap; gap: 6px 8px; align-items: center; margin-bottom: 8px; }
.bx-tools button { background: #2a2a2a; color: #ececec; border: 1px solid #555; border-radius: 4px;
  padding: 6px 12px; min-height: 36px; font-size: 14px; cursor: pointer; }
.bx-tools button[aria-pressed=true] { background: #ffc400; color: #111; border-color: #ffc400; }
.bx-tools kbd { font: inherit; font-size: 12px; opacity: .7; color: inherit; background: none; border: 0; }
.bx-tools label { color: #ececec; font-size: 14px; display: inline-flex; align-items: center; gap: 6px; }
.bx-panes { display: flex; flex-wrap: wrap; gap: 12px; }
.bx-panes figure { margin: 0; min-width: min(100%, 420px); }
.bx-panes figcaption { color: #ececec; font-size: 15px; min-height: 3em; }
.bx-panes figcaption span { color: #b0b0b0; display: block; }
.bx-window { position: relative; overflow: hidden; background: #111; cursor: grab; user-select: none; }
.bx-sheet { position: absolute; inset: 0; }
.bx-sheet img { width: 100%; height: 100%; display: block; max-width: none; }
.bx-film { position: absolute; top: 0; background: var(--film) 0 0 / 100% 100%; visibility: hidden; }
.bx-plain .bx-film { visibility: visible; }
.bx-plain .bx-sheet img { visibility: hidden; }
.bx-nomap { color: #b0b0b0; align-self: center; flex: 1 1 300px; }
#viewer:fullscreen { background: #111; overflow: auto; padding: 8px; }
#viewer :focus-visible, .bx-tools button:focus-visible { outline: 3px solid #8fb7d9; outline-offset: 1px; }
#source a { color: #8fb7d9; }
"""
