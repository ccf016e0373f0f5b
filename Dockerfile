# One image for the webhook, the worker, the console and the simulator: the command decides.
# Everything that is installed is pinned by hash; nothing is compiled; the last stage can install nothing.

FROM python:3.11-slim-bookworm AS package
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
COPY requirements-dev.txt ./
# The build backend is among these; the rest of them stays behind in this stage.
RUN pip install --no-cache-dir --only-binary :all: --require-hashes -r requirements-dev.txt
COPY pyproject.toml README.md LICENSE ./
COPY common common
COPY webhook webhook
COPY worker worker
COPY console console
COPY simulator simulator
RUN pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:3.11-slim-bookworm AS environment
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/entra-sms
COPY requirements.txt ./
RUN pip --python /opt/entra-sms/bin/python install --no-cache-dir --only-binary :all: --require-hashes -r requirements.txt
COPY --from=package /wheels /wheels
RUN pip --python /opt/entra-sms/bin/python install --no-cache-dir --no-index --no-deps /wheels/*.whl

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="entra-sms-sync" \
      org.opencontainers.image.description="Keeps the address book of an SMS platform equal to Microsoft Entra ID" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.vendor="the entra-sms-sync authors"
# A volume mounted on the simulator's directory takes its owner from here.
RUN pip uninstall --yes --root-user-action=ignore pip setuptools wheel \
    && groupadd --gid 10001 entra-sms \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin entra-sms \
    && install --directory --owner 10001 --group 10001 /var/lib/simulator
COPY --from=environment /opt/entra-sms /opt/entra-sms
WORKDIR /app
COPY deploy/gunicorn.conf.py deploy/health.py deploy/demo_tenant.py deploy/
ENV PATH=/opt/entra-sms/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 8080
CMD ["entra-sms", "--help"]
