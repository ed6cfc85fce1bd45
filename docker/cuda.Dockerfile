# syntax=docker/dockerfile:1
# deepcore on an NVIDIA GPU with a driver for CUDA 12. The host needs the NVIDIA container toolkit. From the root:
#
#   docker build --file docker/cuda.Dockerfile --tag deepcore:cuda .
#   docker run --rm --gpus all deepcore:cuda               # deepcore train --device cuda
#   docker run --rm --gpus all deepcore:cuda info          # any other command
#
# The base holds CUDA's runtime library only. cuBLAS, NVRTC, libNVVM and the headers come from the Python packages of the
# extra `cuda12`: the larger `runtime` base would bring most of them a second time, and not all.
# The tag below fixes the versions of CUDA and Ubuntu, not the exact image: to fix that too, append the digest that
# `docker buildx imagetools inspect nvidia/cuda:12.9.1-base-ubuntu24.04` prints.

FROM nvidia/cuda:12.9.1-base-ubuntu24.04 AS build
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends 'python3=3.12.*' 'python3-venv=3.12.*' \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
# The dependencies first: this layer stays as it is while only the sources change.
COPY pyproject.toml docker/constraints.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*p['dependencies'], *p['optional-dependencies']['cuda12'], sep='\n')" > requirements.txt \
    && pip install --requirement requirements.txt --constraint constraints.txt
COPY . .
RUN --mount=type=cache,target=/root/.cache/pip pip install --no-deps .

FROM nvidia/cuda:12.9.1-base-ubuntu24.04
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends 'python3=3.12.*' \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home deepcore \
    && install --directory --owner deepcore --group deepcore /home/deepcore/runs /home/deepcore/.cache
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
# Run folders appear in /home/deepcore/runs; compiled kernels and downloaded data in /home/deepcore/.cache.
WORKDIR /home/deepcore
ENTRYPOINT ["deepcore"]
CMD ["train", "--device", "cuda"]
