"""The op database and what is checked with it: every op, on every backend, against a float64 oracle.

- `opdb`: what an entry is; the entries themselves are `deepcore.check.cases`, their oracles `deepcore.check.oracles`;
- `tolerance`: the one table of allowed errors;
- `measure`: values, gradients and double gradients of one entry on one device, and their oracle;
- `runner`, `workers`, `selection`: `deepcore check`, which runs entries on devices, in one process or several;
- `shrink`, `snippet`: the smallest case of a failure, and a program that shows it again;
- `results`, `report`: what was found, and how it is shown;
- `docs`: the page on second derivatives, written from the database;
- `torch`: a second opinion, `python -m deepcore.check.torch`, where PyTorch is installed.
"""

from __future__ import annotations
