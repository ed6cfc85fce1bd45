"""Optimisers on device "cpu": one pass over all parameters."""

from __future__ import annotations

import numpy as np

from deepcore.backends.base import Backend
from deepcore.backends.base.optim import Scaling, corrected, kept
from deepcore.backends.override import override
from deepcore.kernels import cpu as kernels
from deepcore.kernels.cpu.team import team


class CpuOptim(Backend):
    """The optimisers of CpuBackend."""

    @override(inplace=("params", "buffers"))
    def sgd_update(
        self, params, grads, buffers, lr, momentum, dampening, weight_decay, nesterov, maximize, first, scaling=None
    ) -> None:
        """Step params by stochastic gradient descent, one pass over all of them; see Optim.sgd_update."""
        if not params or _skipped(scaling):
            return
        keep, sign = kept(np, dampening, first, scaling, params), _sign(maximize, scaling)
        numbers = np.array([lr, momentum, keep, weight_decay, sign], params[0].dtype)
        table, ends = _table(params, grads, buffers if momentum else params)
        team.run(kernels.optim.sgd, int(ends[-1]), 2, table, ends, numbers, bool(nesterov), bool(first))

    @override(inplace=("params", "exp_avgs", "exp_avg_sqs", "max_exp_avg_sqs"))
    def adam_update(
        self,
        params,
        grads,
        exp_avgs,
        exp_avg_sqs,
        max_exp_avg_sqs,
        step,
        lr,
        beta1,
        beta2,
        eps,
        weight_decay,
        decoupled,
        maximize,
        scaling=None,
    ) -> None:
        """Step params by Adam, one pass over all of them; see Optim.adam_update."""
        if not params or _skipped(scaling):
            return
        amsgrad = max_exp_avg_sqs is not None
        step_size, root = corrected(np, lr, beta1, beta2, step, scaling, params)
        numbers = np.array(
            [
                step_size,
                root,
                1 - beta1,
                beta2,
                1 - beta2,
                eps,
                0 if decoupled else weight_decay,
                1 - lr * weight_decay if decoupled else 1,
                _sign(maximize, scaling),
            ],
            params[0].dtype,
        )
        table, ends = _table(params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs if amsgrad else exp_avg_sqs)
        team.run(kernels.optim.adam, int(ends[-1]), 4, table, ends, numbers, amsgrad)


def _skipped(scaling: Scaling | None) -> bool:
    """Whether the update does not take place: here the host may look."""
    return scaling is not None and bool(scaling.skip)


def _sign(maximize: bool, scaling: Scaling | None) -> float:
    """The factor of the gradients."""
    return (-1 if maximize else 1) * (1 if scaling is None else float(scaling.factor))


def _table(params: list, *others: list) -> tuple[np.ndarray, np.ndarray]:
    """Return (addresses of all arrays, a column for each parameter; where each ends); sizes must agree in a column.

    The caller keeps the arrays, contiguous and of one dtype, until the kernel is done.
    """
    address = kernels.optim.address
    sizes = [param.size for param in params]
    assert all([array.size for array in arrays] == sizes for arrays in others), "one size for all of a parameter"
    columns = [[address(array.reshape(-1)) for array in arrays] for arrays in (params, *others)]
    return np.array(columns), np.cumsum(sizes)
