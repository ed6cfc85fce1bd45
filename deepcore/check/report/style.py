"""What the page of a check adds to the common style: strips of marks, choices, and programs."""

from __future__ import annotations

STYLE = """
main { max-width: 1280px; }
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
table { border-collapse: collapse; font-size: 0.85rem; }
th, td { text-align: left; padding: 3px 14px 3px 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
thead th { color: var(--quiet); font-weight: 600; white-space: nowrap; }
td { font-variant-numeric: tabular-nums; white-space: nowrap; }
.facts td, .facts th { white-space: normal; overflow-wrap: anywhere; }
details { background: var(--card); border-radius: 10px; padding: 10px 14px; margin: 0 0 10px; }
summary { cursor: pointer; overflow-wrap: anywhere; }
pre { overflow-x: auto; font-size: 0.8rem; line-height: 1.4; }
pre { background: var(--paper); padding: 10px; border-radius: 6px; }
li { overflow-wrap: anywhere; max-width: 90ch; }
@media (min-width: 900px) {
  .strips { display: grid; grid-template-columns: 1fr 1fr; gap: 36px; }
  .row { grid-template-columns: 11rem 1fr 3.5rem; }
}
"""
