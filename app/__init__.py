"""The items service. Knows its database and its log, and nothing of how it is deployed."""

import os
from collections.abc import Mapping

from flask import Flask

from app import errors, health, items, logs
from app.address import address_source
from app.database import Database, Limits
from app.keeper import Keeper
from app.request_log import RequestLog


def create_app(environment: Mapping[str, str] = os.environ) -> Flask:
    """The application, with its keeper thread already looking for the database."""
    version = environment.get("APP_VERSION", "unknown")
    instance = environment.get("INSTANCE_ID", "unknown")
    logs.identify(instance, version)

    app = Flask("app", static_folder=None)
    app.config.update(VERSION=version, INSTANCE=instance, MAX_CONTENT_LENGTH=items.BODY_MAX_BYTES)
    # An OPTIONS nobody documented would make the OpenAPI document untrue.
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    errors.register(app)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(items.blueprint)

    database = Database(_limits(environment), instance)
    keeper = Keeper(database, address_source(environment), instance)
    app.extensions.update(database=database, keeper=keeper)
    keeper.start()
    app.wsgi_app = RequestLog(app.wsgi_app)  # type: ignore[method-assign]
    return app


def close_app(app: Flask) -> None:
    """Stop the keeper and close the pool; requests in flight keep their connection until they are done."""
    app.extensions["keeper"].stop()
    app.extensions["database"].close()


def _limits(environment: Mapping[str, str]) -> Limits:
    return Limits(
        pool_minimum=int(environment.get("DB_POOL_MIN_CONN", "2")),
        pool_maximum=int(environment.get("DB_POOL_MAX_CONN", "10")),
        wait_s=float(environment.get("DB_POOL_WAIT_S", "5")),
        query_s=float(environment.get("DB_QUERY_S", "10")),
    )
