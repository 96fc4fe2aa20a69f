"""The reading room in a browser: its pages, and the launch.

Films and their pixels never pass through Gradio: the page asks the desk's door for them, and nothing that is brought
is written to a disk. Moving the threshold asks nobody.

Here stand the frame round the pages and the launch. `pages` lays out what is in each tab, `desk` does what the controls
ask for, `viewer` draws, `words` says it in the reader's language, `guard` stands before.
"""

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from boxray import __version__
from boxray.localization.page import STYLE, source_url
from boxray.serve.desk import Desk
from boxray.serve.desk_door import PREFIX, add_desk
from boxray.serve.guard import MAX_UPLOAD_BYTES
from boxray.serve.pages.about import about_html, about_page
from boxray.serve.pages.compare import COMPARISONS, compare_page
from boxray.serve.pages.look import PAGES_STYLE
from boxray.serve.pages.model import licences_of, model_page
from boxray.serve.pages.read import read_page
from boxray.serve.rest.app import build_rest, sweeping
from boxray.serve.rest.kept import Readings
from boxray.serve.server import end_on_sigterm, guarded, require_safe, serve
from boxray.serve.service import Service
from boxray.serve.taming import OnlyWhatThePageAsks, tame_gradio
from boxray.serve.viewer import viewer_style
from boxray.serve.words import LANGUAGES, Spoken, Words, browser_words, words_in

if TYPE_CHECKING:
    import gradio as gr

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


def build_app(desk: Desk, comparisons: Path = COMPARISONS) -> "gr.Blocks":
    """The banner, the pages as tabs, the foot. What stands there is a key; `mounted` gives the texts to the browser.

    Args:
        desk: What the page *Read* asks for, through the desk's door.
        comparisons: What the page *Compare* shows: a folder of `boxray compare`, or one that holds several.
    """
    quiet_environment()
    import gradio as gr

    say, service = gr.I18n(), desk.service
    with gr.Blocks(title="boxray", analytics_enabled=False, fill_width=True) as app:
        gr.HTML(say("html.banner"), elem_id="banner")
        with gr.Tabs(elem_id="pages"):
            with gr.Tab(say("tab.read"), id="read"):
                read_page(desk)
            with gr.Tab(say("tab.compare"), id="compare") as tab:
                compare_page(tab, say, service.label_space, comparisons)
            with gr.Tab(say("tab.model"), id="model") as tab:
                model_page(tab, say, service.models)
            with gr.Tab(say("tab.about"), id="about"):
                about_page(say)
        gr.HTML(say("html.foot"), elem_id="source")
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
    comparisons: Path | None = None,
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
        comparisons: As for `build_app`; None: `COMPARISONS`.

    Raises:
        SystemExit: In the end, with 143 for SIGTERM. With code 78, and the reason on stderr, if other machines could
            reach `address` and there is no token.
    """
    require_safe(address, token)
    end_on_sigterm()
    readings = Readings(service)
    rest = build_rest(service, readings, source=source)
    desk = Desk(service, examples)
    add_desk(rest, desk)
    app = build_app(desk, comparisons or COMPARISONS)
    texts = _texts(source_url() if source is None else source, licences_of(service.models))
    page = mounted(app, sweeping(readings, desk.cases), texts, root_path)
    doors = guarded(Doors(rest, Spoken(page)), address, token=token, hosts=hosts)
    sys.exit(serve(doors, service, address=address, port=port, root_path=root_path))


def mounted(app: "gr.Blocks", lifespan: Any, texts: Mapping[str, Mapping[str, str]], root_path: str = "") -> Any:
    """The page as an ASGI application, with nothing of Gradio that nobody asked for.

    Args:
        app: From `build_app`.
        lifespan: Of the application.
        texts: What the browser says, by its name of the language.
        root_path: As for `launch`.
    """
    import gradio as gr
    from fastapi import FastAPI

    app.queue(default_concurrency_limit=_SESSIONS)  # who waits, and how long, is the service's business
    app.state_session_capacity = _SESSIONS
    tame_gradio(app)
    parent = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    page = gr.mount_gradio_app(
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
        css=STYLE + _PAGE_STYLE + PAGES_STYLE + viewer_style(),
        js="() => document.body.classList.add('dark')",
        i18n=gr.I18n(**texts),
    )
    return OnlyWhatThePageAsks(page)


class Doors:
    """What is asked of the REST door or the desk's goes there, everything else to the page (ASGI application)."""

    def __init__(self, rest: Any, page: Any) -> None:
        self._rest = rest
        self._page = page

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        of_rest = path == "/metrics" or path.startswith(("/v1/", "/health/", PREFIX))
        await (self._rest if of_rest else self._page)(scope, receive, send)


def _texts(source: str, licences: Sequence[str]) -> dict[str, dict[str, str]]:
    """What the browser says, by its name of the language: the catalogue, and what is whole HTML."""
    said = browser_words()
    for words in map(words_in, LANGUAGES):
        said[words.tag] |= {
            "html.banner": _banner(words),
            "html.foot": _foot(words, source),
            "html.about": about_html(words, source, licences),
        }
    return said


def _banner(words: Words) -> str:
    choices = "".join(
        f'<button type="button" data-language="{key}" lang="{key}" aria-pressed="{str(key == words.language).lower()}">'
        f"{escape(name)}</button>"
        for key, name in LANGUAGES.items()
    )
    return (
        f'<div class="bx-banner" role="note"><b>{escape(words["disclaimer"])}</b> '
        f"<span>{escape(words['banner.caution'])}</span>"
        f'<span class="bx-languages" role="group" aria-label="{escape(words["language.choose"])}">{choices}</span>'
        "</div>"
    )


def _foot(words: Words, source: str) -> str:
    return (
        f'<p class="bx-quiet">{escape(words("foot.free", version=__version__))} '
        f'<a href="{escape(source)}" rel="noreferrer" target="_blank">{escape(words["foot.source"])}</a>. '
        f"{escape(words['disclaimer'])}</p>"
    )


_PAGE_STYLE: Final = """
body.dark, body.dark .gradio-container { background: #111; color: #ececec; }
.gradio-container { padding: 0 !important; max-width: none !important; overflow: visible !important; }
.gradio-container .main.fillable { padding: 0 14px 24px !important; }
.gradio-container main.contain { padding: 0 !important; }
#banner { position: sticky; top: 0; z-index: 20; margin: 0 -14px; width: auto; }
#banner .html-container, #viewer .html-container, #source .html-container { padding: 0 !important; }
#viewer { overflow: visible !important; }
.bx-banner { background: #ffc400; color: #111; padding: 8px 14px; font-size: 15px; }
.bx-banner b, .bx-banner span { color: #111; }
.bx-banner { display: flex; flex-wrap: wrap; gap: 2px 10px; align-items: center; }
.bx-languages { margin-left: auto; display: inline-flex; gap: 4px; }
.bx-languages button { background: none; border: 1px solid transparent; border-radius: 4px; color: #111;
  padding: 2px 8px; min-height: 28px; font-size: 14px; cursor: pointer; }
.bx-languages button[aria-pressed=true] { background: #111; color: #ffc400; }
.bx-languages button:focus-visible { outline: 3px solid #111; outline-offset: 1px; }
@media (max-width: 640px) {
  .bx-banner { font-size: 13px; padding: 6px 14px; }
  #pages .tab-container button { padding: 6px 7px; font-size: 14px; }
}
#source a { color: #8fb7d9; padding: 0; }
"""
