"""Liveness, readiness and who this is.

`/health` decides whether the Auto Scaling group replaces the instance, so after the first readiness it stays 200: a
new instance wouldn't bring a lost database back. `/ready` decides whether a rollout goes on.
"""

import json
from typing import TYPE_CHECKING

from flask import Blueprint, Response, current_app

from app import logs
from app.database import Database, Unavailable
from app.openapi import document
from app.schema import SCHEMA_MAX, SCHEMA_MIN, runs_on

if TYPE_CHECKING:
    from app.keeper import Keeper

blueprint = Blueprint("health", __name__)


@blueprint.get("/")
def index() -> Response:
    return _json({"service": "items", "version": current_app.config["VERSION"]})


@blueprint.get("/openapi.json")
def openapi() -> Response:
    return _json(document(current_app.config["VERSION"]))


@blueprint.get("/health")
def is_alive() -> Response:
    database: Database = current_app.extensions["database"]
    if not database.was_ready:
        return _health("starting", "disconnected", 503)
    try:
        database.require_answer()
    except Unavailable as error:
        return _health("degraded", "busy" if error.code == "database_busy" else "disconnected")
    return _health("healthy", "connected")


@blueprint.get("/ready")
def is_ready() -> Response:
    database: Database = current_app.extensions["database"]
    keeper: Keeper = current_app.extensions["keeper"]
    if not database.was_ready:
        return _ready(None, keeper.reason)
    try:
        version = database.schema_version()
    except Unavailable as error:
        return _ready(None, str(error))
    return _ready(version, None if runs_on(version) else f"schema version is {version}, expected {_RANGE}")


_RANGE = f"{SCHEMA_MIN} to {SCHEMA_MAX}"


def _health(status: str, database: str, http_status: int = 200) -> Response:
    return _json({"status": status, "database": database, "timestamp": logs.timestamp(), **_who()}, http_status)


def _ready(version: int | None, reason: str | None) -> Response:
    schema = {"version": version, "minimum": SCHEMA_MIN, "maximum": SCHEMA_MAX}
    body = {"ready": reason is None, "reason": reason, "schema": schema, **_who()}
    response = _json(body, 200 if reason is None else 503)
    if reason is not None:
        response.headers["Retry-After"] = "2"
    return response


def _who() -> dict[str, str]:
    return {"version": current_app.config["VERSION"], "instance": current_app.config["INSTANCE"]}


def _json(body: object, status: int = 200) -> Response:
    return Response(json.dumps(body), status, mimetype="application/json")
