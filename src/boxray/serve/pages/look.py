"""The look of the pages that tell figures: what `boxray.page` makes, on the app's dark ground."""

from typing import Final

PAGES_STYLE: Final = """
.bx-page { --ink: #ececec; --quiet: #b8b8b8; --line: #3a3a3a; --accent: #8fb7d9; --soft: #26343f; --caution: #332b10; }
#pages .bx-page, #pages .bx-page :is(p, li, h2, h3, h4, td, th, dd, b, caption, figcaption, span, summary, label) {
  color: var(--ink); }
.bx-page { font-size: 15px; line-height: 1.55; overflow-wrap: anywhere; }
.bx-page h2 { font-size: 21px; margin: 14px 0 6px; } .bx-page h3 { font-size: 17px; margin: 16px 0 6px; }
.bx-page h4 { font-size: 15px; margin: 14px 0 4px; width: 100%; }
.bx-page :is(p, li) { max-width: 95ch; margin: 6px 0; } .bx-page ul { list-style: disc; padding-left: 22px; }
.bx-page a { color: #8fb7d9; text-decoration: underline; padding: 0; }
#pages .bx-page table { border: 0; width: auto; } #pages .bx-page :is(th, td) { border-left: 0; border-right: 0; }
#pages .bx-page :is(tr, thead, tbody) { border: 0; }
.bx-page section + section, .bx-page h2 + section { border-top: 1px solid var(--line); margin-top: 18px;
  padding-top: 6px; }
.bx-page pre { background: #1b1b1b; color: var(--ink); padding: 10px 12px; overflow-x: auto; }
.bx-page code { background: none; color: inherit; }
#pages .bx-page :is(.quiet, .quiet *, dt, thead th) { color: var(--quiet); }
.bx-page .caution { background: var(--caution); border-left: 5px solid #ffc400; padding: 8px 12px; }
.bx-page .verdict { background: var(--soft); border-left: 5px solid var(--accent); padding: 8px 14px; }
.bx-page .wide { overflow-x: auto; } .bx-page .wide:focus-visible { outline: 3px solid #8fb7d9; }
.bx-page td .quiet { white-space: nowrap; }
.bx-page table { border-collapse: collapse; margin: 12px 0; font-size: 14px; font-variant-numeric: tabular-nums; }
.bx-page caption { text-align: left; font-weight: 600; padding: 4px 0; }
.bx-page :is(th, td) { text-align: left; padding: 6px 14px 6px 0; border: 0; border-bottom: 1px solid var(--line);
  font-weight: 400; overflow-wrap: normal; }
.bx-page thead th { font-size: 13px; vertical-align: bottom; min-width: 6em; } .bx-page tbody th { font-weight: 600; }
.bx-page td span[lang] { display: inline-block; min-width: 20em; }
#pages .bx-page .silent td { color: var(--quiet); font-style: italic; }
.bx-page .mean :is(th, td) { border-top: 2px solid var(--line); }
.bx-page .facts { display: flex; flex-wrap: wrap; gap: 8px 36px; margin: 14px 0; }
.bx-page .facts dt { font-size: 13px; } .bx-page .facts dd { margin: 0; font-size: 17px; }
.bx-page .plots { display: flex; flex-wrap: wrap; gap: 16px; margin: 12px 0; }
.bx-page .plots figure { width: 400px; max-width: 100%; margin: 0; }
.bx-page figcaption { font-size: 14px; }
.bx-page .plot { width: 100%; height: auto; }
.bx-page .grid { stroke: var(--line); stroke-width: 1; } .bx-page .axis { fill: none; stroke: var(--quiet); }
.bx-page .curve { fill: none; stroke: var(--accent); stroke-width: 2; stroke-dasharray: var(--dash); }
.bx-page .point { fill: var(--accent); } .bx-page .whisker { fill: none; stroke: var(--ink); stroke-width: 1.3; }
.bx-page .series .whisker { stroke: var(--accent); }
.bx-page .s1 { --accent: #f0935a; --dash: 7 3; } .bx-page .s2 { --accent: #86c480; --dash: 3 3; }
.bx-page .s3 { --accent: #cf9be0; --dash: 9 3 2 3; } .bx-page .s4 { --accent: #d8b95e; --dash: 2 4; }
.bx-page .s5 { --accent: #b5b5b5; }
.bx-page .tick { font-size: 11px; fill: var(--quiet); } .bx-page .label { font-size: 12px; fill: var(--ink); }
.bx-page .mid { text-anchor: middle; } .bx-page .end { text-anchor: end; }
.bx-page .pairs { display: flex; flex-wrap: wrap; gap: 12px; }
.bx-page .pairs figure { margin: 0; flex: 1 1 460px; max-width: min(100%, 640px); }
.bx-page .thumbs .pairs figure { flex: 0 1 300px; } .bx-page .pairs h4 { flex: 1 0 100%; }
.bx-page .pairs img { width: 100%; height: auto; background: #111; }
"""
