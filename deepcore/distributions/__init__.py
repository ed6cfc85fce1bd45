"""Probability distributions, with the names of torch.distributions, on the framework's own random stream.

`sample` draws without a gradient, `rsample` (where there is one) with the gradient of the parameters: the
reparameterisation of Kingma & Welling 2013, and for Gamma, Beta and Dirichlet the implicit one of Figurnov, Mohamed &
Mnih 2018, whose draws are differentiable once. Both take `generator`; the same seed gives the same draws on every
device, up to the rounding of transcendental functions. Parameters are tensors that broadcast, or numbers; the shape
of their broadcast is `batch_shape`. Parameters out of range are a ConfigError where looking does not make the host wait
for a device; elsewhere the result is NaN or inf.

>>> import deepcore as dc
>>> coin = Bernoulli(0.25)
>>> round(coin.entropy().item(), 4), coin.variance.item()
(0.5623, 0.1875)
>>> kl_divergence(Normal(1.0, 1.0), Normal(0.0, 1.0)).item()
0.5
"""

from __future__ import annotations

from deepcore.distributions import kl_pairs as kl_pairs  # the formulas are entered when it is imported
from deepcore.distributions.base import Distribution
from deepcore.distributions.continuous import Laplace, Normal, Uniform
from deepcore.distributions.discrete import Bernoulli, Categorical, Multinomial
from deepcore.distributions.gamma import Beta, Dirichlet, Gamma
from deepcore.distributions.kl import kl_divergence, register_kl

__all__ = [
    "Bernoulli",
    "Beta",
    "Categorical",
    "Dirichlet",
    "Distribution",
    "Gamma",
    "Laplace",
    "Multinomial",
    "Normal",
    "Uniform",
    "kl_divergence",
    "register_kl",
]
