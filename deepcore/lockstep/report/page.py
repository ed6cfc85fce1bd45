"""A comparison as one HTML file that loads nothing: the verdict first, then the pictures, then the numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.metadata import version

from deepcore import charts, webpage
from deepcore.lockstep.report import facts, pictures, words
from deepcore.lockstep.report.style import STYLE
from deepcore.lockstep.result import EXACT, Comparison, Replay, Verdict

LONGEST_TABLE = 20


def to_html(comparison: Comparison, command: str = "") -> str:
    """The report as the text of an HTML file."""
    title = words.headline(comparison)
    parts = [
        _verdict(comparison),
        _tiles(comparison),
        *(
            _one_verdict(verdict)
            for verdict in comparison.verdicts
            if verdict.is_fault or verdict.cause == "unexplained"
        ),
        charts.section(pictures.all_of(comparison)),
        _events(comparison),
        _nearest(comparison),
        *(_one_verdict(verdict) for verdict in comparison.verdicts if verdict.cause == "rounding"),
        _settings(comparison, command),
        EXPLANATION,
        f"<footer>deepcore {escape(version('deepcore'))}</footer>",
    ]
    return webpage.document(title, parts, charts.STYLE + STYLE)


EXPLANATION = f"""<section>
<h2>How to read this</h2>
<dl>
<dt>Why there is a difference at all</dt>
<dd>A computer keeps a number with few digits (float32 has about seven) and rounds after each operation. Two devices
that add in another order round differently, so they differ in the last digit, and both are right. Training carries
such differences on from step to step, and they grow.</dd>
<dt>{EXACT}, the measure</dt>
<dd>The same training is run once more with sixteen digits. Compared with that run, the rounding of the devices can be
seen; it is called their distance (the root of the sum of squared differences, over a whole tensor).</dd>
<dt>The bound</dt>
<dd>It is measured, not guessed. Copies of the {EXACT} run get an error of the size of one rounding after each
operation. How far they come away from the exact run, layer by layer and step by step, is what rounding explains. The
bound is that distance times a fixed factor, which the settings name.</dd>
<dt>Jump and drift</dt>
<dd>A distance that leaves its bound at once is a jump, which is what a fault in a kernel looks like. One that grows
across the bound over many steps is a drift.</dd>
<dt>Run alone</dt>
<dd>To find out who is to blame, every operation of the step is run again alone, on each device, with the same inputs,
and compared with {EXACT}. What is left then cannot have come from anywhere else. It is given in eps, the distance
from 1 to the next number of the dtype, and as a multiple of what the tolerance table of the tests allows.</dd>
</dl>
</section>"""


def _verdict(comparison: Comparison) -> str:
    kind = "good" if comparison.ok else "bad"
    badge = "equal within rounding" if comparison.ok else "not explained by rounding"
    if not comparison.steps or (comparison.events and not comparison.verdicts):
        kind, badge = "open", "no verdict"
    sentences = "\n".join(f"<p>{escape(sentence)}</p>" for sentence in words.sentences(comparison))
    return (
        f'<header class="verdict {kind}">\n<p class="badge">{badge}</p>\n'
        f"<h1>{escape(words.headline(comparison))}</h1>\n{sentences}\n</header>"
    )


def _tiles(comparison: Comparison) -> str:
    """The four numbers that are asked for first."""
    closest = next(iter(facts.nearest(comparison)), None)
    tiles = [
        (f"{comparison.steps:,}", f"of {words.counted(comparison.settings.steps, 'step')}"),
        (f"{len(comparison.tracks):,}", "quantities at each step"),
        (f"{len(comparison.events):,}", "times beyond the bound"),
        (words.number(closest.ratio) if closest else "0", "largest distance, in bounds"),
    ]
    return webpage.tiles(tiles)


def _events(comparison: Comparison) -> str:
    if not comparison.events:
        return ""
    rows = [
        (
            str(event.step),
            words.number(event.ratio),
            event.quantity.label,
            event.shape,
            f"{event.a} to {event.b}",
            words.number(event.distance),
            words.number(event.bound),
        )
        for event in comparison.events[:LONGEST_TABLE]
    ]
    head = ("step", "times the bound", "quantity", "", "between", "distance", "bound")
    return _section("Beyond the bound", head, rows, _more(len(comparison.events), "the first"))


def _nearest(comparison: Comparison) -> str:
    places = facts.nearest(comparison)
    rows = [
        (
            words.number(place.ratio),
            place.quantity.label,
            str(place.step),
            f"{place.a} to {place.b}",
            words.number(place.distance / place.norm) if place.norm else words.number(place.distance),
        )
        for place in places[:LONGEST_TABLE]
    ]
    head = ("times the bound", "quantity", "step", "between", "distance / size")
    return _section("Nearest to the bound", head, rows, _more(len(places), "the nearest")) if rows else ""


def _more(count: int, which: str) -> str:
    return f"{which} {LONGEST_TABLE} of {count:,}" if count > LONGEST_TABLE else ""


def _one_verdict(verdict: Verdict) -> str:
    facts_: list[tuple[str, str]] = [("cause", verdict.cause)]
    if verdict.device:
        facts_.append(("device", verdict.device))
    if verdict.method:
        facts_.append(("method", verdict.method))
    if verdict.worst is not None:
        facts_ += _facts_of(verdict.worst)
    facts_ += [(f"that element on {device}", f"{value:.9g}") for device, value in verdict.values.items()]
    if verdict.amplifier and verdict.amplifier not in verdict.text:
        facts_.append(("where the difference grew", verdict.amplifier))
    head = ("of what is allowed", "op", "in", "on", "error in eps")
    rows = [
        (
            words.number(replay.times_allowed),
            f"{replay.op}, {words.DIRECTIONS.get(replay.direction, replay.direction)}",
            words.place(replay),
            replay.device,
            words.number(replay.error_eps),
        )
        for replay in verdict.replays
    ]
    table = _table(head, rows) if rows else ""
    counted = f"<p>{words.counted(verdict.replayed, 'op')} run alone at this step.</p>" if verdict.replayed else ""
    return (
        f"<section>\n<h2>Step {verdict.step}, op by op</h2>\n<p>{escape(verdict.text)}</p>\n"
        f"{_facts(facts_)}\n{counted}{table}</section>"
    )


def _facts_of(worst: Replay) -> list[tuple[str, str]]:
    index = ", ".join(str(i) for i in worst.index)
    return [
        ("op", f"{worst.op}, {words.DIRECTIONS.get(worst.direction, worst.direction)}"),
        ("in", words.place(worst)),
        ("worst result", f"{worst.result} {worst.shape}, at [{index}]"),
        (f"on {worst.device}", f"{worst.value:.9g}"),
        (f"in {EXACT}", f"{worst.exact:.9g}"),
        ("error", f"{words.number(worst.error_eps)} eps, {words.number(worst.times_allowed)} times what is allowed"),
    ]


def _settings(comparison: Comparison, command: str) -> str:
    settings = comparison.settings
    rows = [
        (device.name, device.backend, device.dtype, words.number(device.eps), words.number(device.product_eps))
        for device in (*settings.devices, settings.shadow)
    ]
    devices = _table(("name", "backend", "dtype", "eps", "eps of products"), rows)
    pairs = [
        ("model", f"{settings.model}, {settings.parameters:,} weights"),
        ("loss", settings.loss),
        ("optimiser", settings.optimizer),
        ("seed", str(settings.seed)),
        ("noisy copies", str(settings.shadows)),
        ("bound", f"{settings.factor:g} times the measured noise"),
        ("brought together", f"every {words.counted(settings.resync, 'step')}" if settings.resync else "never"),
        ("stops at the first", "yes" if settings.stop_at_first else "no"),
        ("time", f"{comparison.seconds:,.1f} s"),
    ]
    if command:
        pairs.append(("command", command))
    return f"<section>\n<h2>Settings</h2>\n{devices}\n{_facts(pairs)}\n</section>"


def _section(title: str, head: Sequence[str], rows: Iterable[Sequence[str]], note: str) -> str:
    small = f" <small>({escape(note)})</small>" if note else ""
    return f"<section>\n<h2>{escape(title)}{small}</h2>\n{_table(head, rows)}\n</section>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that scrolls by itself where the page is narrow."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def _facts(pairs: Iterable[tuple[str, str]]) -> str:
    rows = "\n".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in pairs)
    return f'<table class="facts">\n{rows}\n</table>'
