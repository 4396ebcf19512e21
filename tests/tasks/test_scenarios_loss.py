"""What may be lost on purpose, decided from plain values."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.environment import PROJECT
from tasks.errors import PreconditionFailed
from tasks.lost_database import RESTORING_FROM
from tasks.scenarios_loss import require_recoverable


class Where(SimpleNamespace):
    def __str__(self) -> str:
        return f"{PROJECT}-{self.environment}"


def judge(environment: str = "dev", **facts: Any) -> None:
    usual = {"id": f"{PROJECT}-{environment}-db", "deletion_protection": False, "tags": {}, "backup_retention_days": 7}
    db = SimpleNamespace(**{**usual, "latest_restorable_time": datetime(2026, 11, 26, tzinfo=UTC), **facts})
    require_recoverable(Where(environment=environment), db)  # type: ignore[arg-type]


def test_a_database_with_backups_in_dev_may_be_lost() -> None:
    judge()


@pytest.mark.parametrize(
    ("environment", "facts", "why"),
    [
        ("prod", {}, "Run this drill in dev"),
        ("dev", {"deletion_protection": True}, "without deletion protection"),
        ("dev", {"id": f"{PROJECT}-dev-db-recovered"}, "End the recovery first"),
        ("dev", {"tags": {RESTORING_FROM: "db-ABC"}}, "End the recovery first"),
        ("dev", {"backup_retention_days": 0}, "no automated backups"),
        ("dev", {"latest_restorable_time": None}, "no automated backups"),
    ],
)
def test_what_could_not_be_brought_back_or_is_in_use_is_never_lost(
    environment: str, facts: dict[str, Any], why: str
) -> None:
    with pytest.raises(PreconditionFailed, match=why):
        judge(environment, **facts)
