# Turnout in a container: `docker build --tag turnout:0.1.0 .`
#
# Locked packages are installed by their hashes, all of them built already, so that no compiler is needed in either stage.
# The second stage gets the finished environment and nothing else. It runs as a user without rights, who may write to
# /var/lib/turnout and /tmp alone; everything else may be read-only.

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/turnout
COPY requirements-s3.lock /build/
RUN python -m pip --python /opt/turnout/bin/python install --quiet --only-binary :all: --require-hashes -r /build/requirements-s3.lock
COPY pyproject.toml README.md LICENSE NOTICE /build/
COPY analytics /build/analytics
COPY evaluation /build/evaluation
COPY gateway /build/gateway
COPY helm /build/helm
COPY rollout /build/rollout
RUN python -m pip --python /opt/turnout/bin/python install --quiet --no-build-isolation --no-deps /build
RUN python -m pip --python /opt/turnout/bin/python uninstall --quiet --yes editables hatchling pathspec pluggy trove-classifiers
RUN python -m pip --python /opt/turnout/bin/python check

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="Turnout" \
      org.opencontainers.image.description="A production traffic-splitting gateway for fine-tuned models" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 turnout && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin turnout
RUN install --directory --owner 10001 --group 10001 --mode 0700 /var/lib/turnout
COPY --from=build /opt/turnout /opt/turnout
ENV PATH=/opt/turnout/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    TURNOUT_CONFIG=/etc/turnout/turnout.toml \
    TURNOUT_STATE_DIR=/var/lib/turnout/state
WORKDIR /var/lib/turnout
VOLUME /var/lib/turnout
USER 10001:10001
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
  CMD ["python", "-c", "import json, os, urllib.request as asking; told = json.load(open(os.environ['TURNOUT_STATE_DIR'] + '/addresses.json')); asking.build_opener(asking.ProxyHandler({})).open((told.get('gateway') or told['console']) + '/healthz', timeout=4)"]
ENTRYPOINT ["turnout"]
CMD ["serve"]
