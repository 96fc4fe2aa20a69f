import os
import subprocess
import sys
from urllib.parse import urlsplit

import httpx
import pytest

from boxray.core.protocols import FixedDetector
from boxray.core.reading import DISCLAIMER
from boxray.localization.reader import Reader
from boxray.serve.app import launch, quiet_environment
from boxray.serve.service import Service
from serve.reading_room import SPACE, a_chest_png, open_chest


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.7", "radiology.example", ""])
def test_an_address_that_others_reach_is_refused_with_the_reason(address, capsys):
    with pytest.raises(SystemExit) as refusal:
        launch(Service(Reader(FixedDetector(SPACE), None)), address=address)

    assert refusal.value.code == 78
    assert "without a token" in capsys.readouterr().err


def test_importing_the_app_loads_no_gradio():
    script = "import sys, boxray.serve.app; print('gradio' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


def test_the_environment_is_quiet_but_what_somebody_chose_stays(monkeypatch, tmp_path):
    for name in ("GRADIO_ANALYTICS_ENABLED", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))

    quiet_environment()

    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert os.environ["HF_HUB_OFFLINE"] == os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert os.environ["GRADIO_TEMP_DIR"] == str(tmp_path)


def test_the_app_and_rest_share_one_process_and_one_service(served):
    with httpx.Client(base_url=served.url, trust_env=False, timeout=60) as door:
        n_reads = served.n_reads()
        answer = door.post("/v1/readings", content=a_chest_png(), headers={"content-type": "image/png"})
        page, nothing, ready = door.get("/"), door.get("/v1/none"), door.get("/health/ready")
        foreign = door.get("/config", headers={"origin": "https://evil.example"})

    assert answer.json()["status"] == "RESULT"
    assert served.n_reads() == n_reads + 1
    assert DISCLAIMER in page.text
    assert (nothing.status_code, nothing.json()["code"]) == (404, "request.not_found")
    assert ready.status_code == 200
    assert "access-control-allow-origin" not in foreign.headers


def test_the_page_tells_no_path_of_this_machine(served):
    with httpx.Client(base_url=served.url, trust_env=False, timeout=60) as door:
        said = door.get("/config").text + door.get("/").text

    assert str(served.uploads) not in said
    assert sys.prefix not in said


@pytest.mark.browser
def test_the_page_asks_nobody_but_this_machine(page):
    open_chest(page)
    page.select_option("[data-set=layout]", "map")
    page.select_option("[data-set=finding]", "atelectasis")
    page.wait_for_selector(".bx-map-caption:has-text('Atelectasis')")

    hosts = {urlsplit(url).hostname for url in page.asked if not url.startswith(("data:", "blob:"))}

    assert hosts == {"127.0.0.1"}


@pytest.mark.browser
def test_the_banner_stays_in_sight_and_the_source_is_linked(page):
    open_chest(page)
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")

    banner = page.locator(".bx-banner")

    assert DISCLAIMER in banner.inner_text()
    assert banner.bounding_box()["y"] == pytest.approx(0, abs=1)
    assert page.get_attribute("#source a", "href") == "https://example.org/source"


@pytest.mark.browser
def test_a_phone_needs_no_scrolling_to_the_side(page):
    page.set_viewport_size({"width": 390, "height": 844})
    open_chest(page)

    assert page.evaluate("document.documentElement.scrollWidth") <= 390
