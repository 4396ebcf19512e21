"""The pages in which RDS gives long answers: MaxRecords and Marker."""

from typing import Any

MOST_RECORDS = 100


def page(self: Any, name: str, found: list[Any]) -> dict[str, Any]:
    """The part of `found` that the request asks for; the marker is where the next one begins."""
    start = int(self._get_param("Marker") or 0)
    end = start + self._get_int_param("MaxRecords", MOST_RECORDS)
    answer: dict[str, Any] = {name: found[start:end]}
    if end < len(found):
        answer["Marker"] = str(end)
    return answer
