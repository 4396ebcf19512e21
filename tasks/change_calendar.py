"""The maintenance calendar as data: the weekly window, and the freezes in which nothing but a cure is done (S30)."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import yaml

DATA = Path(__file__).with_suffix(".yaml")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class WeeklyWindow:
    """`weekday` counts from Monday, as Python's does."""

    weekday: int
    opens_at: time
    length: timedelta


@dataclass(frozen=True)
class Freeze:
    begins: datetime
    ends: datetime
    environments: tuple[str, ...]
    because: str

    def __str__(self) -> str:
        return f"changes are frozen until {self.ends:%Y-%m-%d %H:%M} UTC: {self.because}"


@dataclass(frozen=True)
class Calendar:
    window: WeeklyWindow
    freezes: tuple[Freeze, ...]

    def freeze(self, environment: str, now: datetime) -> Freeze | None:
        found = (one for one in self.freezes if environment in one.environments and one.begins <= now < one.ends)
        return next(found, None)


def read_calendar(path: Path | None = None) -> Calendar:
    """
    Raises:
        ValueError: a time without its zone, or a freeze that ends before it begins: it would freeze nothing.
    """
    path = path or DATA
    data = yaml.safe_load(path.read_text())
    window = data["window"]
    opens_at = time.fromisoformat(window["opens"]).replace(tzinfo=UTC)
    weekly = WeeklyWindow(DAYS.index(window["day"]), opens_at, timedelta(minutes=window["minutes"]))
    freezes = tuple(
        Freeze(one["from"], one["until"], tuple(one["environments"]), one["because"]) for one in data["freezes"]
    )
    for one in freezes:
        if not one.begins.tzinfo or not one.ends.tzinfo:
            raise ValueError(f"{path.name}: the freeze for {one.because} has no time zone, expected such as ...T00:00Z")
        if one.begins >= one.ends:
            raise ValueError(f"{path.name}: the freeze for {one.because} ends before it begins")
    return Calendar(weekly, freezes)
