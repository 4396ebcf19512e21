import json
import threading
from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient
from psycopg2.extensions import connection

TEAPOT = {"name": "Teapot", "description": "short and stout", "price": 12.5}


def rows(database: connection, columns: str = "name, description, price") -> list[tuple[Any, ...]]:
    with database.cursor() as sql:
        sql.execute(f"select {columns} from items order by id")  # noqa: S608 - this file's own columns
        return sql.fetchall()


def test_an_item_is_created_read_replaced_and_deleted(client: FlaskClient, database: connection) -> None:
    created = client.post("/items", json=TEAPOT)
    assert created.status_code == 201
    assert rows(database) == [("Teapot", "short and stout", Decimal("12.50"))]
    where = created.headers["Location"]
    assert client.get(where).get_json() == created.get_json()

    replaced = client.put(where, json={"name": "Cup", "price": 3})
    assert replaced.status_code == 200
    assert rows(database) == [("Cup", "", Decimal("3.00"))]
    assert replaced.get_json()["created_at"] == created.get_json()["created_at"]
    assert replaced.get_json()["updated_at"] > created.get_json()["updated_at"]

    assert client.delete(where).status_code == 204
    assert rows(database) == []
    for again in (client.get(where), client.put(where, json=TEAPOT), client.delete(where)):
        assert (again.status_code, again.get_json()["error"]["code"]) == (404, "not_found")


def test_what_is_written_is_what_is_read(client: FlaskClient, database: connection) -> None:
    name = "Ω \" \\ \u2028 \U0001f375 '; drop table items; --"
    item = client.post("/items", json={"name": name, "description": "\n\t{}", "price": 0.1}).get_json()
    assert (item["name"], item["description"], item["price"]) == (name, "\n\t{}", 0.1)
    assert rows(database) == [(name, "\n\t{}", Decimal("0.10"))]


@pytest.mark.parametrize(
    ("given", "kept"),
    [("0", "0.00"), ("-0.0", "0.00"), ("1.005", "1.01"), ("1e-999999", "0.00"), ("9999999999.99", "9999999999.99")],
)
def test_a_price_is_kept_in_cents(client: FlaskClient, database: connection, given: str, kept: str) -> None:
    answer = client.post("/items", data=f'{{"name": "x", "price": {given}}}', content_type="application/json")
    assert answer.status_code == 201
    assert rows(database, "price::text") == [(kept,)]


INVALID = [
    ('{"name": "x", "price": 1, "colour": "red"}', 422, "unknown_field", "colour"),
    ('{"name": "x"}', 422, "missing_field", "price"),
    ('{"price": 1}', 422, "missing_field", "name"),
    ('{"name": 1, "price": 1}', 422, "invalid_type", "name"),
    ('{"name": null, "price": 1}', 422, "invalid_type", "name"),
    ('{"name": "", "price": 1}', 422, "invalid_length", "name"),
    (json.dumps({"name": "x" * 201, "price": 1}), 422, "invalid_length", "name"),
    (json.dumps({"name": "x", "price": 1, "description": "x" * 2001}), 422, "invalid_length", "description"),
    ('{"name": "x", "price": 1, "description": null}', 422, "invalid_type", "description"),
    ('{"name": "a\\u0000b", "price": 1}', 422, "invalid_character", "name"),
    ('{"name": "a\\ud800b", "price": 1}', 422, "invalid_character", "name"),
    ('{"name": "x", "price": "1"}', 422, "invalid_type", "price"),
    ('{"name": "x", "price": true}', 422, "invalid_type", "price"),
    ('{"name": "x", "price": -0.01}', 422, "out_of_range", "price"),
    ('{"name": "x", "price": 10000000000}', 422, "out_of_range", "price"),
    ('{"name": "x", "price": 1e999999}', 422, "out_of_range", "price"),
    ('{"name": "x", "price": 1e99999999999999999999}', 400, "malformed_json", None),
    (f'{{"name": "x", "price": {"9" * 5000}}}', 400, "malformed_json", None),
    ('{"name": "x", "price": NaN}', 400, "malformed_json", None),
    ('{"name": "x", "price": -Infinity}', 400, "malformed_json", None),
    ('{"name": "x", "price": 1', 400, "malformed_json", None),
    ("", 400, "malformed_json", None),
    ("[" * 30_000, 400, "malformed_json", None),
    (b'{"name": "\xff", "price": 1}', 400, "malformed_json", None),
    ("[]", 422, "invalid_type", None),
    ("null", 422, "invalid_type", None),
]


def test_an_invalid_body_is_refused_with_its_reason_and_nothing_is_written(
    client: FlaskClient, database: connection
) -> None:
    existing = client.post("/items", json=TEAPOT).headers["Location"]
    for body, status, code, field in INVALID:
        for answer in (
            client.post("/items", data=body, content_type="application/json"),
            client.put(existing, data=body, content_type="application/json; charset=utf-8"),
        ):
            error = answer.get_json()["error"]
            assert (answer.status_code, error["code"], error.get("field")) == (status, code, field), body[:80]
    assert rows(database) == [("Teapot", "short and stout", Decimal("12.50"))]


def test_other_media_types_and_large_bodies_are_refused(client: FlaskClient, database: connection) -> None:
    form = client.post("/items", data={"name": "x", "price": "1"})
    bare = client.post("/items", data=json.dumps(TEAPOT))
    large = client.post("/items", json={"name": "x", "price": 1, "description": "x" * 70_000})
    codes = [(answer.status_code, answer.get_json()["error"]["code"]) for answer in (form, bare, large)]
    assert codes == [(415, "unsupported_media_type")] * 2 + [(413, "request_entity_too_large")]
    assert rows(database) == []


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "limit=", "limit=1_0", "limit=-1", f"after={2**63}", "after=1.5"]
)
def test_an_invalid_page_is_refused(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/items?{query}")
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (400, "invalid_parameter")
    assert answer.get_json()["error"]["field"] == query.partition("=")[0]


@pytest.mark.parametrize(
    "path", ["/nope", "/items/x", "/items/-1", "/items/", f"/items/{2**63}", f"/items/{'9' * 4000}"]
)
def test_what_does_not_exist_is_a_404_in_json(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404
    assert client.get(path).get_json()["error"]["code"] == "not_found"


def test_a_method_nobody_wrote_is_a_405_in_json(client: FlaskClient) -> None:
    for path, method in (("/items", "DELETE"), ("/items/1", "POST"), ("/health", "PUT"), ("/items", "OPTIONS")):
        answer = client.open(path, method=method)
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (405, "method_not_allowed")
        assert "GET" in answer.headers["Allow"]


def walk(client: FlaskClient, limit: int) -> list[int]:
    seen: list[int] = []
    after = 0
    while True:
        page = client.get(f"/items?limit={limit}&after={after}").get_json()
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            return seen
        after = page["next"]


def insert(database: connection, count: int) -> list[int]:
    with database.cursor() as sql:
        sql.execute(
            "insert into items (name, price) select 'item ' || n, n from generate_series(1, %s) n returning id",
            (count,),
        )
        return [row[0] for row in sql.fetchall()]


def test_pages_hold_every_item_once_and_end(client: FlaskClient, database: connection) -> None:
    assert client.get("/items").get_json() == {"items": [], "next": None}
    ids = insert(database, 40)
    assert len(client.get("/items").get_json()["items"]) == 20
    for limit in (1, 7, 20, 40, 100):
        assert walk(client, limit) == ids


def test_a_walk_during_inserts_and_deletes_misses_and_repeats_nothing(
    client: FlaskClient, database: connection
) -> None:
    ids = insert(database, 200)
    deleted, kept = ids[::10], [item for item in ids if item not in ids[::10]]

    def disturb() -> None:
        for item in deleted:
            client.delete(f"/items/{item}")
            client.post("/items", json=TEAPOT)

    disturbance = threading.Thread(target=disturb)
    disturbance.start()
    seen = walk(client, 3)
    disturbance.join()
    assert len(seen) == len(set(seen))
    assert set(kept) <= set(seen)
    assert seen == sorted(seen)
