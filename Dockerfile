# The worker: what AWS Batch runs for each job. Built by scripts/build_worker_image.sh, explained in
# docs/worker-image.md. x86_64 and aarch64; the root may be read-only, /scratch is all it writes to.
# Pin the base by digest where it matters: --build-arg BASE=debian@sha256:...
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS system
RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
      bubblewrap ca-certificates git libseccomp2 python3 util-linux \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log \
      /usr/share/doc /usr/share/locale /usr/share/man

FROM system AS build
# The system's certificates, so that a base with an organisation's own works.
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv
# requirements-fix.lock for engines that ask models (docs/worker-image.md).
ARG LOCK=requirements.lock
COPY ${LOCK} /src/requirements.lock
RUN python3 -m venv /opt/worker \
 && /opt/worker/bin/pip install --quiet --no-cache-dir --disable-pip-version-check \
      --require-hashes --requirement /src/requirements.lock
COPY pyproject.toml README.md LICENSE /src/
COPY mcp_cloud_agents /src/mcp_cloud_agents
# The root may be read-only, so the bytecode is made here; what only builds and installs goes, and
# of the SDK's descriptions of services all but those that the worker and its models talk to.
RUN /opt/worker/bin/pip install --quiet --disable-pip-version-check --no-deps \
      --no-build-isolation /src \
 && /opt/worker/bin/pip uninstall --quiet --yes hatchling editables pip setuptools \
 && find /opt/worker/lib/python3*/site-packages/botocore/data -mindepth 1 -maxdepth 1 -type d \
      ! -name s3 ! -name bedrock-runtime -exec rm -rf {} + \
 && /opt/worker/bin/python -m compileall -q /opt/worker \
 && chmod -R go+rX /opt/worker

FROM system
COPY --from=build /opt/worker /opt/worker
# Where commands find their folders when no mount namespace can be made (sandbox/uid_drop.py).
RUN groupadd --gid 62000 agent \
 && useradd --uid 62000 --gid 62000 --no-create-home --home-dir /home/agent --shell /bin/sh agent \
 && mkdir -p /scratch/inside \
 && for name in env git pack report store tools workspace; do \
      rm -rf "/$name" && ln -s "/scratch/inside/$name" "/$name"; \
    done \
 && ln -s /scratch/inside/home /home/agent \
 && find / -xdev -perm /6000 -type f -exec chmod a-s {} + \
 && rm -rf /tmp && ln -s /scratch/inside/tmp /tmp
ENV LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 TMPDIR=/scratch
VOLUME /scratch
# The worker is root so that it can run commands as somebody else; they are user 62000.
ENTRYPOINT ["/opt/worker/bin/python", "-I", "-m", "mcp_cloud_agents.worker.aws"]
