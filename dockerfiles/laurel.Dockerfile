# Laurel's own image, the Docker way. `make image` makes one without Docker, and without an index's
# address in it.
#
#   docker build --file dockerfiles/laurel.Dockerfile --build-arg BASE=python:3.11-slim@sha256:… .
#
# Run it with --read-only, --tmpfs /tmp and a volume at /data, where laurel.yaml, keys, ledger and
# caches are.

# repository@sha256:… of an image with python3 (3.11 or later) and pip
ARG BASE
FROM ${BASE} AS environment
WORKDIR /source
COPY dockerfiles/laurel.lock ./
RUN ["python3", "-m", "pip", "install", "--no-cache-dir", "--require-hashes", "--no-deps", \
     "--only-binary=:all:", "--target=/opt/laurel/env", "--requirement=laurel.lock"]
COPY dockerfiles/build.lock ./
RUN ["python3", "-m", "pip", "install", "--no-cache-dir", "--require-hashes", "--no-deps", \
     "--only-binary=:all:", "--target=/opt/build", "--requirement=build.lock"]
COPY pyproject.toml README.md LICENSE ./
COPY dockerfiles/ ./dockerfiles/
COPY pipeline/ ./pipeline/
COPY webhook_service/ ./webhook_service/
ENV PYTHONPATH=/opt/build
RUN ["python3", "-m", "pip", "install", "--no-cache-dir", "--no-deps", "--no-index", \
     "--no-build-isolation", "--target=/opt/laurel/env", "."]

FROM ${BASE}
COPY --from=environment /opt/laurel/env/ /opt/laurel/env/
COPY dockerfiles/laurel.py /opt/laurel/laurel
COPY dockerfiles/healthy.py /opt/laurel/healthy
RUN ["install", "--directory", "--mode=1777", "/data"]
ENV HOME=/data LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/opt/laurel/env \
    XDG_CACHE_HOME=/data/cache
EXPOSE 8080
USER 65532:65532
WORKDIR /data
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python3", "/opt/laurel/healthy"]
ENTRYPOINT ["python3", "/opt/laurel/laurel"]
CMD ["up", "--host", "0.0.0.0"]
