"""What the page of a comparison adds to the common style: pictures beside each other, and the words of the verdict."""

from __future__ import annotations

STYLE = """
small { font-weight: normal; color: var(--quiet); }
.badge { font-weight: 600; margin-bottom: 4px; }
.good .badge { color: var(--good); }
.bad .badge { color: var(--bad); }
.open .badge { color: var(--open); }
.pictures { display: grid; grid-template-columns: minmax(0, 1fr); gap: 16px; align-items: start; }
figure { margin: 0; background: var(--card); border-radius: 10px; padding: 12px 8px; min-width: 0; }
figure h3, figcaption { padding: 0 6px; }
figure svg { display: block; width: 100%; height: auto; max-width: 500px; margin: 0 auto; }
figure svg text { font-family: system-ui, sans-serif !important; }
figcaption { color: var(--quiet); font-size: 0.9rem; margin-top: 8px; }
.facts { margin: 0 0 14px; }
dt { font-weight: 600; margin-top: 12px; }
dd { margin: 0; max-width: 75ch; }
@media (min-width: 820px) {
  figure { padding: 16px; }
  .scroll td, thead th { white-space: nowrap; }
  .pictures { grid-template-columns: repeat(2, minmax(0, 1fr)); }
}
@media print { figure, .tiles li, .verdict { break-inside: avoid; } }
"""
