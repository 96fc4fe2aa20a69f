"""A page of results as one HTML file: it asks no host for anything and runs no script but one that it is given.

Head, style in light and dark, foot; and the words and tables in which figures are told.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from html import escape
from math import isnan
from string import Template
from typing import Final

from boxray.core.metrics import Interval
from boxray.core.reading import DISCLAIMER

_STYLE: Final = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1b1b1b; --quiet: #595959; --line: #d6d6d6; --accent: #1f5f8b;
  --soft: #dbe7f0; --caution: #fff3cd; }
@media (prefers-color-scheme: dark) { :root { --ground: #121212; --ink: #ececec; --quiet: #b0b0b0; --line: #383838;
  --accent: #8fb7d9; --soft: #26343f; --caution: #332b10; } }
html { background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 1180px; margin: 0 auto; padding: 0 20px 60px; }
h1 { font-size: 26px; margin: 20px 0 4px; } h2 { font-size: 21px; margin: 0 0 6px; } h3 { font-size: 17px; }
section, .part { border-top: 1px solid var(--line); margin-top: 34px; padding-top: 18px; }
a { color: var(--accent); }
.banner { position: sticky; top: 0; z-index: 1; margin: 0 -20px; padding: 8px 20px; max-width: none;
  background: #ffc400; color: #111; font-weight: 700; }
.quiet { color: var(--quiet); }
.caution { background: var(--caution); border-left: 5px solid #ffc400; padding: 8px 12px; max-width: 80ch; }
li, p { max-width: 95ch; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 12px 0; font-size: 14px; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 4px 0; }
th, td { text-align: left; padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line); font-weight: 400;
  vertical-align: middle; white-space: nowrap; }
thead th { color: var(--quiet); font-size: 12.5px; white-space: normal; vertical-align: bottom; }
tbody th { font-weight: 600; } .mean th, .mean td { border-top: 2px solid var(--line); }
.facts { display: flex; flex-wrap: wrap; gap: 10px 40px; margin: 14px 0; }
.facts dt { color: var(--quiet); font-size: 13px; } .facts dd { margin: 0; font-size: 18px; }
.facts dd .quiet { font-size: 14px; }
.plots { display: flex; flex-wrap: wrap; gap: 16px; } figure { margin: 0; width: 360px; max-width: 100%; }
figcaption { font-size: 14px; font-weight: 600; }
.plot { width: 100%; height: auto; } .row { display: block; }
.grid { stroke: var(--line); stroke-width: 1; } .axis { fill: none; stroke: var(--quiet); }
.curve { fill: none; stroke: var(--accent); stroke-width: 2; stroke-linejoin: round; }
.bar { fill: var(--soft); stroke: var(--accent); } .point { fill: var(--accent); }
.whisker { fill: none; stroke: var(--ink); stroke-width: 1.3; }
.reference { fill: none; stroke: var(--quiet); stroke-width: 1; stroke-dasharray: 2 4; }
.other { fill: none; stroke: var(--quiet); stroke-width: 1.3; stroke-dasharray: 6 4; }
.heat td { text-align: right; padding: 5px 10px; } .heat thead th { padding-left: 10px; text-align: right; }
.heat caption { white-space: nowrap; }
.s1 { --accent: #c2571a; --dash: 7 3; } .s2 { --accent: #3f7d3a; --dash: 3 3; }
.s3 { --accent: #8a4f9e; --dash: 9 3 2 3; } .s4 { --accent: #8c6d1f; --dash: 2 4; } .s5 { --accent: #6b6b6b; }
.series .curve { stroke-dasharray: var(--dash); } .series .whisker { stroke: var(--accent); }
@media (prefers-color-scheme: dark) { .s1 { --accent: #f0935a; } .s2 { --accent: #86c480; } .s3 { --accent: #cf9be0; }
  .s4 { --accent: #d8b95e; } .s5 { --accent: #b5b5b5; } }
.tick { font-size: 11px; fill: var(--quiet); } .label { font-size: 12px; fill: var(--ink); }
.mid { text-anchor: middle; } .end { text-anchor: end; }
details { margin: 12px 0; } summary { cursor: pointer; font-weight: 600; }
.films { display: flex; flex-wrap: wrap; gap: 10px; margin-top: 10px; }
.films figure { width: 560px; font-size: 14px; }
.films img { max-width: 100%; width: 560px; height: auto; background: #111; display: block; }
.pairs figure { width: auto; margin: 10px 0 22px; } .pairs img { max-width: 100%; height: auto; display: block; }
.verdict { border-left: 5px solid var(--accent); background: var(--soft); padding: 8px 14px; max-width: 95ch; }
footer { margin-top: 50px; border-top: 1px solid var(--line); color: var(--quiet); font-size: 13px;
  overflow-wrap: anywhere; }
@media print { .banner { position: static; } section { break-inside: avoid-page; } }
"""

_PAGE: Final = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline';$allowed base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer">
<title>$title</title>
<style>$style</style>
</head>
<body>
<p class="banner" role="note">$disclaimer</p>
<main>
<h1>$title</h1>
$body
</main>
<footer><p>$disclaimer $foot</p></footer>$script
</body>
</html>
""")


def whole_page(title: str, body: str, foot: str, *, style: str = "", script: str = "") -> str:
    """The page: a banner with the disclaimer above, the title as its heading, the foot below.

    Args:
        title: Plain text.
        body: HTML.
        foot: Plain text: what was measured with, and where the numbers lie.
        style: CSS laid over that of all pages.
        script: What the page runs at its end; without it no script can run. No other one can, whatever the body holds:
            the browser is told this one's hash.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return _PAGE.substitute(
        title=escape(title),
        disclaimer=escape(DISCLAIMER),
        style=_STYLE + style,
        allowed=f" script-src 'sha256-{digest}';" if script else "",
        script=f"\n<script>{script}</script>" if script else "",
        body=body,
        foot=escape(foot),
    )


def figure(interval: Interval, digits: int = 2) -> str:
    """A figure with its interval as HTML; a dash where there is nothing to measure."""
    if isnan(interval.value):
        return "–"
    if not interval.is_wide:
        return f"{interval.value:.{digits}f}"
    brackets = f"({interval.low:.{digits}f}–{interval.high:.{digits}f})"
    return f'{interval.value:.{digits}f} <span class="quiet">{brackets}</span>'


def difference(interval: Interval, digits: int = 2) -> str:
    """A difference with its sign and interval as HTML; a dash where there is nothing to measure."""
    if isnan(interval.value):
        return "–"
    if isnan(interval.low):
        return f"{interval.value:+.{digits}f}"
    brackets = f"({interval.low:+.{digits}f}, {interval.high:+.{digits}f})"
    return f'{interval.value:+.{digits}f} <span class="quiet">{brackets}</span>'


def table_row(cells: Sequence[str], *, kind: str = "") -> str:
    """The first cell names the row; cells are HTML."""
    named = f' class="{kind}"' if kind else ""
    first, *others = cells
    return f'<tr{named}><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>'


def table(caption: str, head: Sequence[str], rows: Sequence[str]) -> str:
    """A table of rows made by `table_row`; caption and heads are HTML."""
    named = "".join(f'<th scope="col">{word}</th>' for word in head)
    inner = f"<caption>{caption}</caption><thead><tr>{named}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return _wide(caption, f"<table>{inner}</table>")


def heat_table(caption: str, corner: str, names: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """A table of counts in which each cell is the fuller of colour the larger its share of its row.

    Args:
        caption: HTML.
        corner: HTML: what rows and columns are.
        names: HTML, of rows and columns alike.
        counts: Row by row.
    """
    head = "".join(f'<th scope="col">{name}</th>' for name in (corner, *names, "all"))
    rows = []
    for name, row in zip(names, counts, strict=True):
        cells = (
            f'<td style="background: color-mix(in srgb, var(--accent) {45 * n / max(sum(row), 1):.0f}%, '
            f'transparent)">{n} <span class="quiet">{n / max(sum(row), 1):.0%}</span></td>'
            for n in row
        )
        rows.append(f'<tr><th scope="row">{name}</th>{"".join(cells)}<td class="quiet">{sum(row)}</td></tr>')
    inner = f"<caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return _wide(caption, f'<table class="heat">{inner}</table>')


def _wide(caption: str, inner: str) -> str:
    """What is wider than a small screen moves under a finger or, once it has the focus, under the arrow keys."""
    named = re.sub("<[^>]*>", "", caption).replace('"', "&quot;")
    return f'<div class="wide" tabindex="0" role="group" aria-label="{named}">{inner}</div>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """What matters most, side by side: name and value, both HTML."""
    inner = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in pairs)
    return f'<dl class="facts">{inner}</dl>'


def plot_row(pairs: Iterable[tuple[str, str]]) -> str:
    """Plots side by side: caption and plot, both HTML."""
    inner = "".join(f"<figure><figcaption>{caption}</figcaption>{plot}</figure>" for caption, plot in pairs)
    return f'<div class="plots">{inner}</div>'
