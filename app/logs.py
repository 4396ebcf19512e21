"""One JSON object per line on stdout, with the fields the runbook's Insights queries name."""

import logging
import os
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii
from pathlib import Path

STDOUT = 1
# A line below PIPE_BUF (4096 bytes) reaches a pipe in one piece, whichever worker writes it.
TEXT_MAX_CHARACTERS = 600
CONCEALED = "[concealed]"

_identity = ', "instance": "unknown", "version": "unknown"'
_secrets: set[str] = set()


def identify(instance: str, version: str) -> None:
    """Name the process in every line from now on."""
    global _identity  # noqa: PLW0603 - one process, one name
    _identity = f', "instance": {_text(instance)}, "version": {_text(version)}'


def conceal(secret: str) -> None:
    """Keep a value out of every line from now on, whoever writes it."""
    if secret:
        _secrets.add(secret)


def timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def write(level: str, msg: str, error: str | None = None, **fields: str | float) -> None:
    line = f'{{"timestamp": "{timestamp()}", "level": "{level}", "msg": {_text(msg)}'
    if error is not None:
        line += f', "error": {_text(error)}'
    for name, value in fields.items():
        line += f', "{name}": {_text(value) if isinstance(value, str) else value}'
    os.write(STDOUT, f"{line}{_identity}}}\n".encode())


def describe(error: BaseException) -> str:
    """An exception with its causes and the line of ours that raised it, on one line."""
    return " <- ".join(_described(link) for link in _chain(error))


class JsonHandler(logging.Handler):
    """Carries what gunicorn and libraries log through `logging` into the same lines."""

    def emit(self, record: logging.LogRecord) -> None:
        raised = record.exc_info[1] if record.exc_info else None
        if raised is not None:
            write(record.levelname, record.getMessage(), error=describe(raised))
        elif record.levelno >= logging.ERROR:
            write(record.levelname, record.getMessage(), error=record.getMessage())
        else:
            write(record.levelname, record.getMessage())


def _text(text: str) -> str:
    for secret in _secrets:
        if secret in text:
            text = text.replace(secret, CONCEALED)
    if len(text) > TEXT_MAX_CHARACTERS:
        text = text[:TEXT_MAX_CHARACTERS] + "..."
    # Escapes every control and non-ASCII character, so that no value can end the line or start another; a third of
    # the cost of json.dumps, which matters in the one line that each request writes.
    return encode_basestring_ascii(text)


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _described(error: BaseException) -> str:
    text = " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{where}"
