"""A calendar month in UTC, as AWS bills it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta


@dataclass(frozen=True, order=True)
class Month:
    first: date

    @classmethod
    def of(cls, day: date) -> "Month":
        return cls(day.replace(day=1))

    @classmethod
    def read(cls, text: str) -> "Month":
        """`2026-10`."""
        return cls(date.fromisoformat(f"{text}-01"))

    @property
    def end(self) -> date:
        """The first day that is no longer in it, as Cost Explorer ends a period."""
        return self.after(1).first

    @property
    def days(self) -> int:
        return (self.end - self.first).days

    def after(self, months: int) -> "Month":
        """That many months later, or earlier when it is negative."""
        number = self.first.year * 12 + self.first.month - 1 + months
        return Month(date(number // 12, number % 12 + 1, 1))

    def holds(self, day: date) -> bool:
        return self.first <= day < self.end

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}"


def today() -> date:
    return datetime.now(UTC).date()


def tomorrow() -> date:
    return today() + timedelta(days=1)
