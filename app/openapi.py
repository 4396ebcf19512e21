"""The OpenAPI document, built from the limits the views enforce."""

from collections.abc import Mapping
from typing import Any

from app.item import DESCRIPTION_MAX_CHARACTERS, NAME_MAX_CHARACTERS, PRICE_MAX
from app.items import ID_MAX, LIMIT_DEFAULT, LIMIT_MAX

Json = dict[str, Any]

NO_NUL = r"^[^\u0000]*$"
NAME = {"type": "string", "minLength": 1, "maxLength": NAME_MAX_CHARACTERS, "pattern": NO_NUL}
DESCRIPTION = {"type": "string", "maxLength": DESCRIPTION_MAX_CHARACTERS, "pattern": NO_NUL}
PRICE = {
    "type": "number",
    "minimum": 0,
    "maximum": float(PRICE_MAX),
    "description": "Kept to two decimals; half a cent is rounded up.",
}
ID = {"type": "integer", "minimum": 1, "maximum": ID_MAX}
TIME = {"type": "string", "format": "date-time"}
STRING = {"type": "string"}


def _object(properties: Json, optional: tuple[str, ...] = ()) -> Json:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


SCHEMAS = {
    "NewItem": _object({"name": NAME, "description": DESCRIPTION, "price": PRICE}, optional=("description",)),
    "Item": _object(
        {"id": ID, "name": NAME, "description": DESCRIPTION, "price": PRICE, "created_at": TIME, "updated_at": TIME}
    ),
    "Page": _object(
        {
            "items": {"type": "array", "maxItems": LIMIT_MAX, "items": {"$ref": "#/components/schemas/Item"}},
            "next": {"type": ["integer", "null"], "description": "`after` of the next page; null on the last."},
        }
    ),
    "Error": _object(
        {"error": _object({"code": STRING, "message": STRING, "field": STRING}, optional=("field",))},
    ),
    "Health": _object(
        {
            "status": {"enum": ["starting", "healthy", "degraded"]},
            "database": {"enum": ["connected", "disconnected", "busy"]},
            "timestamp": TIME,
            "version": STRING,
            "instance": STRING,
        }
    ),
    "Readiness": _object(
        {
            "ready": {"type": "boolean"},
            "reason": {"type": ["string", "null"]},
            "schema": _object(
                {
                    "version": {"type": ["integer", "null"]},
                    "minimum": {"type": "integer"},
                    "maximum": {"type": "integer"},
                }
            ),
            "version": STRING,
            "instance": STRING,
        }
    ),
    "Service": _object({"service": STRING, "version": STRING}),
    "Document": {"type": "object"},
}
FAILURES = {
    400: "Malformed JSON or an invalid query parameter",
    404: "No such item",
    413: "The body is too large",
    415: "The body is not application/json",
    422: "A field breaks a rule",
    500: "A fault of the service",
    503: "The database is away or busy; come back after Retry-After",
}


def document(version: str) -> Json:
    return {
        "openapi": "3.1.0",
        "info": {"title": "Items", "version": version},
        "paths": _paths(),
        "components": {"schemas": SCHEMAS},
    }


def _paths() -> Json:
    return {
        "/": {"get": _operation("index", "Who this is", {200: "Service"})},
        "/openapi.json": {"get": _operation("openapi", "This document", {200: "Document"})},
        "/health": {"get": _operation("is_alive", "Liveness", {200: "Health", 503: "Health"})},
        "/ready": {"get": _operation("is_ready", "Readiness", {200: "Readiness", 503: "Readiness"})},
        "/items": {
            "get": _operation("list_items", "A page of items by id", {200: "Page"}, (400, 503), parameters=_page()),
            "post": _operation("create_item", "Add an item", {201: "Item"}, (400, 413, 415, 422, 503), body=True),
        },
        "/items/{item_id}": {
            "parameters": [{"name": "item_id", "in": "path", "required": True, "schema": ID}],
            "get": _operation("get_item", "One item", {200: "Item"}, (404, 503)),
            "put": _operation(
                "replace_item", "Replace an item", {200: "Item"}, (400, 404, 413, 415, 422, 503), body=True
            ),
            "delete": _operation("delete_item", "Remove an item", {204: None}, (404, 503)),
        },
    }


def _operation(
    name: str,
    summary: str,
    answers: Mapping[int, str | None],
    failures: tuple[int, ...] = (),
    body: bool = False,
    parameters: list[Json] | None = None,
) -> Json:
    responses = {str(status): _answer(summary, schema) for status, schema in answers.items()}
    responses |= {str(status): _answer(FAILURES[status], "Error") for status in (*failures, 500)}
    operation: Json = {"operationId": name, "summary": summary, "responses": responses}
    if body:
        operation["requestBody"] = {"required": True, "content": _content("NewItem")}
    if parameters:
        operation["parameters"] = parameters
    return operation


def _page() -> list[Json]:
    limit = {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT}
    after = {"type": "integer", "minimum": 0, "maximum": ID_MAX, "default": 0}
    return [{"name": name, "in": "query", "schema": schema} for name, schema in (("limit", limit), ("after", after))]


def _answer(description: str, schema: str | None) -> Json:
    return {"description": description} | ({} if schema is None else {"content": _content(schema)})


def _content(schema: str) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
