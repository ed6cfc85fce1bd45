"""Mixed precision: `autocast` picks each op's dtype, `GradScaler` keeps small float16 gradients from vanishing."""

from __future__ import annotations

from deepcore.amp.autocast import autocast, get_autocast_dtype, is_autocast_enabled
from deepcore.amp.grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "get_autocast_dtype", "is_autocast_enabled"]
