"""Parameters such as `module__hidden=32`: options that an estimator hands to its module, criterion or optimizer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Self

from sklearn.base import BaseEstimator

from deepcore.errors import ConfigError, nearest

PREFIXES = ("module__", "criterion__", "optimizer__")


class WithOptions(BaseEstimator):
    """An estimator whose `get_params` and `set_params` know the prefixed options too, so that `clone` keeps them."""

    __signature__: inspect.Signature

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Leave `**options` out of the signature: scikit-learn takes every name in it for a parameter to set."""
        super().__init_subclass__(**kwargs)
        own = list(inspect.signature(cls.__init__).parameters.values())[1:]
        cls.__signature__ = inspect.Signature([p for p in own if p.kind is not inspect.Parameter.VAR_KEYWORD])

    def _set_options(self, options: dict[str, Any]) -> None:
        """Keep what the constructor got beside its own parameters. Raises TypeError for other names."""
        for name, value in options.items():
            if not name.startswith(PREFIXES):
                known = [*self._get_param_names(), *PREFIXES]
                raise TypeError(
                    f"{type(self).__name__}: unknown parameter {name!r}.{nearest(name, known)} "
                    f"Options of the parts begin with {', '.join(PREFIXES)}."
                )
            setattr(self, name, value)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All parameters by name, the prefixed options too."""
        options = {name: value for name, value in vars(self).items() if name.startswith(PREFIXES)}
        return {**super().get_params(deep=deep), **options}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name. Raises ValueError for unknown ones."""
        options = {name: value for name, value in params.items() if name.startswith(PREFIXES)}
        super().set_params(**{name: value for name, value in params.items() if name not in options})
        self._set_options(options)
        return self

    def _build(self, part: str, factory: Callable[..., Any], *args: Any, **defaults: Any) -> Any:
        """What `factory` makes of `args`, those of `defaults` that it has a name for, and the options of the part.

        Raises ConfigError for what cannot be called and for options that the factory does not have.
        """
        prefix = f"{part}__"
        options = {name.removeprefix(prefix): value for name, value in vars(self).items() if name.startswith(prefix)}
        if not callable(factory):
            raise ConfigError(f"{type(self).__name__}: expected a class or function as {part}; got {factory!r}.")
        parameters = _parameters(factory)
        if parameters and not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
            for name in options:
                if name not in parameters:
                    raise ConfigError(
                        f"{type(self).__name__}: {part} {getattr(factory, '__name__', factory)} has no option {name!r}."
                        + nearest(name, parameters)
                    )
        filled = {name: value for name, value in defaults.items() if name in parameters}
        return factory(*args, **{**filled, **options})


def _parameters(factory: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The parameters of a function or class by name; none where it does not tell them, as `dict`."""
    try:
        return inspect.signature(factory).parameters
    except ValueError:
        return {}
