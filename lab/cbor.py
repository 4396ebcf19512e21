"""CBOR (RFC 8949), in which newer AWS services speak: only writing, and only what such an answer is made of."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

UNSIGNED, NEGATIVE, TEXT, ARRAY, MAP = (major << 5 for major in (0, 1, 3, 4, 5))
FALSE, TRUE, NULL, DOUBLE = 0xF4, 0xF5, 0xF6, 0xFB


def encode(value: Any) -> bytes:
    match value:
        case None | bool():
            return bytes([NULL if value is None else TRUE if value else FALSE])
        case int():
            return _head(UNSIGNED, value) if value >= 0 else _head(NEGATIVE, -1 - value)
        case float():
            return bytes([DOUBLE]) + struct.pack(">d", value)
        case str():
            text = value.encode()
            return _head(TEXT, len(text)) + text
        case Mapping():
            return _head(MAP, len(value)) + b"".join(encode(k) + encode(v) for k, v in value.items())
        case Sequence():
            return _head(ARRAY, len(value)) + b"".join(map(encode, value))
    raise TypeError(f"{type(value).__name__} is not of an answer")


def _head(major: int, number: int) -> bytes:
    """A small number stands in the byte itself; larger ones follow it in 1, 2, 4 or 8 bytes."""
    if number < 24:
        return bytes([major | number])
    size = next(size for size in range(4) if number < 1 << (8 << size))
    return bytes([major | 24 + size]) + number.to_bytes(1 << size, "big")
