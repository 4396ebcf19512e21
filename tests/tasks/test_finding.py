"""Verdicts: unknown is not OK."""

import json

import pytest
from botocore.exceptions import EndpointConnectionError

from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.finding import Attention, Finding, as_json, judge, require_none_bad


def raises(error: Exception) -> str:
    raise error


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (Attention("old"), "warn"),
        (PreconditionFailed("gone"), "fail"),
        (EndpointConnectionError(endpoint_url="http://x"), "unknown"),
    ],
)
def test_what_a_look_raises_is_its_verdict(error: Exception, verdict: str) -> None:
    assert judge("database", lambda: raises(error)).verdict == verdict


def test_a_programming_error_is_no_verdict() -> None:
    with pytest.raises(ZeroDivisionError):
        judge("database", lambda: str(1 / 0))


def test_fail_and_unknown_are_red_and_a_warning_is_not() -> None:
    require_none_bad([Finding("a", "ok", ""), Finding("b", "warn", "")])
    for verdict in ("fail", "unknown"):
        with pytest.raises(VerificationFailed, match=f"b {verdict}: seen"):
            require_none_bad([Finding("a", "ok", ""), Finding("b", verdict, "seen")])  # type: ignore[arg-type]


def test_json_carries_every_field() -> None:
    assert json.loads(as_json([Finding("a", "ok", "fine")])) == [
        {"component": "a", "verdict": "ok", "observed": "fine"}
    ]
