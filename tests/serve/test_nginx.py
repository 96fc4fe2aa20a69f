"""Behind nginx, under a path of its own, with the very file that docs/deploy gives to the hospital."""

import os
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from boxray.client import Client
from boxray.core.reading import DISCLAIMER
from serve import reading_room
from serve.reading_room import a_chest_png, open_chest
from serve.rest_room import eventually

pytestmark = pytest.mark.slow
NGINX = os.environ.get("BOXRAY_NGINX") or shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
GIVEN = Path(__file__).parents[2] / "docs" / "deploy" / "nginx.conf"
AROUND = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log stderr notice;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    upstream boxray {{ server {boxray}; keepalive 8; }}
    server {{ listen 127.0.0.1:{port}; client_header_timeout 10s; include {given}; }}
}}
"""


@pytest.fixture(scope="module")
def proxied(tmp_path_factory):
    """The address of the app behind nginx, with its path."""
    if NGINX is None:
        pytest.skip("no nginx: install it (Debian: nginx-light) or name it in BOXRAY_NGINX")
    folder = tmp_path_factory.mktemp("proxied")
    example = folder / "chest.png"
    example.write_bytes(a_chest_png())
    with server([sys.executable, reading_room.__file__, str(example), "/boxray"], folder / "log") as process:
        boxray = urlsplit(reading_room.url_in(folder / "log", process))
        assert boxray.path == "/boxray/"
        port = a_free_port()
        config = folder / "nginx.conf"
        config.write_text(AROUND.format(folder=folder, boxray=boxray.netloc, port=port, given=GIVEN))
        with server([NGINX, "-p", str(folder), "-c", str(config)], folder / "nginx.log") as nginx:
            eventually(lambda: nginx.poll() is not None or listens(port))
            assert nginx.poll() is None, (folder / "nginx.log").read_text()
            yield f"http://127.0.0.1:{port}/boxray"
        assert list((folder / "body").iterdir()) == []  # no upload has touched its disk


@contextmanager
def server(command, log):
    with log.open("w") as stream, subprocess.Popen(command, stdout=stream, stderr=stream) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


def a_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def listens(port) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def test_rest_reads_and_its_addresses_lead_back_through_the_proxy(proxied):
    with httpx.Client(trust_env=False, timeout=60) as door:
        answer = door.post(f"{proxied}/v1/readings", content=a_chest_png(), headers={"content-type": "image/png"})
        place = answer.headers["location"]
        again = door.get(httpx.URL(proxied).join(place))
        picture = door.get(httpx.URL(proxied).join(f"{place}/overlay.png"))

    assert answer.json()["status"] == "RESULT"
    assert place.startswith("/boxray/v1/readings/")
    assert again.json() == answer.json()
    assert picture.headers["content-type"] == "image/png"
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_the_client_reads_through_the_proxy(proxied):
    with Client(proxied) as client:
        assert client.read(a_chest_png())["status"] == "RESULT"


def test_the_page_asks_for_its_parts_under_the_path(proxied):
    with httpx.Client(trust_env=False, timeout=60) as door:
        without_slash, page = door.get(proxied), door.get(f"{proxied}/")
        config = door.get(f"{proxied}/config").json()

    assert without_slash.status_code == 308
    assert without_slash.headers["location"].endswith("/boxray/")
    assert DISCLAIMER in page.text
    assert config["root"] == proxied


def test_a_body_beyond_the_limit_is_refused_by_the_proxy_and_one_below_it_by_boxray(proxied):
    with httpx.Client(trust_env=False, timeout=60) as door:
        headers = {"content-type": "application/dicom"}
        too_large = door.post(f"{proxied}/v1/readings", content=bytes(130 * 2**20), headers=headers)
        just_so = door.post(f"{proxied}/v1/readings", content=bytes(128 * 2**20 + 1), headers=headers)

    assert too_large.status_code == 413
    assert (just_so.status_code, just_so.json()["code"]) == (413, "input.too_large")


def test_a_web_socket_is_refused_and_the_door_stays_open(proxied):
    asked = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-key": "eA=="}
    with httpx.Client(trust_env=False, timeout=30) as door:
        refused = door.get(f"{proxied}/gradio_api/queue/join", headers=asked)
        alive = door.get(f"{proxied}/health/ready")

    assert refused.status_code in {400, 403, 404, 405}
    assert alive.status_code == 200


def test_a_page_of_another_origin_may_send_nothing_through_the_proxy_either(proxied):
    with httpx.Client(trust_env=False, timeout=30) as door:
        own = {"origin": proxied.removesuffix("/boxray"), "content-type": "image/png"}
        foreign = {"origin": "https://evil.example", "content-type": "image/png"}
        taken = door.post(f"{proxied}/v1/readings", content=a_chest_png(), headers=own)
        refused = door.post(f"{proxied}/v1/readings", content=a_chest_png(), headers=foreign)
        other_name = door.get(f"{proxied}/v1/model", headers={"host": "rebound.example"})

    assert [answer.status_code for answer in (taken, refused, other_name)] == [200, 403, 403]


@pytest.mark.browser
def test_the_app_reads_an_upload_through_the_proxy_and_asks_nobody_else(proxied, browser):
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(60_000)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{proxied}/")
    page.wait_for_selector(".bx-files", state="attached")

    open_chest(page)
    page.get_by_role("tab", name="Model").click()
    page.wait_for_selector("#model section")
    context.close()

    of_the_net = [url for url in asked if not url.startswith(("data:", "blob:"))]
    assert [url for url in of_the_net if not url.startswith(f"{proxied}/")] == []
    assert any("/gradio_api/queue/data" in url for url in of_the_net)  # its events came as a stream
