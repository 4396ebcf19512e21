"""docker's awslogs log driver: a container's lines as events of a CloudWatch Logs stream."""

from collections.abc import Iterator
from typing import Any

from moto.core.exceptions import ServiceException
from moto.logs.models import logs_backends

from lab.docker_run import DockerError, DockerRun
from lab.lab import REGION
from lab.pull import DAEMON

# What one PutLogEvents call takes. Each event counts 26 bytes more than its message.
OVERHEAD_BYTES = 26
MAX_EVENT_BYTES = 262_144 - OVERHEAD_BYTES
MAX_BATCH_BYTES = 1_048_576
MAX_BATCH_EVENTS = 10_000


class LogStream:
    """Where the lines go. Every call is made with the lab's lock held."""

    def __init__(self, run: DockerRun, account: str, container_id: str) -> None:
        options = run.log_options
        self._backend: Any = logs_backends[account][options.get("awslogs-region", REGION)]
        self.group = options.get("awslogs-group", "")
        self.name = options.get("awslogs-stream", container_id)
        self._open(options.get("awslogs-create-group") == "true")

    def _open(self, create_group: bool) -> None:
        if create_group and self.group not in self._backend.groups:
            self._backend.create_log_group(self.group, {})
        if self.group not in self._backend.groups:
            words = "failed to initialize logging driver: failed to create Cloudwatch log stream"
            raise DockerError(
                f"{DAEMON} {words} '{self.name}' in '{self.group}': ResourceNotFoundException:"
                " The specified log group does not exist."
            )
        self._backend.ensure_log_stream(self.group, self.name)

    def put(self, lines: list[tuple[int, str]]) -> None:
        for events in _batches(lines):
            try:
                self._backend.put_log_events(self.group, self.name, events)
            except ServiceException:
                pass  # somebody deleted the group or the stream: docker drops the lines, too


def _batches(lines: list[tuple[int, str]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    size = 0
    for at, text in lines:
        message = _cut(text)
        weight = len(message.encode()) + OVERHEAD_BYTES
        if batch and (size + weight > MAX_BATCH_BYTES or len(batch) == MAX_BATCH_EVENTS):
            yield batch
            batch, size = [], 0
        batch.append({"timestamp": at, "message": message})
        size += weight
    if batch:
        yield batch


def _cut(text: str) -> str:
    return text.encode()[:MAX_EVENT_BYTES].decode(errors="ignore")
