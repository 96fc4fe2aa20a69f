"""What axe-core finds on the pages that keeps somebody out, at a desk's width and a phone's; serious means serious.

`test_read_page` looks at contrast and names by itself; axe looks at roles, order, lists, tables and the rest.
"""

import pytest

from serve.comparison_folder import write_folder
from serve.reading_room import open_chest, upload

pytestmark = [pytest.mark.browser, pytest.mark.slow]
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")


def found(page) -> list[str]:
    """Rule, element and how it fails, of what is serious or critical."""
    return [
        f"{each['id']} {node['html'][:160]} {' '.join(node['failureSummary'].split())[:300]}"
        for each in axe.Axe().run(page).response["violations"]
        if each["impact"] in {"serious", "critical"}
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("width", [1400, 390])
def test_no_page_keeps_anybody_out(page, served, width):
    folder = served.log.parent / "compare"
    if not folder.exists():
        write_folder(folder)
    page.set_viewport_size({"width": width, "height": 900})
    page.reload()
    page.wait_for_selector(".bx-files", state="attached")
    said = {"empty": found(page)}
    open_chest(page)
    page.keyboard.press("?")
    said["film"] = found(page)
    upload(page, "letter.txt", b"Dear colleague, this is a letter.")
    page.wait_for_selector(".bx-refusal")
    said["refusal"] = found(page)
    for tab, there in (("Compare", "#compare-part .pairs"), ("Model", "#model section"), ("About", "#about section")):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_selector(there)
        said[tab] = found(page)

    assert {where: what for where, what in said.items() if what} == {}


def test_a_fault_would_be_found(page):
    page.evaluate("document.querySelector('.bx-room').append(document.createElement('button'))")

    assert any(each.startswith("button-name") for each in found(page))
