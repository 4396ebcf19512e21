"""The window, as a table of clocks."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import PreconditionFailed
from tasks.maintenance_window import LENGTH, current_or_next, earliest_start, require_fits

SUNDAY = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "minutes", "start"),
    [
        (SUNDAY + timedelta(hours=2), 180, SUNDAY + timedelta(hours=2)),  # all of it
        (SUNDAY + timedelta(hours=2), 60, SUNDAY + timedelta(hours=2)),
        (SUNDAY + timedelta(hours=4), 60, SUNDAY + timedelta(hours=4)),  # to the minute
        (SUNDAY + timedelta(hours=4, minutes=1), 60, SUNDAY + timedelta(days=7, hours=2)),
        (SUNDAY + timedelta(hours=5), 1, SUNDAY + timedelta(days=7, hours=2)),  # it has just closed
        (SUNDAY, 60, SUNDAY + timedelta(hours=2)),
        (SUNDAY - timedelta(days=5), 60, SUNDAY + timedelta(hours=2)),  # on Tuesday
    ],
)
def test_the_earliest_start_is_now_or_the_next_opening_that_is_long_enough(
    now: datetime, minutes: int, start: datetime
) -> None:
    assert earliest_start(now, minutes * 60) == start


def test_a_change_that_would_not_end_in_time_is_refused_and_told_when_it_would() -> None:
    with pytest.raises(PreconditionFailed, match="earliest start that would is Sunday 2026-12-06 02:00 UTC"):
        require_fits(SUNDAY + timedelta(hours=4, minutes=30), 3600)
    assert "ends about 04:30 UTC" in require_fits(SUNDAY + timedelta(hours=3, minutes=30), 3600)


def test_a_change_longer_than_any_window_is_refused_with_what_would_help() -> None:
    with pytest.raises(PreconditionFailed, match="replace more instances at a time"):
        earliest_start(SUNDAY, 4 * 3600)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)), st.integers(0, 3 * 3600))
def test_every_earliest_start_ends_in_its_window(now: datetime, seconds: int) -> None:
    start = earliest_start(now, seconds)
    window = current_or_next(start)
    assert start >= now
    assert start.weekday() == 6
    assert window.opens <= start <= start + timedelta(seconds=seconds) <= window.closes
    assert window.closes - window.opens == LENGTH


def test_a_clock_of_another_time_zone_reads_the_same_window() -> None:
    stockholm = datetime.fromisoformat("2026-11-29T03:30:00+01:00")  # 02:30 UTC
    assert earliest_start(stockholm, 60) == stockholm
