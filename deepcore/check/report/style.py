"""The style sheet of the HTML page: one column on a phone, several on a desk, light and dark."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --card: #f6f7f9; --ink: #1c2330; --quiet: #5a6475; --grid: #dde1e8;
  --good: #1b7f4d; --good-card: #e6f5ec; --bad: #c5221f; --bad-card: #fdecea; --open: #8a6100; --open-card: #fdf3dc;
  --device0: #2b6cb0; --device1: #d9730d; --device2: #7b4fb5; --device3: #0f8a83; --device4: #b0336f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12161d; --card: #1b212b; --ink: #e6e9ef; --quiet: #9aa4b5; --grid: #2f3744;
    --good: #5fd39a; --good-card: #15291f; --bad: #ff8a80; --bad-card: #321b1b; --open: #f2c14e; --open-card: #2e2512;
    --device0: #6cb1f5; --device1: #ffab5e; --device2: #c3a0f0; --device3: #58d3c9; --device4: #f291bf;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1280px; margin: 0 auto; padding: 16px; }
h1 { font-size: 1.4rem; line-height: 1.3; margin: 0 0 8px; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 36px 0 12px; }
p { margin: 0 0 10px; max-width: 75ch; overflow-wrap: anywhere; }
.verdict { padding: 16px 18px 8px; border-radius: 10px; border-left: 6px solid; }
.verdict.good { background: var(--good-card); border-color: var(--good); }
.verdict.bad { background: var(--bad-card); border-color: var(--bad); }
.verdict.open { background: var(--open-card); border-color: var(--open); }
.tiles { display: grid; grid-template-columns: repeat(2, 1fr); gap: 10px; margin: 16px 0; padding: 0; }
.tiles { list-style: none; }
.tiles li { background: var(--card); border-radius: 10px; padding: 10px 14px; }
.tiles strong { display: block; font-size: 1.4rem; line-height: 1.3; }
.tiles span, .quiet { color: var(--quiet); font-size: 0.9rem; }
.choice { position: absolute; opacity: 0; }
.choice + label { display: inline-block; padding: 6px 12px; margin: 0 4px 8px 0; border-radius: 8px; }
.choice + label { background: var(--card); cursor: pointer; }
.choice:checked + label { background: var(--ink); color: var(--paper); }
.choice:focus-visible + label { outline: 2px solid var(--device0); }
.panel { display: none; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 0.9rem; margin: 4px 0 10px; }
.legend i { display: inline-block; margin: 0 6px 0 0; vertical-align: -1px; }
.legend i.limit { vertical-align: -4px; }
.strips { font-size: 0.8rem; line-height: 1; }
.row { display: grid; grid-template-columns: 8.5rem 1fr 3.2rem; gap: 8px; align-items: center; height: 20px; }
.row b { font-weight: normal; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; line-height: 1.4; }
.row.bad b, .row.bad em { color: var(--bad); font-weight: 600; }
.row em { font-style: normal; text-align: right; color: var(--quiet); font-variant-numeric: tabular-nums; }
.strip { position: relative; height: 16px; background: var(--card); border-radius: 3px; }
.strip { background-image: linear-gradient(90deg, var(--grid) 1px, transparent 1px); }
.axis { position: sticky; top: 0; background: var(--paper); color: var(--quiet); height: 24px; z-index: 1; }
.axis .strip { background: none; }
.axis .strip span { position: absolute; transform: translateX(-50%); top: 2px; }
.axis .strip span:first-child { transform: none; }
.strip i { position: absolute; top: 50%; transform: translate(-50%, -50%); }
.strip i, .legend i { width: 9px; height: 9px; background: currentColor; border-radius: 50%; }
.strip i.d1, .legend i.d1 { border-radius: 0; transform: translate(-50%, -50%) rotate(45deg); width: 8px; height: 8px; }
.strip i.d2, .legend i.d2 { border-radius: 0; width: 8px; height: 8px; }
.strip i.d3, .legend i.d3 { background: none; border: 2px solid currentColor; }
.strip i.d4, .legend i.d4 { background: none; border: 2px solid currentColor; border-radius: 0; }
.legend i.d1 { transform: rotate(45deg); }
.strip i.limit, .legend i.limit { width: 3px; height: 16px; border-radius: 1px; background: var(--bad); border: 0; }
.d0 { color: var(--device0); } .d1 { color: var(--device1); } .d2 { color: var(--device2); }
.d3 { color: var(--device3); } .d4 { color: var(--device4); }
.scroll { overflow-x: auto; margin: 0 0 14px; }
table { border-collapse: collapse; font-size: 0.85rem; }
th, td { text-align: left; padding: 3px 14px 3px 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
thead th { color: var(--quiet); font-weight: 600; white-space: nowrap; }
td { font-variant-numeric: tabular-nums; white-space: nowrap; }
td.n, th.n { text-align: right; }
td.bad { color: var(--bad); font-weight: 600; }
.facts th { color: var(--quiet); font-weight: normal; }
.facts td, .facts th { white-space: normal; overflow-wrap: anywhere; }
details { background: var(--card); border-radius: 10px; padding: 10px 14px; margin: 0 0 10px; }
summary { cursor: pointer; overflow-wrap: anywhere; }
pre { overflow-x: auto; font-size: 0.8rem; line-height: 1.4; }
pre { background: var(--paper); padding: 10px; border-radius: 6px; }
li { overflow-wrap: anywhere; max-width: 90ch; }
footer { color: var(--quiet); font-size: 0.85rem; margin: 36px 0 8px; }
@media (min-width: 900px) {
  main { padding: 28px; }
  .tiles { grid-template-columns: repeat(4, 1fr); }
  .strips { display: grid; grid-template-columns: 1fr 1fr; gap: 36px; }
  .row { grid-template-columns: 11rem 1fr 3.5rem; }
}
"""
