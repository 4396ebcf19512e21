FROM python:3.11-slim AS packages
COPY app/requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --require-hashes --prefix=/packages -r /tmp/requirements.txt

FROM python:3.11-slim AS app
ARG VERSION=unknown
ENV APP_VERSION=$VERSION
ARG REVISION
LABEL org.opencontainers.image.title="items"
LABEL org.opencontainers.image.version=$VERSION
LABEL org.opencontainers.image.revision=$REVISION
LABEL app.schema.minimum="2"
LABEL app.schema.maximum="2"
RUN useradd --system --uid 10001 --no-create-home app
COPY --from=packages /packages /usr/local
WORKDIR /srv
COPY app /srv/app
USER app
EXPOSE 5000
CMD ["gunicorn", "--config", "app/gunicorn.conf.py", "app:create_app()"]

# Terraform, and the provider that its code asks for, signature checked: a run needs no registry. Unpacked, so that a run
# links to it instead of unpacking hundreds of MB first, as it would from `terraform providers mirror`.
FROM hashicorp/terraform:1.11.4 AS terraform
COPY terraform/environments/dev/versions.tf /code/
RUN terraform -chdir=/code init -backend=false && mv /code/.terraform/providers /mirror

# The runs and the worker that starts them. Which pool, login and role it works with comes from where it runs.
FROM python:3.11-slim AS worker
ARG VERSION=unknown
ENV WORKER_VERSION=$VERSION
ARG REVISION
LABEL org.opencontainers.image.title="runbook"
LABEL org.opencontainers.image.version=$VERSION
LABEL org.opencontainers.image.revision=$REVISION
ENV PYTHONPATH=/srv PYTHONUNBUFFERED=1 TERRAFORM_PROVIDER_MIRROR=/opt/terraform/providers DO_NOT_TRACK=1
# As in pyproject.toml: a busy server (503) is asked for 8.5 minutes, not for one.
ENV PREFECT_CLIENT_MAX_RETRIES=8
RUN useradd --system --uid 10001 --create-home worker
COPY requirements-worker.lock /tmp/requirements.lock
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.lock
COPY --from=terraform /bin/terraform /usr/local/bin/terraform
COPY --from=terraform /mirror /opt/terraform/providers
WORKDIR /srv
COPY flows /srv/flows
COPY tasks /srv/tasks
COPY terraform /srv/terraform
USER worker
CMD ["prefect", "worker", "start", "--pool", "runbook"]
