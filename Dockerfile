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

FROM python:3.11-slim AS worker
ARG VERSION=unknown
ENV WORKER_VERSION=$VERSION
RUN useradd --system --uid 10001 --create-home worker
COPY requirements.lock /tmp/requirements.lock
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.lock
WORKDIR /srv
COPY flows /srv/flows
COPY tasks /srv/tasks
USER worker
CMD ["prefect", "worker", "start", "--pool", "runbook"]
