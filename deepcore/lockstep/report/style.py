"""What the page of a comparison adds to the common style: the words of the verdict."""

from __future__ import annotations

STYLE = """
small { font-weight: normal; color: var(--quiet); }
.badge { font-weight: 600; margin-bottom: 4px; }
.good .badge { color: var(--good); }
.bad .badge { color: var(--bad); }
.open .badge { color: var(--open); }
.facts { margin: 0 0 14px; }
dt { font-weight: 600; margin-top: 12px; }
dd { margin: 0; max-width: 75ch; }
@media (min-width: 820px) {
  .scroll td, thead th { white-space: nowrap; }
}
"""
