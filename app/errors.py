"""Every answer that is not a success is the same JSON object."""

import json

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from app import logs
from app.database import Unavailable
from app.request_log import note_error


class BadRequest(Exception):
    """The client's mistake, named so that it can be mended."""

    def __init__(self, code: str, message: str, field: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.field = field
        self.status = status


def error_response(status: int, code: str, message: str, field: str | None = None) -> Response:
    error = {"code": code, "message": message} | ({} if field is None else {"field": field})
    return Response(json.dumps({"error": error}), status, mimetype="application/json")


def register(app: Flask) -> None:
    app.register_error_handler(BadRequest, _bad_request)
    app.register_error_handler(Unavailable, _unavailable)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _bad_request(error: BadRequest) -> Response:
    return error_response(error.status, error.code, str(error), error.field)


def _unavailable(error: Unavailable) -> Response:
    note_error(request.environ, str(error), logs.describe(error))
    response = error_response(503, error.code, str(error))
    response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _http(error: HTTPException) -> Response:
    code = error.name.lower().replace(" ", "_")
    response = error_response(error.code or 500, code, error.description or error.name)
    for name, value in error.get_headers(request.environ):
        if name not in ("Content-Type", "Content-Length"):
            response.headers[name] = value
    return response


def _unexpected(error: Exception) -> Response:
    note_error(request.environ, "unexpected error", logs.describe(error))
    return error_response(500, "internal_error", "something went wrong here; the log line of this request says what")
