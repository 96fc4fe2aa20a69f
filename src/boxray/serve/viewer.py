"""The viewer: the boxes and one finding's map on the same film, two windows that move as one.

Its HTML, script and style stand together, as each names what the others make. Zoom, brightness and the film alone
are the browser's work: whoever looks closer asks the server for nothing.
"""

from base64 import b64encode
from html import escape
from typing import Final

import cv2

from boxray.core.arrays import ByteArray
from boxray.core.findings import LabelSpace
from boxray.core.reading import Reading
from boxray.imaging.draw import Film, Panel, encode_png
from boxray.localization.overlay import boxes_panel, map_of, map_panel, strongest


def viewer_html(
    film: Film, reading: Reading, label_space: LabelSpace, finding: str | None, *, film_id: int, film_uri: str
) -> str:
    """Two windows on the same film, moved together by the script; the film alone lies on top, hidden.

    Args:
        film: What was read.
        reading: A result; its boxes are drawn in the first window.
        label_space: Names and colours of the findings.
        finding: Whose map the second window shows; a sentence stands there where the reading has none. None: no
            second window.
        film_id: The script starts afresh when it changes, and keeps zoom and shades while it stays.
        film_uri: The film alone, from `data_uri`.
    """
    said = ", ".join(f"{label_space[det.finding].display} {det.score:.2f}" for det in reading.detections)
    panes = _pane(film, boxes_panel(film, reading, label_space), f"Boxes on the film: {said or 'none'}")
    if finding is not None and map_of(reading, finding) is not None:
        full = strongest(reading)
        panel = map_panel(film, reading, label_space, finding, reference=full)
        panes += _pane(film, panel, panel.title, _reference(full))
    elif finding is not None:
        name = escape(label_space[finding].display)
        panes += f'<p class="bx-nomap">The classifier gives no map of {name}.</p>'
    return (
        f'<div class="bx-viewer" data-film="{film_id}" style="--film:url({film_uri})">'
        f'{_TOOLS}<div class="bx-panes">{panes}</div></div>'
    )


def data_uri(picture: ByteArray) -> str:
    """A picture inside the page: lossless, and no file that somebody else could ask for."""
    data = encode_png(picture) if picture.ndim == 3 else bytes(cv2.imencode(".png", picture)[1])
    return f"data:image/png;base64,{b64encode(data).decode()}"


def _pane(film: Film, panel: Panel, alt: str, below: str = "") -> str:
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
        f'<img src="{data_uri(panel.picture)}" alt="{escape(alt)}" draggable="false">'
        f'<div class="bx-film" style="{place}"></div></div></div>{below}</figure>'
    )


def _reference(full: float) -> str:
    """The raw value that has the full colour: the colours of two pages compare only where it is the same."""
    return f'<p class="bx-quiet bx-reference">Full colour: raw map value {full:.3g}</p>' if full > 0 else ""


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

VIEWER_SCRIPT: Final = """
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
"""Runs once in the page, with ``element`` the viewer's own; it outlives what is shown there."""

VIEWER_STYLE: Final = """
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
"""
"""Every class begins with ``bx-``; the viewer's element has the id ``viewer``."""
