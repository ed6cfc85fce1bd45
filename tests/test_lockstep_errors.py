"""What `deepcore.compare` refuses, and how it says so; and the devices that it can be given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore import nn
from deepcore.backends import register
from deepcore.errors import ConfigError, DataError, DeepcoreError, DeviceError, RunError
from deepcore.lockstep.places import find
from lockstep_models import ScaledPool, mlp, rows


def small() -> nn.Module:
    return nn.Linear(10, 4)


def compare(
    model: Any = small, batch: Any = None, devices: Any = ("numpy", "cpu"), steps: int = 2, **options: Any
) -> Any:
    return dc.compare(model, batch or rows(6, 10), devices, steps, **options)


# --- devices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("devices", [(), ("cpu",), "cpu"])
def test_fewer_than_two_devices(devices: Any) -> None:
    with pytest.raises(ConfigError, match="at least two devices"):
        compare(devices=devices)


def test_the_same_device_twice() -> None:
    with pytest.raises(ConfigError, match=r'every device once.*cpu twice.*"cpu@float16"'):
        compare(devices=("cpu", "cpu"))


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("cqu", DeviceError, "did you mean"),
        ("cpu@float8", ConfigError, "a precision among float16, bfloat16, float32, float64, tf32.*Did you mean"),
        ("cpu@tf32", DeviceError, "can be switched to tf32"),
        ("nowhere.py:Mine", DeviceError, "a file with a Backend class"),
        (7, ConfigError, "a device's name, or a Backend class"),
    ],
)
def test_devices_that_do_not_exist(name: Any, error: type[DeepcoreError], words: str) -> None:
    with pytest.raises(error, match=words):
        compare(devices=("numpy", name))


def test_a_device_that_cannot_be_used_here_says_why() -> None:
    usable = {name.partition(":")[0]: works for name, works, _ in dc.backends.available()}
    if usable["cuda"]:
        pytest.skip("there is a GPU")
    with pytest.raises(DeviceError, match=r"cuda|CUDA|CuPy"):
        compare(devices=("cpu", "cuda:0"))


def test_a_backend_registered_under_a_name_that_is_not_its_own() -> None:
    register("nameless", ScaledPool)
    with pytest.raises(DeviceError, match=r"answers with the device 'cpu'.*hand the class itself"):
        compare(devices=("numpy", "nameless"))


SOURCE = """
from deepcore.backends.cpu import CpuBackend

class Mine(CpuBackend):
    def relu(self, x):
        return super().relu(x) * {factor}
"""


def test_two_versions_of_one_kernel_in_files(tmp_path: Path) -> None:
    for name, factor in (("old", "1"), ("new", "x.dtype.type(1.5)")):
        (tmp_path / f"{name}.py").write_text(SOURCE.format(factor=factor))
    result = compare(mlp, devices=(f"{tmp_path}/old.py:Mine", f"{tmp_path}/new.py:Mine"))
    assert [device.name for device in result.settings.devices] == ["old.Mine", "new.Mine"]
    assert result.settings.shadow.device == "numpy"
    assert result.fault is not None
    assert (result.fault.device, result.fault.method) == ("new.Mine", "Mine.relu")


def test_a_file_without_the_class_and_a_file_with_an_error(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(SOURCE.format(factor=1))
    with pytest.raises(DeviceError, match=r"a subclass of Backend.*Did you mean 'Mine'"):
        find(("cpu", f"{tmp_path}/one.py:Mime"))
    (tmp_path / "two.py").write_text("1 / 0")
    with pytest.raises(DeviceError, match="ZeroDivisionError"):
        find(("cpu", f"{tmp_path}/two.py:Mine"))


def test_devices_as_one_text_and_classes_keep_the_real_cpu() -> None:
    places = find("numpy, cpu@float64")
    assert [place.name for place in places] == ["numpy", "cpu@float64"]
    assert find(("cpu", ScaledPool))[1].backend.device == "ScaledPool"
    assert type(dc.backends.get_backend("cpu")) is type(places[1].backend)


# --- the model --------------------------------------------------------------------------------------------------------


def test_a_model_that_is_not_the_same_each_time() -> None:
    random = np.random.default_rng()

    def model() -> nn.Module:
        layer = small()
        with dc.no_grad():
            layer.weight.copy_(dc.tensor(random.normal(size=(4, 10)).astype(np.float32), device=layer.weight.device))
        return layer

    with pytest.raises(ConfigError, match=r"the same model each time.*weight.*deepcore's generator"):
        compare(model)


def test_a_model_of_another_shape_each_time() -> None:
    sizes = iter(range(4, 20))
    with pytest.raises(ConfigError, match="the same model each time"):
        compare(lambda: nn.Linear(10, next(sizes)))


def test_something_that_is_no_model_and_a_loss_that_is_no_number() -> None:
    with pytest.raises(ConfigError, match=r"model_fn to return an nn.Module"):
        compare(lambda: 3)
    with pytest.raises(ConfigError, match="loss_fn to return a scalar"):
        compare(loss_fn=lambda y, t: y)


class Reversed(nn.Module):
    """Calls its layers in another order on cpu."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(10, 4), nn.Linear(10, 4)

    def forward(self, x: dc.Tensor) -> dc.Tensor:
        first, second = (self.b, self.a) if x.device == "cpu" else (self.a, self.b)
        return first(x) + second(x)


def test_modules_in_another_order_on_one_device() -> None:
    with pytest.raises(RunError, match=r"output a \(Linear\).*output b \(Linear\).* on cpu, at step 0.*another way"):
        compare(Reversed)


def test_more_modules_on_one_device() -> None:
    class More(Reversed):
        def forward(self, x: dc.Tensor) -> dc.Tensor:
            return self.a(x) + self.b(x) + (self.b(x) if x.device == "cpu" else 0)

    with pytest.raises(RunError, match=r"compare: expected .* on cpu"):
        compare(More)


def test_more_random_numbers_on_one_device() -> None:
    class Drawing(nn.Linear):
        def forward(self, x: dc.Tensor) -> dc.Tensor:
            if x.device == "cpu":
                dc.rand(3)
            return super().forward(x)

    with pytest.raises(RunError, match="as many random numbers"):
        compare(lambda: Drawing(10, 4))


# --- batches ----------------------------------------------------------------------------------------------------------


def test_batches_that_are_not_the_same_each_time() -> None:
    random = np.random.default_rng()
    with pytest.raises(DataError, match=r"batch_fn\(0\) to return the same arrays.*seed"):
        compare(batch=lambda step: (random.normal(size=(4, 10)).astype(np.float32), np.zeros(4, int)))


@pytest.mark.parametrize("batch", [None, (np.zeros(3),), "text"])
def test_batches_that_are_none(batch: Any) -> None:
    with pytest.raises(ConfigError, match=r"batch_fn\(step\) to return \(inputs..., targets\)"):
        compare(batch=lambda step: batch)


def test_a_batch_of_words() -> None:
    with pytest.raises(ConfigError, match="numbers"):
        compare(batch=lambda step: (np.array(["a"]), np.zeros(1)))


def test_tensors_of_the_host_are_a_batch() -> None:
    def batch(step: int) -> Any:
        return tuple(dc.tensor(a) for a in rows(6, 10)(step))

    assert compare(batch=batch).ok


# --- losses -----------------------------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_anywhere_names_its_op() -> None:
    def loss(y: dc.Tensor, targets: dc.Tensor) -> dc.Tensor:
        return (y - 1000).log().mean()

    with (
        np.errstate(all="ignore"),
        pytest.raises(RunError, match=r"a finite loss.*nan at step 0.*the first op.*is log"),
    ):
        compare(loss_fn=loss)


def test_a_batch_with_a_nan_is_named_as_the_cause() -> None:
    def batch(step: int) -> Any:
        x, targets = rows(6, 10)(step)
        x[0, 0] = np.nan
        return x, targets

    with pytest.raises(RunError, match="the batch itself holds one"):
        compare(batch=batch)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"steps": 1.5}, {"shadows": 0}, {"resync": -1}])
def test_numbers_that_cannot_be(wrong: dict[str, Any]) -> None:
    name = next(iter(wrong))
    with pytest.raises(ConfigError, match=f"{name} as a whole number"):
        compare(**wrong)


def test_an_overflow_of_float16_is_found_by_name() -> None:
    class Large(nn.Linear):
        def forward(self, x: dc.Tensor) -> dc.Tensor:
            return super().forward(x * 3000.0) * 200.0

    result = compare(lambda: nn.Sequential(Large(10, 4)), devices=("cpu", "cpu@float16"))
    assert not result.ok
    assert result.fault is not None
    assert result.fault.device == "cpu@float16"
    assert "it overflows" in result.fault.text


def test_a_model_with_a_frozen_parameter_and_one_without_gradient() -> None:
    class Part(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused, self.frozen = nn.Linear(10, 4), nn.Linear(10, 4), nn.Linear(4, 4)
            self.frozen.requires_grad_(False)

        def forward(self, x: dc.Tensor) -> dc.Tensor:
            return self.frozen(self.used(x))

    result = compare(Part)
    assert result.ok
    assert [t.quantity.name for t in result.tracks if t.quantity.kind == "grad"] == ["used.bias", "used.weight"]


def test_a_module_that_is_called_twice_has_two_names() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.act = nn.Linear(10, 10), nn.Tanh()

        def forward(self, x: dc.Tensor) -> dc.Tensor:
            return self.act(self.layer(self.act(self.layer(x))))

    result = compare(Twice)
    names = [t.quantity.name for t in result.tracks if t.quantity.kind == "output"]
    assert names == ["layer", "act", "layer#2", "act#2"]
