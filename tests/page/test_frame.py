"""The page that all results share: nothing is asked of any host, and no script runs but the one that it was given."""

import base64
import hashlib
import re

from boxray.page.frame import whole_page


def policy_of(page):
    (policy,) = re.findall(r'Content-Security-Policy"\s+content="([^"]*)"', page)
    return policy


def test_without_a_script_no_script_may_run():
    page = whole_page("A title", "<p>body</p>", "foot")

    assert "script-src" not in policy_of(page)
    assert "default-src 'none'" in policy_of(page)
    assert "<script" not in page


def test_a_script_is_named_by_its_hash_and_its_dollars_are_its_own():
    script = "const price = `${1 + 1} $title`;"

    page = whole_page("A title", "<p>$title</p>", "foot", script=script, style=".x { color: red; }")

    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy_of(page)
    assert f"<script>{script}</script>" in page
    assert ".x { color: red; }" in page
    assert "<p>$title</p>" in page
