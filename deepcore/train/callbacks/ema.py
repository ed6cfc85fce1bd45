"""The exponential moving average of the weights, which generalises better than the last of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deepcore.autograd import no_grad
from deepcore.creation import tensor
from deepcore.errors import ConfigError, DataError
from deepcore.tensor import Tensor
from deepcore.train.callbacks.base import Callback
from deepcore.train.fitting import check_like

if TYPE_CHECKING:
    from deepcore.nn import Parameter
    from deepcore.train.trainer import Trainer


class EMA(Callback):
    """After each update average = d * average + (1 - d) * weight; evaluations and saved models use the averages.

    decay: d. At update n it is at most (1 + n) / (10 + n), so that the first weights are soon forgotten in a short
    training (as in TensorFlow's ExponentialMovingAverage); `warmup=False` leaves it as it is. Buffers, such as the
    statistics of batch normalisation, stay those of the model. Source: Polyak and Juditsky 1992.
    """

    def __init__(self, decay: float = 0.999, warmup: bool = True):
        if not 0 < decay < 1:
            raise ConfigError(f"EMA: expected 0 < decay < 1; got {decay!r}.")
        self.decay, self.warmup, self.count = decay, warmup, 0
        self.average: dict[str, Any] = {}
        self._own: dict[str, Tensor] = {}
        self._settled = True

    def on_start(self, trainer: Trainer) -> None:
        parameters = self._parameters(trainer)
        if not self.average:
            self.average = {name: value.detach().clone() for name, value in parameters.items()}
        elif list(self.average) != list(parameters):
            raise DataError("EMA: the averages are those of another model: the names of the parameters differ.")
        self._settle(parameters)

    def _settle(self, parameters: Mapping[str, Parameter]) -> None:
        """Brings the averages to where the weights are: from a checkpoint they come as arrays on the host."""
        for name, value in self.average.items():
            if not isinstance(value, Tensor):
                self.average[name] = tensor(value, parameters[name].dtype, parameters[name].device)
            if self.average[name].shape != parameters[name].shape:
                raise DataError(f"EMA: the average of {name} has another shape than the parameter.")
        self._settled = True

    @no_grad()
    def on_update(self, trainer: Trainer) -> None:
        self.count += 1
        decay = min(self.decay, (1 + self.count) / (10 + self.count)) if self.warmup else self.decay
        parameters = self._parameters(trainer)
        if not self._settled:
            self._settle(parameters)
        for name, value in parameters.items():
            self.average[name].mul_(decay).add_(value.detach(), alpha=1 - decay)

    @no_grad()
    def on_evaluation(self, trainer: Trainer) -> None:
        if not self.count or self._own:
            return
        parameters = self._parameters(trainer)
        self._settle(parameters)
        for name, value in parameters.items():
            self._own[name] = value.detach().clone()
            value.copy_(self.average[name])

    @no_grad()
    def on_evaluated(self, trainer: Trainer) -> None:
        for name, value in self._parameters(trainer).items():
            if name in self._own:
                value.copy_(self._own[name])
        self._own = {}

    @staticmethod
    def _parameters(trainer: Trainer) -> dict[str, Parameter]:
        return dict(trainer.model.named_parameters())

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "average": dict(self.average)} if self.average else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        check_like({"count": 0, "average": {}}, state, "EMA")
        self.count, self.average, self._settled = state["count"], dict(state["average"]), False
