"""What stands round the report: head, style in light and dark, foot."""

from __future__ import annotations

from string import Template
from typing import Final

STYLE: Final = """
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
.tick { font-size: 11px; fill: var(--quiet); } .label { font-size: 12px; fill: var(--ink); }
.mid { text-anchor: middle; } .end { text-anchor: end; }
details { margin: 12px 0; } summary { cursor: pointer; font-weight: 600; }
.films { display: flex; flex-wrap: wrap; gap: 10px; margin-top: 10px; }
.films figure { width: 560px; font-size: 14px; }
.films img { max-width: 100%; width: 560px; height: auto; background: #111; display: block; }
footer { margin-top: 50px; border-top: 1px solid var(--line); color: var(--quiet); font-size: 13px;
  overflow-wrap: anywhere; }
@media print { .banner { position: static; } section { break-inside: avoid-page; } }
"""

PAGE: Final = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer">
<title>$title</title>
<style>$style</style>
</head>
<body>
<p class="banner" role="note">$disclaimer</p>
<main>
<h1>$title</h1>
$about
$glance
<div class="part">$how</div>
<div class="part">$shift</div>
$findings
</main>
<footer><p>$disclaimer Weights SHA-256 $sha256. Data fingerprint $fingerprint. All numbers with their counts are in
results.json beside this page.</p></footer>
</body>
</html>
""")
