"""The pages in which Systems Manager gives long answers: MaxResults and NextToken."""

from typing import Any

from lab.scaling_activities import read_token


def page(self: Any, name: str, found: list[Any], most: int) -> dict[str, Any]:
    """The part of `found` that the request asks for; the token is where the next one begins."""
    start = read_token(self._get_param("NextToken"))
    end = start + self._get_int_param("MaxResults", most)
    answer: dict[str, Any] = {name: found[start:end]}
    if end < len(found):
        answer["NextToken"] = str(end)
    return answer
