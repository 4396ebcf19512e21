"""A lab for the tests of one file, quicker than the session's: RDS takes AWS's minutes for most of what it does."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.running import clients_of, running_lab

SPEED = 200.0


@pytest.fixture(scope="module")
def quick_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with running_lab(tmp_path_factory.mktemp("rds") / "home", SPEED) as running:
        yield running


@pytest.fixture(scope="module")
def quick_client(quick_lab: dict[str, Any]) -> Callable[..., Any]:
    return clients_of(quick_lab)


@pytest.fixture(scope="module")
def rds(quick_client: Callable[[str], Any]) -> Any:
    return quick_client("rds")
