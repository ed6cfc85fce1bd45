"""Device "cuda": what it says where something is missing, fallbacks, launches; without a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deepcore.backends import DeviceError, get_backend
from deepcore.kernels.cuda import compiler, diagnose, launcher
from deepcore.kernels.cuda.compiler import CompilerMissing, Cubin
from deepcore.kernels.cuda.gemm import HostGemm

# --- a machine that is not this one -----------------------------------------------------------------------------------


class CUDARuntimeError(RuntimeError):
    """Stands for CuPy's exception of that name."""


def gpu_properties(name: str = "NVIDIA H200") -> dict[str, Any]:
    return {
        "name": name.encode(),
        "totalGlobalMem": 139 * 2**30,
        "major": 9,
        "minor": 0,
        "multiProcessorCount": 132,
    }


def fake_cupy(runtime: int = 12090, devices: int = 1, error: str | None = None) -> Any:
    """As much of CuPy as `diagnose` looks at."""

    def count() -> int:
        if error:
            raise CUDARuntimeError(error)
        return devices

    functions = SimpleNamespace(
        runtimeGetVersion=lambda: runtime,
        getDeviceCount=count,
        getDeviceProperties=lambda index: gpu_properties(f"GPU {index}"),
        getDevice=lambda: 0,
    )
    return SimpleNamespace(__version__="14.2.0", cuda=SimpleNamespace(runtime=functions), ndarray=np.ndarray)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that sets wheels, driver (12040: 12.4), cupy (module or exception) and the compiler's problem."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def build(
        wheels: tuple[str, ...] = ("cupy-cuda12x==14.2.0",),
        driver: int = 12090,
        cupy: Any = None,
        kernel_problem: str | None = None,
    ) -> diagnose.Facts:
        def import_cupy() -> Any:
            if isinstance(cupy, Exception):
                raise cupy
            return cupy or fake_cupy()

        monkeypatch.setattr(diagnose, "_wheels", lambda: wheels)
        monkeypatch.setattr(diagnose, "_driver_version", lambda: driver)
        monkeypatch.setattr(diagnose, "_import_cupy", import_cupy)
        monkeypatch.setattr(diagnose, "compiler_problem", lambda: kernel_problem)
        return diagnose.diagnose()

    return build


def refused(device: str = "cuda:0") -> str:
    """The message of the DeviceError that building the backend raises."""
    from deepcore.backends.cuda import CudaBackend

    with pytest.raises(DeviceError) as caught:
        CudaBackend(int(device.partition(":")[2]))
    return str(caught.value)


def test_a_working_machine(machine: Any) -> None:
    facts = machine(cupy=fake_cupy(devices=2))
    assert facts.usable
    assert (facts.cupy, facts.driver, facts.runtime) == ("14.2.0", 12090, 12090)
    assert [gpu.index for gpu in facts.devices] == [0, 1]
    assert str(facts.devices[1]) == "cuda:1 GPU 1, 139 GiB, sm_90"


def test_no_cupy(machine: Any) -> None:
    facts = machine(wheels=())
    assert (facts.problem, facts.fix) == ("CuPy is not installed", 'pip install "deepcore[cuda12]"')
    assert refused() == (
        'device "cuda:0": expected a working CUDA device; got CuPy is not installed. '
        'Hint: pip install "deepcore[cuda12]".'
    )


def test_no_cupy_with_a_newer_driver(machine: Any) -> None:
    assert machine(wheels=(), driver=13000).fix == 'pip install "deepcore[cuda13]"'


def test_two_wheels_at_once(machine: Any) -> None:
    facts = machine(wheels=("cupy-cuda11x==13.6.0", "cupy-cuda12x==14.2.0"), cupy=ImportError("never tried"))
    assert facts.problem == (
        "2 CuPy wheels are installed at once (cupy-cuda11x==13.6.0, cupy-cuda12x==14.2.0) and break each other"
    )
    assert facts.fix == 'pip uninstall -y cupy-cuda11x cupy-cuda12x && pip install "deepcore[cuda12]"'
    assert "2 CuPy wheels" in refused()


def test_a_broken_cupy(machine: Any) -> None:
    facts = machine(cupy=ImportError("libcudart.so.12: cannot open shared object file\nmore"))
    assert facts.problem == (
        "CuPy (cupy-cuda12x==14.2.0) is installed but cannot be imported: "
        "libcudart.so.12: cannot open shared object file"
    )
    assert facts.fix == 'pip install "deepcore[cuda12]" --force-reinstall'


def test_no_driver(machine: Any) -> None:
    facts = machine(driver=0, cupy=fake_cupy(error="cudaErrorInsufficientDriver: ..."))
    assert facts.problem == "no NVIDIA driver was found"
    assert facts.fix.startswith("install NVIDIA's driver, version 525 or newer")
    assert "no NVIDIA driver was found" in refused()


def test_a_driver_that_is_too_old(machine: Any) -> None:
    facts = machine(driver=11040)
    assert facts.problem == "the NVIDIA driver is too old: it brings CUDA 11.4, but cupy-cuda12x==14.2.0 needs 12.0"
    assert facts.fix == "update NVIDIA's driver to version 525 or newer"
    assert "too old" in refused()


def test_a_driver_that_is_too_old_for_this_wheel_only(machine: Any) -> None:
    facts = machine(wheels=("cupy-cuda13x==14.2.0",), driver=12040, cupy=fake_cupy(runtime=13000))
    assert "it brings CUDA 12.4, but cupy-cuda13x==14.2.0 needs 13.0" in facts.problem
    assert facts.fix.endswith('or pip uninstall -y cupy-cuda13x && pip install "deepcore[cuda12]"')


def test_an_older_driver_of_the_same_major_version_works(machine: Any) -> None:
    assert machine(driver=12000, cupy=fake_cupy(runtime=12090)).usable


def test_no_gpu(machine: Any) -> None:
    facts = machine(cupy=fake_cupy(error="cudaErrorNoDevice: no CUDA-capable device is detected"))
    assert facts.problem == "the driver is there, but it finds no NVIDIA GPU"
    assert "it finds no NVIDIA GPU" in refused()


def test_hidden_gpus(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    facts = machine(cupy=fake_cupy(error="cudaErrorNoDevice: no CUDA-capable device is detected"))
    assert (facts.problem, facts.fix) == ("no GPU is visible (CUDA_VISIBLE_DEVICES='')", "unset CUDA_VISIBLE_DEVICES")


def test_a_driver_that_does_not_start(machine: Any) -> None:
    facts = machine(cupy=fake_cupy(error="cudaErrorSystemNotReady: system not yet initialized"))
    assert facts.problem == "CUDA does not start: cudaErrorSystemNotReady: system not yet initialized"


def test_macos(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert (machine(driver=0).problem, machine(driver=0).fix) == ("macOS has no CUDA", "use --device cpu")


def test_a_device_number_that_does_not_exist(machine: Any) -> None:
    machine(cupy=fake_cupy(devices=2))
    assert refused("cuda:7") == (
        'device "cuda:7": expected one of cuda:0 GPU 0, 139 GiB, sm_90, cuda:1 GPU 1, 139 GiB, sm_90; got "cuda:7". '
        "Hint: CUDA_VISIBLE_DEVICES hides and renumbers devices."
    )


def test_the_same_message_comes_from_get_backend(machine: Any) -> None:
    machine(wheels=())
    with pytest.raises(DeviceError, match="CuPy is not installed"):
        get_backend("cuda:5")


def test_diagnose_of_this_machine_is_consistent() -> None:
    facts = diagnose.diagnose()
    assert facts.usable == bool(facts.devices)
    assert facts.usable or facts.fix
    assert str(facts)


def test_the_real_list_of_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["cupy-cuda12x", "CuPy", "cupy_cuda13x", "cupy-xarray", "numpy"]
    found = [SimpleNamespace(metadata={"Name": name}, version="1") for name in names]
    monkeypatch.setattr(diagnose.importlib.metadata, "distributions", lambda: found)
    assert diagnose._wheels() == ("cupy-cuda12x==1", "cupy-cuda13x==1", "cupy==1")


def test_importing_the_backend_needs_no_cupy() -> None:
    code = "import sys; sys.modules['cupy'] = None; import deepcore.backends.cuda"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# --- without a compiler it works on CuPy alone ------------------------------------------------------------------------


@pytest.fixture
def cuda_on_numpy(machine: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that builds CudaBackend with NumPy in CuPy's place, which is enough where no kernel is launched."""

    def build(kernel_problem: str | None = None) -> Any:
        from deepcore.backends.cuda import CudaBackend

        fake = ModuleType("cupy")
        fake.__dict__.update({name: getattr(np, name) for name in dir(np) if not name.startswith("__")})
        fake.__dict__.update(vars(fake_cupy()))
        fake.cuda.device = SimpleNamespace(get_cublas_handle=lambda: 0)
        fake.cuda.cublas = SimpleNamespace(CUBLAS_COMPUTE_32F=68, CUBLAS_COMPUTE_64F=70)
        monkeypatch.setitem(sys.modules, "cupy", fake)
        machine(cupy=fake, kernel_problem=kernel_problem)
        backend = CudaBackend()
        backend.gemm = HostGemm(np)
        return backend

    return build


def test_without_numba_cuda_it_works_and_says_so(cuda_on_numpy: Any) -> None:
    with pytest.warns(RuntimeWarning) as caught:
        backend = cuda_on_numpy("libNVVM was not found")
    assert [str(w.message) for w in caught] == [
        "cuda:0: our CUDA kernels are off, because libNVVM was not found; slower array operations take their place. "
        'Fix: pip install "deepcore[cuda12]".'
    ]
    x = np.arange(-3, 3, dtype="float32")
    np.testing.assert_array_equal(backend.relu_grad(x, x), [0, 0, 0, 0, 1, 2])
    assert backend.normal(1, 0, (3,), "float32").shape == (3,)


def test_a_compiler_that_fails_later_turns_kernels_off(cuda_on_numpy: Any) -> None:
    backend = cuda_on_numpy()

    class Failing(launcher.Geometry):
        def __call__(self, *args: Any) -> None:
            raise CompilerMissing("nvJitLink is too old")

    backend.launch = Failing(processors=1)
    x = np.arange(-3, 3, dtype="float32")
    with pytest.warns(RuntimeWarning, match="off, because nvJitLink is too old"):
        np.testing.assert_array_equal(backend.relu_grad(x, x), [0, 0, 0, 0, 1, 2])
    np.testing.assert_array_equal(backend.relu_grad(x, x), [0, 0, 0, 0, 1, 2])  # no second warning: it would raise


def test_sizes_above_int32_go_to_the_reference(cuda_on_numpy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the limit lowered, as no test has 2**31 elements; a launch would fail here, and so would cuBLAS."""
    from deepcore.backends.cuda import core as cuda_core

    assert cuda_core.LIMIT == 2**31 - 1
    monkeypatch.setattr(cuda_core, "LIMIT", 5)
    backend = cuda_on_numpy()
    backend.launch = backend.gemm = None
    x = np.arange(-3, 3, dtype="float32")
    np.testing.assert_array_equal(backend.relu_grad(x, x), [0, 0, 0, 0, 1, 2])
    backend.sgd_update([x], [x.copy()], None, 1.0, 0, 0, 0, False, False, False)
    np.testing.assert_array_equal(x, np.zeros(6))
    with pytest.raises(AttributeError):  # up to the limit it is launched
        backend.relu_grad(x[:5], x[:5])


# --- launching --------------------------------------------------------------------------------------------------------


def test_a_launch_converts_numbers_and_looks_a_kernel_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba.cuda", reason="numba-cuda is not installed")
    from deepcore.kernels.cuda.activation import relu_grad

    compiled, launched = [], []
    cubin = Cubin(b"code", "activation_relu_grad", 10, 0, 0, 0)
    monkeypatch.setattr(launcher, "compile_kernel", lambda *args: (compiled.append(args), cubin)[1])

    class Module:
        def load(self, code: bytes) -> None:
            assert code == b"code"

        def get_function(self, name: str) -> Any:
            assert name == "activation_relu_grad"
            return lambda grid, block, args: launched.append((grid, block, args))

    cupy = SimpleNamespace(cuda=SimpleNamespace(function=SimpleNamespace(Module=Module)))
    launch = launcher.CupyLauncher(cupy, (9, 0), 132)
    for dtype in ("float32", "float32", "float64"):
        x = np.zeros(1000, dtype)
        launch(relu_grad, launch.flat(1000), x, x, x, 0, 1000)
        grid, block, args = launched[-1]
        assert (grid, block) == ((4,), (256,))
        assert args[0] is x
        assert [type(a) for a in args[3:]] == [x.dtype.type, np.int32]
    assert [(k.name, real.name, capability) for k, real, capability in compiled] == [
        ("activation.relu_grad", "float32", (9, 0)),
        ("activation.relu_grad", "float64", (9, 0)),
    ]
    with pytest.raises(OverflowError):
        launch(relu_grad, launch.flat(1000), x, x, x, 0, 2**31)


def test_shapes_of_launches() -> None:
    device = launcher.Geometry(processors=132)
    assert device.flat(10**9) == ((2112,), (256,))
    assert device.flat(10**6, loops=False) == ((3907,), (256,))
    assert device.planes(3, 49) == ((3, 1), (64,))
    assert device.planes(1, 2**31 - 1)[0][1] <= 65535
    assert device.planes(10**5, 1024) == ((10**5, 1), (256,))  # blocks abound: four places a thread
    assert device.rows(10, 10) == ((10,), (32,))
    assert device.rows(10, 1000) == ((10,), (256,))
    assert device.parts(64, 10**6)[0] == (64, 32)
    assert device.parts(5000, 10**6)[0] == (5000, 1)
    for count in (1, 3, 1000):
        for items in (1, 9, 5000):
            block = device.parts(count, items)[1][0]
            assert block & (block - 1) == 0, "a reduction halves the block"


# --- the simulator ----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0"), reason="the simulator is on")
def test_the_simulator_says_how_it_is_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError) as caught:
        get_backend("simulator")
    assert str(caught.value) == (
        'device "simulator": expected Numba\'s CUDA simulator to be on; got it is off. '
        "Hint: start Python with NUMBA_ENABLE_CUDASIM=1."
    )
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "1")
    with pytest.raises(DeviceError, match="Numba was imported before the variable was set"):
        get_backend("simulator")


def test_in_the_simulator_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compiler.compiler_problem.cache_clear()
    monkeypatch.setattr(compiler, "simulating", lambda: True)
    try:
        assert "simulator is on" in compiler.compiler_problem()
    finally:
        compiler.compiler_problem.cache_clear()
