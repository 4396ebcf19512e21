"""The arithmetic of a downtime as a client sees it, and a watch that does not lose its own failures."""

import time

import pytest

from tasks.downtime import Downtime, Use, Watch, sum_up


def use(began: float, error: str = "", seconds: float = 0.1) -> Use:
    return Use(began, began + seconds, error)


def test_it_lasts_from_the_first_use_that_failed_to_the_first_that_was_served_again() -> None:
    found = sum_up("a user", [use(0), use(1, "HTTP 503"), use(2, "timed out", 5), use(7.5), use(8)])
    assert (found.seconds, found.failed, found.uses, found.is_over) == (pytest.approx(6.6), 2, 5, True)
    assert found.errors == ("HTTP 503", "timed out")


def test_several_are_added_up_and_an_open_one_counts_so_far() -> None:
    found = sum_up("a user", [use(0, "x"), use(1), use(2), use(3, "x"), use(4, "x")])
    assert (found.seconds, found.is_over) == (pytest.approx(1.1 + 1.1), False)
    assert "still are" in str(found)


def test_nobody_asked_is_nobody_served() -> None:
    assert sum_up("a user", []) == Downtime("a user", 0, 0, 0.0, False, ())


def test_a_client_that_never_fails_had_no_downtime() -> None:
    assert sum_up("a user", [use(0), use(1)]).seconds == 0


def test_a_watch_sees_what_happens_while_it_is_there() -> None:
    down_until = time.monotonic() + 0.6
    watch = Watch({"a user": lambda: "refused" if time.monotonic() < down_until else ""})
    watch.begin()
    (found,) = watch.wait_until_served()
    assert 0.5 < found.seconds < 3
    assert found.is_over


def test_a_measurement_that_breaks_is_raised_not_taken_for_service() -> None:
    answers = ["", ""]
    watch = Watch({"a user": answers.pop})
    watch.begin()
    time.sleep(0.8)
    with pytest.raises(IndexError):
        watch.end()
