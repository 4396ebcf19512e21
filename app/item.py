"""What an item may be: the limits, and the checks that tell a client which field breaks one."""

import json
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from app.errors import BadRequest

NAME_MAX_CHARACTERS = 200
DESCRIPTION_MAX_CHARACTERS = 2000
PRICE_MAX = Decimal("9999999999.99")
CENT = Decimal("0.01")
FIELDS = ("name", "description", "price")


@dataclass(frozen=True)
class Item:
    name: str
    description: str
    price: Decimal


def parse_item(body: bytes) -> Item:
    given = _parse_object(body)
    for name in given:
        if name not in FIELDS:
            raise BadRequest("unknown_field", f"an item has {', '.join(FIELDS)} only", field=name, status=422)
    for name in ("name", "price"):
        if name not in given:
            raise BadRequest("missing_field", f"{name} is required", field=name, status=422)
    return Item(
        name=_text("name", given["name"], 1, NAME_MAX_CHARACTERS),
        description=_text("description", given.get("description", ""), 0, DESCRIPTION_MAX_CHARACTERS),
        price=_price(given["price"]),
    )


def _parse_object(body: bytes) -> dict[str, object]:
    try:
        value = json.loads(body.decode(), parse_float=_decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise BadRequest("malformed_json", "the body is not JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise BadRequest("invalid_type", "the body must be a JSON object", status=422)
    return value


def _decimal(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except InvalidOperation:
        raise ValueError("a number with an exponent beyond all measure") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _text(field: str, value: object, minimum: int, maximum: int) -> str:
    if not isinstance(value, str):
        raise BadRequest("invalid_type", f"{field} must be a string", field, 422)
    if not minimum <= len(value) <= maximum:
        raise BadRequest("invalid_length", f"{field} must have {minimum} to {maximum} characters", field, 422)
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise BadRequest("invalid_character", f"{field} must have no NUL and no lone surrogate", field, 422)
    return value


def _price(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise BadRequest("invalid_type", "price must be a number", "price", 422)
    if not 0 <= value <= PRICE_MAX:
        raise BadRequest("out_of_range", f"price must be between 0 and {PRICE_MAX}", "price", 422)
    return abs(Decimal(value).quantize(CENT, ROUND_HALF_UP))
