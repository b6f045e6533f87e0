# A model's image as the Docker Engine builds it (`builder: docker`; docs/docker-builder.md).
#
# Laurel sends the context, writes the path of the base's interpreter for "python3", and appends what
# belongs to one image: ENV, WORKDIR, ENTRYPOINT; labels go beside it. In the context: install/ with
# wheels, pip and the lock; model/ and serving/, each a tree as it lies in the image. Nothing here
# needs a shell, so a base may have none, and no step has a network.

# repository@sha256:…
ARG BASE
FROM ${BASE} AS environment
ARG BUILD
LABEL dev.laurel.build=${BUILD}
# hadolint ignore=DL3002
USER 0:0
# bytecode of sets depends on it
ENV PYTHONHASHSEED=0
COPY install/ /laurel/
RUN ["python3", "-s", "/laurel/install.py", "/laurel", "/laurel/image"]

FROM ${BASE}
ARG BUILD
LABEL dev.laurel.build=${BUILD}
USER 0:0
COPY --from=environment /laurel/image/ /
COPY model/ /
COPY serving/ /
EXPOSE 8080
USER 65532:65532
