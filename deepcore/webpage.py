"""The frame and the style of every HTML page that deepcore writes: one file that loads nothing from anywhere.

One column on a phone, several on a desk, light and dark as the reader's system is.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --card: #f6f7f9; --ink: #1c2330; --quiet: #5a6475;
  --grid: #dde1e8; --bound: #d9dde5;
  --good: #1b7f4d; --good-card: #e6f5ec; --bad: #c5221f; --bad-card: #fdecea; --open: #8a6100; --open-card: #fdf3dc;
  --device0: #2b6cb0; --device1: #d9730d; --device2: #7b4fb5; --device3: #0f8a83; --device4: #b0336f;
  --exact: #6b7484;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12161d; --card: #1b212b; --ink: #e6e9ef; --quiet: #9aa4b5; --grid: #2f3744; --bound: #39424f;
    --good: #5fd39a; --good-card: #15291f; --bad: #ff8a80; --bad-card: #321b1b; --open: #f2c14e; --open-card: #2e2512;
    --device0: #6cb1f5; --device1: #ffab5e; --device2: #c3a0f0; --device3: #58d3c9; --device4: #f291bf;
    --exact: #a3adbd;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 16px; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 12px; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 36px 0 12px; }
h3 { font-size: 1rem; margin: 0 0 8px; }
p { margin: 0 0 10px; max-width: 75ch; overflow-wrap: anywhere; }
.verdict { padding: 16px 18px 8px; border-radius: 10px; border-left: 6px solid; }
.verdict.good { background: var(--good-card); border-color: var(--good); }
.verdict.bad { background: var(--bad-card); border-color: var(--bad); }
.verdict.open { background: var(--open-card); border-color: var(--open); }
.tiles { display: grid; grid-template-columns: repeat(2, 1fr); gap: 10px; margin: 16px 0; }
.tiles { list-style: none; padding: 0; }
.tiles li { background: var(--card); border-radius: 10px; padding: 10px 14px; }
.tiles strong { display: block; font-size: 1.4rem; line-height: 1.3; }
.tiles span, .quiet { color: var(--quiet); font-size: 0.9rem; }
.scroll { overflow-x: auto; margin: 0 0 14px; }
table { border-collapse: collapse; font-size: 0.9rem; }
th, td { text-align: left; padding: 5px 10px 5px 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
thead th { color: var(--quiet); font-weight: 600; }
td { font-variant-numeric: tabular-nums; }
td.n, th.n { text-align: right; }
td.bad { color: var(--bad); font-weight: 600; }
.facts th { color: var(--quiet); font-weight: normal; white-space: nowrap; }
.facts td { overflow-wrap: anywhere; }
footer { color: var(--quiet); font-size: 0.85rem; margin: 36px 0 8px; }
@media (min-width: 820px) {
  main { padding: 28px; }
  h1 { font-size: 1.8rem; }
  .tiles { grid-template-columns: repeat(4, 1fr); }
}
"""


def document(title: str, parts: Iterable[str], style: str = "") -> str:
    """The text of an HTML file: the parts that are not empty, in the common style and then in the page's own."""
    return DOCUMENT.format(title=escape(title), style=STYLE + style, body="\n".join(part for part in parts if part))


def tiles(numbers: Iterable[tuple[str, str]]) -> str:
    """The few numbers that are asked for first: pairs (value, what it is)."""
    cells = "".join(f"<li><strong>{escape(value)}</strong><span>{escape(what)}</span></li>" for value, what in numbers)
    return f'<ul class="tiles">{cells}</ul>'
