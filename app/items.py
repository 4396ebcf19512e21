"""The items API."""

import re
from urllib.parse import parse_qs

from flask import Blueprint, Response, current_app, request

from app.database import Database
from app.errors import BadRequest, error_response
from app.item import Item, parse_item

LIMIT_DEFAULT = 20
LIMIT_MAX = 100
ID_MAX = 2**63 - 1
BODY_MAX_BYTES = 65_536
WHOLE_NUMBER = re.compile("[0-9]{1,19}")

# PostgreSQL writes the JSON: half the time of making Decimals and datetimes in Python and printing them again.
JSON = """json_build_object('id', id, 'name', name, 'description', description, 'price', price,
    'created_at', created_at, 'updated_at', updated_at)::text"""
LIST = f"select id, {JSON} from items where id > %s order by id limit %s"  # noqa: S608 - constants only
GET = f"select {JSON} from items where id = %s"  # noqa: S608
INSERT = f"insert into items (name, description, price) values (%s, %s, %s) returning id, {JSON}"  # noqa: S608
UPDATE = f"""update items set name = %s, description = %s, price = %s, updated_at = now()
    where id = %s returning {JSON}"""  # noqa: S608
DELETE = "delete from items where id = %s returning id"

blueprint = Blueprint("items", __name__)


@blueprint.get("/items")
def list_items() -> Response:
    limit, after = _page(request.environ.get("QUERY_STRING", ""))
    rows = _database().query(LIST, (after, limit + 1))
    page = rows[:limit]
    following = page[-1][0] if len(rows) > limit else "null"
    return _json(f'{{"items":[{",".join(row[1] for row in page)}],"next":{following}}}')


@blueprint.get("/items/<int:item_id>")
def get_item(item_id: int) -> Response:
    return _found(_database().query(GET, (item_id,)) if item_id <= ID_MAX else [])


@blueprint.post("/items")
def create_item() -> Response:
    item = _item_of_request()
    item_id, text = _database().query(INSERT, (item.name, item.description, item.price))[0]
    response = _json(text, 201)
    response.headers["Location"] = f"/items/{item_id}"
    return response


@blueprint.put("/items/<int:item_id>")
def replace_item(item_id: int) -> Response:
    item = _item_of_request()
    values = (item.name, item.description, item.price, item_id)
    return _found(_database().query(UPDATE, values) if item_id <= ID_MAX else [])


@blueprint.delete("/items/<int:item_id>")
def delete_item(item_id: int) -> Response:
    if item_id > ID_MAX or not _database().query(DELETE, (item_id,)):
        return _absent()
    return Response(status=204)


def _database() -> Database:
    database: Database = current_app.extensions["database"]
    return database


def _json(text: str, status: int = 200) -> Response:
    return Response(text, status, mimetype="application/json")


def _found(rows: list[tuple[str]]) -> Response:
    return _json(rows[0][0]) if rows else _absent()


def _absent() -> Response:
    return error_response(404, "not_found", "no item has this id")


def _item_of_request() -> Item:
    if request.mimetype != "application/json":
        raise BadRequest("unsupported_media_type", "the body must be application/json", status=415)
    return parse_item(request.get_data(cache=False))


def _page(query_string: str) -> tuple[int, int]:
    if not query_string:
        return LIMIT_DEFAULT, 0
    given = parse_qs(query_string, keep_blank_values=True)
    limit = _whole_number(given, "limit", 1, LIMIT_MAX, LIMIT_DEFAULT)
    return limit, _whole_number(given, "after", 0, ID_MAX, 0)


def _whole_number(given: dict[str, list[str]], name: str, minimum: int, maximum: int, default: int) -> int:
    if name not in given:
        return default
    text = given[name][-1]
    if not WHOLE_NUMBER.fullmatch(text) or not minimum <= int(text) <= maximum:
        raise BadRequest("invalid_parameter", f"{name} must be a whole number from {minimum} to {maximum}", name)
    return int(text)
