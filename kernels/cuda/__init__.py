"""CUDA kernels: Python functions in Numba's dialect, compiled to cubins and launched through CuPy.

`declare` says what a kernel is, `compiler` makes machine code, `launcher` runs it, `gemm` is the one door to cuBLAS,
`diagnose` looks at the machine; the other modules hold the kernels, by family.
"""
