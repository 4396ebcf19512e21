"""A fresh environment for each flow test."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.stack import Stack, build_stack


@pytest.fixture(autouse=True)
def _orchestrated(prefect_server: str) -> None:
    """Every test here runs flows."""


@pytest.fixture
def stack(account: dict[str, Any], client: Callable[[str], Any]) -> Stack:
    return build_stack(account, client)
