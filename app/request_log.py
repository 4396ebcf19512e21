"""One log line for each request, written around the whole application."""

import re
import time
from collections.abc import Iterable
from random import getrandbits
from typing import TYPE_CHECKING, Any

from app import database, logs

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ERROR_KEY = "app.error"
# A foreign id is repeated in the log and in the answer: only what can do no harm in either.
REQUEST_ID = re.compile(r"[A-Za-z0-9._:;=/+-]{1,128}")


def note_error(environ: "WSGIEnvironment", msg: str, error: str) -> None:
    """What the request's log line will say went wrong."""
    environ[ERROR_KEY] = (msg, error)


class RequestLog:
    def __init__(self, application: "WSGIApplication") -> None:
        self._application = application

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        started = time.perf_counter()
        database.start_clock()
        request_id = _request_id(environ)
        answered = 500

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal answered
            answered = int(status[:3])
            headers.append(("X-Request-Id", request_id))
            return start_response(status, headers, exc_info)

        try:
            return self._application(environ, start)
        finally:
            _write(environ, request_id, answered, time.perf_counter() - started)


def _write(environ: "WSGIEnvironment", request_id: str, status: int, response_s: float) -> None:
    msg, error = environ.get(ERROR_KEY, ("request", None))
    logs.write(
        "ERROR" if error else "WARNING" if status >= 500 else "INFO",
        msg,
        error,
        method=environ["REQUEST_METHOD"],
        path=environ["PATH_INFO"],
        status=status,
        response_time_ms=round(response_s * 1000, 3),
        db_query_time_ms=round(database.spent_s() * 1000, 3),
        request_id=request_id,
    )


def _request_id(environ: "WSGIEnvironment") -> str:
    given = environ.get("HTTP_X_REQUEST_ID") or environ.get("HTTP_X_AMZN_TRACE_ID") or ""
    return given if REQUEST_ID.fullmatch(given) else f"{getrandbits(64):016x}"
