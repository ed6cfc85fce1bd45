# syntax=docker/dockerfile:1
# deepcore on a CPU. From the repository's root:
#
#   docker build --file docker/cpu.Dockerfile --tag deepcore:cpu .
#   docker run --rm deepcore:cpu                 # deepcore train
#   docker run --rm deepcore:cpu info            # any other command
#
# The tag below fixes the versions of Python and Debian, not the exact image: to fix that too, append the digest that
# `docker buildx imagetools inspect python:3.12.12-slim-bookworm` prints.

FROM python:3.12.12-slim-bookworm AS build
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
# The dependencies first: this layer stays as it is while only the sources change.
COPY pyproject.toml docker/constraints.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > requirements.txt \
    && pip install --requirement requirements.txt --constraint constraints.txt
COPY . .
RUN --mount=type=cache,target=/root/.cache/pip pip install --no-deps .

FROM python:3.12.12-slim-bookworm
RUN useradd --uid 10001 --create-home deepcore \
    && install --directory --owner deepcore --group deepcore /home/deepcore/runs /home/deepcore/.cache
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
# Run folders appear in /home/deepcore/runs; compiled kernels and downloaded data in /home/deepcore/.cache.
WORKDIR /home/deepcore
ENTRYPOINT ["deepcore"]
CMD ["train"]
