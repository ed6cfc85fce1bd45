"""A second opinion: `python -m deepcore.check.torch` compares deepcore with PyTorch, where that is installed.

- `counterpart`: which callable of PyTorch computes an entry of the op database, or why there is none;
- `compare`: values, gradients, second gradients and refusals of one entry on both sides;
- `sweep`: more inputs than the entry's own, drawn from them: other sizes, other options, infinities, NaN, -0.0;
- `modules`, `training`: layers with the same weights, optimisers and schedules over some steps;
- `signatures`: names, order and defaults of parameters;
- `reasons`, `signature_reasons`: every difference that is meant, with the reason why;
- `report`: the table, the last line and the JSON file.

PyTorch is no dependency of deepcore: nothing else imports it, and `import deepcore.check.torch` does not either.
"""

from __future__ import annotations
