# A base for models: Debian slim, one Python, a user with a number, and nothing else.
#
#   docker build --file base.Dockerfile --build-arg DEBIAN=debian:trixie-slim@sha256:… \
#     --build-arg PYTHON=3.13 --tag registry.example.com/bases/python:3.13 .
#
# Push it and name it by digest as `base:` of a service. Debian chooses the minor version: bookworm
# has 3.11, trixie 3.13; another one is not found, and the build says so. For the others, name
# `python:3.12-slim@sha256:…` itself as base.

# debian:<release>-slim@sha256:…
ARG DEBIAN
# hadolint ignore=DL3006
FROM ${DEBIAN}
ARG PYTHON
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends "python${PYTHON}" libstdc++6 libgomp1 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/cache/ldconfig /var/log/* \
 && ln -sf "python${PYTHON}" /usr/bin/python3 \
 && python3 -c "import ssl, sqlite3, ctypes"
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["/usr/bin/python3"]
