"""What the tests of images and instances share: tiny applications, `python -m lab push`, user data that runs them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from lab.image import build
from lab.push import push

Done = subprocess.CompletedProcess[str]
PROJECT = Path(__file__).parents[2]
AMI_PARAMETER = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"

PLAIN_SERVER = """
import os, signal, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        names = {"/version": "VERSION", "/instance": "INSTANCE_ID", "/secret": "PREFECT_API_URL"}
        body = (str(os.getpid()) if self.path == "/pid" else os.environ.get(names[self.path], "none")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def end(*_):
    print("asked to end", flush=True)
    threading.Thread(target=server.shutdown).start()


server = ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler)
signal.signal(signal.SIGTERM, end)
print("serving", os.environ["VERSION"], flush=True)
server.serve_forever(0.02)
print("ended in peace", flush=True)
"""
PLAIN_DOCKERFILE = """
ARG PYTHON=3.11
FROM python:${PYTHON}-slim AS base
WORKDIR /srv/app
RUN pip install flask \\
    && rm -rf /var/cache/apt

FROM base AS app
ARG VERSION=dev
ARG FINDINGS=
ARG SCAN=
ENV VERSION=$VERSION PYTHONUNBUFFERED=1
LABEL lab.scan-findings=$FINDINGS lab.scan-status=$SCAN
COPY --chown=app:app server.py ./
EXPOSE 5000
USER app
CMD ["python", "/srv/app/server.py"]

FROM base AS worker
CMD ["python", "-c", "raise SystemExit(3)"]
"""
WSGI_DOCKERFILE = """
FROM python:3.11-slim
WORKDIR /srv
COPY wsgi.py .
ENTRYPOINT ["gunicorn"]
CMD ["--bind", "0.0.0.0:5000", "--workers", "1", "wsgi:application"]
"""
WSGI_APPLICATION = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "9")])
    return [b"from wsgi"]
"""


def plain_app(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "server.py").write_text(PLAIN_SERVER)
    (folder / "Dockerfile").write_text(PLAIN_DOCKERFILE)
    return folder


def wsgi_app(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "wsgi.py").write_text(WSGI_APPLICATION)
    (folder / "Dockerfile").write_text(WSGI_DOCKERFILE)
    return folder


def push_by_command(lab: dict[str, Any], folder: Path, repository: str, tag: str, **build_args: str) -> Done:
    """`python -m lab push`, as a person types it."""
    command = [sys.executable, "-m", "lab", "push", str(folder), "--repository", repository, "--tag", tag]
    for name, value in build_args.items():
        command += ["--build-arg", f"{name}={value}"]
    environment = {**os.environ, **lab["env"]}
    return subprocess.run(
        [*command, "--target", "app"], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )


def pushed(ecr: Any, folder: Path, repository: str, tag: str, target: str | None = "app", **build_args: str) -> str:
    """The same in this process, which saves the start of another: the reference of the image."""
    image = build(folder, dockerfile=folder / "Dockerfile", target=target, build_args=build_args)
    return f"{push(ecr, repository, tag, image)}@{image.manifest.digest}"


def user_data(
    image: str, log_group: str = "/app", publish: str = "5000:5000", options: str = "--restart=always"
) -> str:
    return f"""#!/bin/bash
exec > >(tee -a /var/log/user-data.log) 2>&1
# docker run would be found here only by a careless reader
dnf install -y docker
cat > /etc/notes <<'JSON'
{{ "it's": "half of a quotation" }}
JSON
docker run -d {options} --name app -p {publish} \\
  --log-driver=awslogs \\
  --log-opt awslogs-region=eu-north-1 \\
  --log-opt awslogs-group={log_group} \\
  --log-opt awslogs-stream=$INSTANCE_ID \\
  -e AWS_REGION=eu-north-1 -e INSTANCE_ID=${{INSTANCE_ID}} -e NOT_SET \\
  {image}
"""
