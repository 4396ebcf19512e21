"""A fresh environment for each flow test."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.stack import Stack, build_stack


@pytest.fixture(autouse=True)
def _orchestrated(prefect_server: str) -> None:
    """Every test here runs flows."""


@pytest.fixture
def environment(prefect_server: str, account: dict[str, Any]) -> dict[str, str]:
    """The variables of a run in a process of its own."""
    return {**account["env"], "PREFECT_API_URL": prefect_server, "PREFECT_LOGGING_LEVEL": "ERROR"}


@pytest.fixture
def stack(account: dict[str, Any], client: Callable[[str], Any]) -> Stack:
    return build_stack(account, client)
