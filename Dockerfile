# Three targets: gateway, worker, migrate.
#
#   docker build --target gateway -t lethe-gateway .
#
# torch comes in the build the package index offers first, which brings CUDA along. For CPU-only images name an index
# with CPU builds:  docker build --build-arg PIP_EXTRA_INDEX_URL=...

FROM python:3.11.14-slim-bookworm AS python
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
RUN groupadd --gid 10001 lethe \
 && useradd --uid 10001 --gid lethe --no-create-home --home-dir /var/lib/lethe --shell /usr/sbin/nologin lethe \
 && install --directory --owner=lethe --group=lethe --mode=0750 /var/lib/lethe

# The libraries first and the code second: a change of code does not install torch again.
FROM python AS application
ARG PIP_EXTRA_INDEX_URL
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN python -m venv /opt/venv \
 && pip install --constraint constraints.txt '.[gateway,worker,s3]'
COPY app app
COPY benchmarks benchmarks
COPY inputs inputs
COPY cli cli
COPY migrations migrations
COPY model_store model_store
COPY recommender recommender
COPY unlearning unlearning
COPY worker worker
RUN pip install --no-deps --force-reinstall .

# Migrating needs no model, so this image has no torch: it starts quickly and has little in it.
FROM python AS migration
ARG PIP_EXTRA_INDEX_URL
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN python -m venv /opt/venv \
 && pip install --constraint constraints.txt \
      alembic 'psycopg[binary]' pydantic pydantic-settings rich sqlalchemy structlog typer
COPY app app
COPY cli cli
COPY inputs inputs
COPY migrations migrations
RUN pip install --no-deps .

FROM python AS migrate
COPY --from=migration /opt/venv /opt/venv
USER lethe
WORKDIR /var/lib/lethe
CMD ["lethe", "migrate"]

FROM python AS worker
COPY --from=application /opt/venv /opt/venv
ENV HF_HOME=/var/lib/lethe/huggingface
USER lethe
WORKDIR /var/lib/lethe
VOLUME /var/lib/lethe
# The pool's child does the work: a worker without one is not working, whatever its parent says.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD test -n "$(cat /proc/1/task/1/children)"
CMD ["lethe", "worker"]

FROM python AS gateway
COPY --from=application /opt/venv /opt/venv
ENV HF_HOME=/var/lib/lethe/huggingface \
    LETHE_HOST=0.0.0.0 \
    LETHE_PORT=8000
USER lethe
WORKDIR /var/lib/lethe
VOLUME /var/lib/lethe
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ['LETHE_PORT']}/healthz\", timeout=4)"]
CMD ["lethe", "gateway"]
