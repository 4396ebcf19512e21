"""What stands before moto: names each AWS call, keeps the call log, and injects the faults a test asks for."""

import io
import json
import logging
import re
import socket
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from botocore.exceptions import UnknownServiceError
from moto.core.exceptions import ServiceException
from moto.core.request import Request
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from werkzeug.exceptions import HTTPException

from lab import cbor
from lab.faults import Fault, Faults

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]
Own = Callable[[str, str, Mapping[str, Any]], Mapping[str, Any]]  # operation, region, what was asked

SIGNING_NAMES = {
    "monitoring": "cloudwatch",
    "elasticloadbalancing": "elbv2",
    "email": "ses",
    "tagging": "resourcegroupstaggingapi",
    "states": "stepfunctions",
}
CALLS_KEPT = 50_000
CBOR_HEADERS = [("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")]
RPC_PATH = re.compile(r"/service/\w+/operation/(\w+)")
CREDENTIAL = re.compile(r"Credential=([^/,]+)/\d+/([^/]+)/([^/]+)/")
INTERNAL_FAILURE = "The request processing has failed because of an unknown error, exception or failure."

log = logging.getLogger("lab.api")


class UnknownService(Exception):
    """moto has nothing for the service that was called."""


@dataclass(frozen=True)
class Call:
    """One AWS API call as the lab saw it."""

    at: float
    name: str
    status: int
    milliseconds: float
    access_key: str
    fault: str | None = None


class FrontDoor:
    def __init__(self, moto: WSGIApp, lock: threading.RLock, faults: Faults, own: Mapping[str, Own]) -> None:
        self._moto = moto
        self._own = own
        self._lock = lock
        self._book = threading.Lock()
        self.calls: deque[Call] = deque(maxlen=CALLS_KEPT)
        self.counts: Counter[str] = Counter()
        self.faults = faults

    def __call__(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO", "").startswith("/moto-api"):
            return self._moto(environ, start)
        access_key, service, name = identify(environ)
        operation = f"{service}:{name}"
        fault = self.faults.take(operation, lambda one: one.kind != "outcome")
        began, status = time.time(), 0

        def remember_status(line: str, headers: Any, error: Any = None) -> Any:
            nonlocal status
            status = int(line.split(maxsplit=1)[0])
            return start(line, headers, error) if error else start(line, headers)

        try:
            return self._answer(environ, remember_status, service, operation, fault)
        finally:
            milliseconds = round((time.time() - began) * 1000, 1)
            call = Call(began, operation, status, milliseconds, access_key, fault.kind if fault else None)
            with self._book:
                self.calls.append(call)
                self.counts[call.name] += 1

    def _answer(
        self, environ: Environ, start: StartResponse, service: str, operation: str, fault: Fault | None
    ) -> Iterable[bytes]:
        if fault and fault.kind == "latency":
            time.sleep(fault.seconds)
        if fault and fault.kind == "error":
            return refuse(environ, start, service, fault.code, fault.message, fault.status)
        if fault and fault.kind == "drop":
            return hang_up(environ)
        ask = self._ask_own if service in self._own else self._ask_moto
        body = ask(environ, start, service, operation)
        return hang_up(environ) if fault and fault.kind == "lost-response" else body

    def _ask_own(self, environ: Environ, start: StartResponse, service: str, operation: str) -> Iterable[bytes]:
        """The answer of a service that moto lacks. What is asked in CBOR is asked for without conditions."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        asked = {} if _speaks_cbor(environ) else json.loads(body or "{}")
        region = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        try:
            with self._lock:
                found = self._own[service](operation.partition(":")[2], region.group(2) if region else "", asked)
        except ServiceException as error:
            return refuse(environ, start, service, error.code, error.message, 400)
        if _speaks_cbor(environ):
            start("200 OK", CBOR_HEADERS)
            return [cbor.encode(found)]
        start("200 OK", [("Content-Type", "application/x-amz-json-1.1")])
        return [json.dumps(found).encode()]

    def _ask_moto(self, environ: Environ, start: StartResponse, service: str, operation: str) -> Iterable[bytes]:
        """moto's answer; where moto has only a stack trace or a web page, AWS's words for it."""
        answer: list[Any] = []
        try:
            with self._lock:
                body = list(self._moto(environ, lambda *said: answer.append(said)))
        except UnknownService:
            return refuse(environ, start, service, "InvalidAction", f"This lab has no service '{service}'.", 400)
        except Exception:  # one broken answer must not end the API; it is logged
            log.exception("%s failed", operation)
            return refuse(environ, start, service, "InternalFailure", INTERNAL_FAILURE, 500)
        line, headers, *_ = answer[-1]
        status = int(line.split(maxsplit=1)[0])
        if status == 403 and not any(body):
            return refuse(environ, start, service, "AccessDenied", "Access Denied", status)
        if status >= 400 and b"".join(body)[:9].lower() == b"<!doctype":
            return _in_aws_words(environ, start, service, operation, status)
        start(line, headers)
        return body

    def call_log(self, since: float = 0.0) -> list[dict[str, Any]]:
        with self._book:
            return [asdict(call) for call in self.calls if call.at >= since]

    def forget(self) -> None:
        with self._book:
            self.calls.clear()
            self.counts.clear()
        self.faults.remove()


def identify(environ: Environ) -> tuple[str, str, str]:
    """Whose access key calls which operation of which service (boto3's name of it)."""
    presigned = parse_qs(environ.get("QUERY_STRING", "")).get("X-Amz-Credential", [""])[0]
    found = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", "") or f"Credential={presigned}")
    access_key, _, signing_name = found.groups() if found else ("", "", "unsigned")
    service = SIGNING_NAMES.get(signing_name, signing_name)
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return access_key, service, target.split(".")[-1]
    if called := RPC_PATH.fullmatch(environ.get("PATH_INFO", "")):
        return access_key, service, called[1]
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        return access_key, service, parse_qs(body.decode()).get("Action", ["?"])[0]
    return access_key, service, _rest_operation(environ, service)


def _rest_operation(environ: Environ, service: str) -> str:
    try:
        operation, _ = get_service_router(service).match(Request(dict(environ)))
    except (HTTPException, UnknownServiceError, ValueError, KeyError, AttributeError, TypeError):
        return f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO', '/')}"
    return str(operation.name)


def _in_aws_words(environ: Environ, start: StartResponse, service: str, operation: str, status: int) -> Iterable[bytes]:
    if status in (404, 405):
        message = f"The operation {operation} is not offered by this lab."
        return refuse(environ, start, service, "UnknownOperationException", message, 404)
    log.error("%s: moto answered %d with a web page", operation, status)
    return refuse(environ, start, service, "InternalFailure", INTERNAL_FAILURE, 500)


def refuse(
    environ: Environ, start: StartResponse, service: str, code: str, message: str, status: int
) -> Iterable[bytes]:
    """An AWS error in the wire format that the client of this service expects."""
    request_id = str(uuid.uuid4())
    if _speaks_cbor(environ):
        start(f"{status} Refused", CBOR_HEADERS)
        return [cbor.encode({"__type": code, "message": message})]
    if _speaks_json(environ, service):
        kind, body = "application/x-amz-json-1.1", json.dumps({"__type": code, "message": message})
    else:
        kind, body = "text/xml", _error_document(service, code, escape(message), request_id, status)
    data = b"" if environ["REQUEST_METHOD"] == "HEAD" else body.encode()
    headers = [("Content-Type", kind), ("Content-Length", str(len(data))), ("x-amzn-RequestId", request_id)]
    start(f"{status} Refused", headers)
    return [data]


def _speaks_cbor(environ: Environ) -> bool:
    return bool(environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor")


def _speaks_json(environ: Environ, service: str) -> bool:
    if environ.get("HTTP_X_AMZ_TARGET"):
        return True
    try:
        return "json" in get_service_model(service).protocol
    except UnknownServiceError:
        return not environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")


def _error_document(service: str, code: str, message: str, request_id: str, status: int) -> str:
    error = f"<Code>{code}</Code><Message>{message}</Message>"
    if service == "s3":
        return f"<Error>{error}<RequestId>{request_id}</RequestId></Error>"
    if service == "ec2":
        return f"<Response><Errors><Error>{error}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    blame = "Receiver" if status >= 500 else "Sender"
    return (
        f"<ErrorResponse><Error><Type>{blame}</Type>{error}</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )


def hang_up(environ: Environ) -> Iterable[bytes]:
    """Close the connection without an answer, as a network does."""
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("the lab dropped this connection on purpose")
