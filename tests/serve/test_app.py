import os
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from boxray.core.protocols import FixedDetector
from boxray.core.reading import DISCLAIMER
from boxray.localization.reader import Reader
from boxray.serve.app import launch, quiet_environment
from boxray.serve.service import Service
from serve.reading_room import SPACE, open_chest


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


@pytest.mark.browser
def test_the_page_asks_nobody_but_this_machine(page):
    open_chest(page)
    page.click("#finding label:has-text('Atelectasis')")
    page.wait_for_selector("figcaption:has-text('Atelectasis')")

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
