"""The op database and what is checked with it: every op, on every backend, against a float64 oracle.

- `opdb`: what an entry is; the entries themselves are `deepcore.check.cases`, their oracles `deepcore.check.oracles`;
- `tolerance`: the one table of allowed errors;
- `measure`: values, gradients and double gradients of one entry on one device, and their oracle.
"""

from __future__ import annotations
