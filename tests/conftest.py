"""Which devices the suite runs on, which rings run by default, and where the data sets are.

`pytest`                          every device without a GPU: numpy (the reference), cpu, strict
`pytest --devices numpy`          one device
`pytest -m gpu`                   the same tests on a real GPU
`pytest -m slow`                  the heavy checks
"""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

import pytest

DEFAULT_DEVICES = "numpy,cpu,strict"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--devices",
        default=None,
        help=f"comma-separated devices of the op tests (default {DEFAULT_DEVICES}; cuda with -m gpu)",
    )


def chosen_devices(config: pytest.Config) -> list[str]:
    """The devices of the `device` fixture: the option's, else the default ones, else cuda where `-m gpu` was asked."""
    option = config.getoption("--devices")
    if option is not None:
        return [name.strip() for name in option.split(",") if name.strip()]
    return ["cuda"] if _asked(config, "gpu") else DEFAULT_DEVICES.split(",")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "device" in metafunc.fixturenames:
        names = chosen_devices(metafunc.config)
        params = [pytest.param(name, marks=pytest.mark.gpu if name.startswith("cuda") else ()) for name in names]
        metafunc.parametrize("device", params, indirect=True)


@pytest.fixture
def device(request: pytest.FixtureRequest) -> str:
    """A device name in full ("cuda:0"); a device that this machine lacks is a visible skip with its reason."""
    name, missing = _find_device(request.param)
    if missing:
        pytest.skip(f"{request.param}: {missing}")
    return name


@functools.cache
def _find_device(name: str) -> tuple[str, str]:
    """(the backend's own name for the device, what is missing); looking for a GPU takes a while, so once."""
    from deepcore.backends import get_backend
    from deepcore.errors import DeviceError

    try:
        return get_backend(name).device, ""
    except DeviceError as error:
        return name, str(error)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out `slow` and `gpu` tests, visibly, unless they were asked for by `-m` or by their device."""
    asked_for_cuda = any(name.startswith("cuda") for name in chosen_devices(config))
    for mark, wanted in (("slow", _asked(config, "slow")), ("gpu", _asked(config, "gpu") or asked_for_cuda)):
        if not wanted:
            for item in items:
                if item.get_closest_marker(mark):
                    item.add_marker(pytest.mark.skip(reason=f"run with -m {mark}"))


def _asked(config: pytest.Config, mark: str) -> bool:
    """Whether the `-m` expression asks for the mark: names it without `not` before it."""
    expression = config.getoption("-m") or ""
    return re.search(rf"(?<!not )\b{mark}\b", expression) is not None


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder $DEEPCORE_DATA with real data sets; tests that need it are skipped where it is absent."""
    folder = os.environ.get("DEEPCORE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("set DEEPCORE_DATA to a folder with data sets")
    return Path(folder)


@pytest.fixture(autouse=True)
def _same_random_stream() -> None:
    """Every test starts from the same seed, whatever ran before it."""
    import deepcore as dc

    dc.manual_seed(0)
