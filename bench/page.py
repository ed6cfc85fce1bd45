"""A result as one HTML file that loads nothing: the means first, then the pictures, then every figure."""

from __future__ import annotations

from html import escape
from importlib.metadata import version

from deepcore import charts, webpage
from deepcore.bench import pictures, report
from deepcore.bench.result import MEASURED, SKIPPED, Case, Measurement, Result

STYLE = """
td small { display: block; color: var(--quiet); white-space: nowrap; }
td.better small { color: var(--good); }
td.worse small { color: var(--bad); }
code { overflow-wrap: anywhere; }
"""
EXPLANATION = """<section>
<h2>How to read this</h2>
<p>Every candidate runs in a process of its own, with the same weights, data and threads. What they compute is compared
first: one whose results differ is refused and not timed. Then rounds alternate, so that a machine that becomes slower
for a while does so for all of them. A figure is the median over the rounds. A ratio is the baseline's median divided by
the candidate's, so that more is better; the interval behind it comes from drawing the rounds again and again
(bootstrap, 95 %).</p>
</section>"""


def to_html(result: Result) -> str:
    """The report as the text of an HTML file."""
    title = f"deepcore bench: {', '.join(candidate.name for candidate in result.candidates) or 'nothing measured'}"
    parts = [
        f"<header><h1>{escape(title)}</h1>\n<p><code>{escape(result.command)}</code></p></header>",
        _tiles(result),
        charts.section(pictures.all_of(result)),
        _means(result),
        *(_suite(name, cases, result) for name, cases in report.suites(result)),
        _fits(result),
        _list("Not measured", report.left_out(result)),
        _list("Where and how it was measured", report.heading(result)),
        EXPLANATION,
        f"<footer>deepcore {escape(version('deepcore'))}</footer>",
    ]
    return webpage.document(title, parts, charts.STYLE + STYLE)


def _tiles(result: Result) -> str:
    """The geometric mean of the first device in each group of cases, beside the strictest baseline that there is."""
    devices = [candidate.name for candidate in result.candidates if candidate.kind == "device"]
    found: dict[tuple[str, str], report.Mean] = {}
    for mean in report.means(result):
        if devices and mean.candidate == devices[0]:
            found[mean.suite, mean.group] = mean  # "best ..." comes after the baseline itself
    shown = [
        (f"{m.value:.2f}x", f"{m.candidate} beside {m.baseline}: {m.suite}, {m.group}, {m.count} cases")
        for m in list(found.values())[:8]
    ]
    return webpage.tiles(shown) if shown else ""


def _means(result: Result) -> str:
    rows = [
        [
            *(escape(cell) for cell in (m.suite, m.group, m.candidate, m.baseline)),
            *(f"{m.value:.2f}x", f"{m.lowest:.2f}x {escape(m.lowest_case)}", str(m.count)),
        ]
        for m in report.means(result)
    ]
    head = ("suite", "group", "candidate", "beside", "geometric mean", "lowest", "cases")
    return _table("Geometric means", head, [[f"<td>{cell}</td>" for cell in row] for row in rows])


def _suite(name: str, cases: list[Case], result: Result) -> str:
    names = [candidate.name for candidate in result.candidates]
    rows = []
    for case in cases:
        first = f"<td>{escape(case.name)}, {escape(case.part)}<small>{escape(case.size)}</small></td>"
        rows.append([first, *(_cell(case, case.of(name)) for name in names)])
    return _table(name, ("case", *names), rows)


def _cell(case: Case, measurement: Measurement | None) -> str:
    if measurement is None or measurement.state == SKIPPED:
        return "<td></td>"
    if measurement.state != MEASURED or not measurement.samples:
        return f'<td class="bad">{escape(measurement.state)}</td>'
    ratio = measurement.ratio
    kind = "" if ratio is None else "better" if ratio.low > 1 else "worse" if ratio.high < 1 else ""
    small = f"<small>{escape(report.times(ratio))}</small>" if ratio else ""
    return f'<td class="{kind}">{escape(report.median(case, measurement))}{small}</td>'


def _fits(result: Result) -> str:
    rows = [
        [
            *(escape(f"{f.name}, {f.part}"), escape(f.axis), escape(f.candidate)),
            *(f"{f.exponent:.2f}", f"{f.low:.2f} to {f.high:.2f}", str(f.points)),
        ]
        for f in result.fits
    ]
    head = ("case", "axis", "candidate", "exponent", "interval", "points")
    return _table("Exponents", head, [[f"<td>{cell}</td>" for cell in row] for row in rows])


def _table(title: str, head: tuple[str, ...], rows: list[list[str]]) -> str:
    """A section with a table of finished cells; "" without rows."""
    if not rows:
        return ""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "\n".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    table = f"<table><thead><tr>{top}</tr></thead><tbody>\n{body}\n</tbody></table>"
    return f'<section><h2>{escape(title)}</h2>\n<div class="scroll">{table}</div></section>'


def _list(title: str, lines: list[str]) -> str:
    if not lines:
        return ""
    return f"<section><h2>{escape(title)}</h2>\n" + "\n".join(f"<p>{escape(line)}</p>" for line in lines) + "</section>"
