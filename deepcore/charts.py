"""Pictures in HTML pages: small matplotlib figures as SVG that takes its colours from the page (light or dark).

Drawn small (4.4 inches wide): on a phone a picture fills the width without its letters becoming too small to read.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 4.4  # inches
# What matplotlib draws with; each becomes a variable of the page's style sheet.
INK, FAINT, BOUND, BAD = "#010101", "#020202", "#030303", "#040404"
COLORS = ("#050505", "#060606", "#070707", "#080808", "#0a0a0a")
QUIET = "#090909"
VARIABLES = {INK: "ink", FAINT: "grid", BOUND: "bound", BAD: "bad", QUIET: "exact"} | {
    color: f"device{i}" for i, color in enumerate(COLORS)
}
MARKERS = ("o", "s", "^", "D", "v")
DASHES = ((0, ()), (0, (4, 1.5)), (0, (1.2, 1.2)), (0, (5, 1, 1, 1)))


class Picture(NamedTuple):
    """One picture: its SVG, its title, and what it shows, for the text under it and for those who cannot see it."""

    name: str
    title: str
    text: str
    svg: str


STYLE = """
.pictures { display: grid; grid-template-columns: minmax(0, 1fr); gap: 16px; align-items: start; }
figure { margin: 0; background: var(--card); border-radius: 10px; padding: 12px 8px; min-width: 0; }
figure h3, figcaption { padding: 0 6px; }
figure svg { display: block; width: 100%; height: auto; max-width: 500px; margin: 0 auto; }
figure svg text { font-family: system-ui, sans-serif !important; }
figcaption { color: var(--quiet); font-size: 0.9rem; margin-top: 8px; }
@media (min-width: 820px) {
  figure { padding: 16px; }
  .pictures { grid-template-columns: repeat(2, minmax(0, 1fr)); }
}
@media print { figure, .tiles li, .verdict { break-inside: avoid; } }
"""


def section(pictures: Iterable[Picture], title: str = "Pictures") -> str:
    """The pictures beside each other, as a part of a page with `STYLE`; "" without pictures."""
    figures = "\n".join(
        f'<figure><h3>{escape(p.title)}</h3><div role="img" aria-label="{escape(p.title)}">{p.svg}</div>'
        f"<figcaption>{escape(p.text)}</figcaption></figure>"
        for p in pictures
    )
    return f'<section><h2>{escape(title)}</h2>\n<div class="pictures">{figures}</div></section>' if figures else ""


def new_figure(height: float, rows: int = 1) -> tuple[Figure, Any]:
    """An empty figure with tidy axes, which leaves matplotlib's global state alone."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height))
    axes: Any = figure.subplots(rows, 1, sharex=True) if rows > 1 else figure.subplots()
    margins(figure, left=0.72, top=0.1, bottom=0.48)
    for axis in np.atleast_1d(axes):
        axis.patch.set_visible(False)
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[:].set_color(INK)
        axis.tick_params(which="both", colors=INK, labelsize=9.5)
        for label in (axis.xaxis.label, axis.yaxis.label):
            label.set(color=INK, fontsize=10)
        axis.grid(True, which="major", color=FAINT, linewidth=0.6)
        axis.set_axisbelow(True)
    figure.patch.set_visible(False)
    return figure, axes


def margins(figure: Figure, **inches: float) -> None:
    """Sets the margins that are named. By hand: matplotlib's own layout takes longer than all the drawing."""
    width, height = figure.get_size_inches()
    size = {"left": width, "right": width, "top": height, "bottom": height}
    parts = {side: value / size[side] for side, value in inches.items()}
    if "top" in parts:
        parts["top"] = 1 - parts["top"]
    figure.subplots_adjust(right=1 - 0.08 / width, hspace=0.12, **parts)


def legend(axis: Any) -> None:
    """Above the axes, where it covers nothing, from the left edge on; in two columns where they have room."""
    from matplotlib.transforms import blended_transform_factory

    labels = axis.get_legend_handles_labels()[1]
    columns = 2 if 2 * (0.075 * max(map(len, labels)) + 0.45) < WIDTH else 1
    height = 0.19 * -(-len(labels) // columns)
    axis.figure.set_figheight(axis.figure.get_figheight() + height)
    margins(axis.figure, top=0.12 + height, bottom=0.48)
    axis.legend(
        loc="lower left", bbox_to_anchor=(0.01, 1), ncols=columns, frameon=False, fontsize=9.5, labelcolor=INK,
        borderpad=0.1, borderaxespad=0.3, columnspacing=1.2, handlelength=1.8,
        bbox_transform=blended_transform_factory(axis.figure.transFigure, axis.transAxes),
    )  # fmt: skip


def powers_only(axis: Any) -> None:
    """Writes powers of ten only, as 1e-5: between two of them there is no room for more."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if 0.001 <= value <= 1000 else _power(value)))
    axis.set_minor_formatter(NullFormatter())


def _power(value: float) -> str:
    """1e-5 for 0.00001."""
    digits, exponent = f"{value:.0e}".split("e")
    return f"{digits}e{int(exponent)}"


def to_svg(figure: Figure, name: str) -> str:
    """The figure as an SVG element for a page: its colours are the page's variables, its names its own."""
    from matplotlib import rc_context

    file = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Several pictures share a page: every id gets the picture's name in front.
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    for color, variable in VARIABLES.items():
        text = text.replace(color, f"var(--{variable})")
    return _with_size_of_page(text)


def _with_size_of_page(svg: str) -> str:
    """Without the size in points: the picture is as wide as the page lets it be."""
    head, rest = svg.split(">", 1)
    head = re.sub(r'\s(?:width|height)="[^"]*"', "", head)
    return f"{head}>{rest}"
