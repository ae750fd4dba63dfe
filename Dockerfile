# The image of `python -m pipelines`: docs/containers.md says how it is built and run.
ARG BASE_IMAGE=python:3.12-slim-bookworm

FROM ${BASE_IMAGE} AS build
# What is installed beside the package itself; [sqs,postgresql] makes a smaller image, and '' the smallest.
ARG EXTRAS=[all]
RUN python3 -m venv --without-pip /opt/pipelines
WORKDIR /source
COPY pyproject.toml README.md ./
COPY flowspec flowspec
COPY pipelines pipelines
COPY sinks sinks
COPY sources sources
# An index of your own, with its password, is the secret pip.conf: nothing of it stays in the image.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    python3 -m pip --python /opt/pipelines/bin/python install --no-cache-dir --only-binary :all: ".${EXTRAS}"

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="Trigger Flows" \
      org.opencontainers.image.description="Flows that start the moment a record is inserted in another system." \
      org.opencontainers.image.version="0.1.0"
# No user of the machine has this number by chance, and it is what Kubernetes checks runAsNonRoot by.
RUN groupadd --gid 10001 pipelines \
    && useradd --uid 10001 --gid pipelines --home-dir /state --no-create-home --shell /usr/sbin/nologin pipelines \
    && install --directory --owner pipelines --group pipelines --mode 0750 /state
COPY --from=build /opt/pipelines /opt/pipelines
ENV PATH=/opt/pipelines/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
# The only place that is written to, apart from what a spec names; the root file system can be read-only.
VOLUME /state
WORKDIR /state
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import sys, http.client as http; c = http.HTTPConnection('127.0.0.1', 8080, timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
# python gets the SIGTERM itself and drains for 8 seconds at most; Docker waits for 10.
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "pipelines"]
CMD ["run", "/flow/spec.json", "--state-dir", "/state", "--http", "0.0.0.0:8080"]
