"""The weekly maintenance window: may a change of this length begin now, and when is the earliest start that would?"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tasks.change_calendar import read_calendar
from tasks.errors import PreconditionFailed

WEEKLY = read_calendar().window
LENGTH = WEEKLY.length
WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Window:
    opens: datetime

    @property
    def closes(self) -> datetime:
        return self.opens + LENGTH

    def __str__(self) -> str:
        return f"{_clock(self.opens)} to {self.closes:%H:%M} UTC"


def current_or_next(now: datetime) -> Window:
    """The window that is open at `now`, else the next one."""
    day = now.astimezone(UTC).date() + timedelta(days=(WEEKLY.weekday - now.astimezone(UTC).weekday()) % 7)
    window = Window(datetime.combine(day, WEEKLY.opens_at))
    return window if now < window.closes else Window(window.opens + WEEK)


def earliest_start(now: datetime, seconds: float) -> datetime:
    """The earliest moment from which `seconds` end inside a window.

    Raises:
        PreconditionFailed: no window is long enough.
    """
    needed = timedelta(seconds=seconds)
    if needed > LENGTH:
        raise PreconditionFailed(
            f"this change takes about {_minutes(needed)} min, expected at most the {_minutes(LENGTH)} min of a"
            " maintenance window: replace more instances at a time, or bake shorter"
        )
    window = current_or_next(now)
    start = max(now, window.opens)
    return start if start + needed <= window.closes else window.opens + WEEK


def require_fits(now: datetime, seconds: float) -> str:
    """What to tell the operator about a change that begins now.

    Raises:
        PreconditionFailed: it would not end inside a window. Nothing was changed.
    """
    start, window = earliest_start(now, seconds), current_or_next(now)
    if start > now:
        raise PreconditionFailed(
            f"it is {_clock(now)} and this change takes about {_minutes(timedelta(seconds=seconds))} min, expected it"
            f" to end inside a maintenance window. The earliest start that would is {_clock(start)}. For an emergency"
            " give the reason: --outside-window-because ..."
        )
    return f"ends about {now + timedelta(seconds=seconds):%H:%M} UTC, inside the window {window}"


def require_allowed(now: datetime, seconds: float, exception: str | None) -> str:
    """As `require_fits`, unless a person gave the reason for an exception; the reason goes into the report."""
    if exception and exception.strip():
        return f"outside of the maintenance window because: {exception.strip()}"
    return require_fits(now, seconds)


def _minutes(length: timedelta) -> int:
    return -(-int(length.total_seconds()) // 60)


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%A %Y-%m-%d %H:%M} UTC"
