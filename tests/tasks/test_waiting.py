"""The one loop that waits."""

import pytest

from tasks import waiting
from tasks.errors import VerificationFailed, WaitTimedOut


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SHORTEST_POLL_SECONDS", 0.01)


def wait(states: list[str], **how: float) -> str:
    remaining = iter(states)

    def is_done(state: str) -> bool:
        if state == "failed":
            raise VerificationFailed("it failed")
        return state == "available"

    timeout = how.get("timeout_seconds", 5)
    look = lambda: next(remaining, states[-1])  # noqa: E731
    return waiting.wait_until(
        "db", look, is_done, timeout_seconds=timeout, expected="'available'", shortest_poll_seconds=0.01
    )


def test_ends_as_soon_as_the_state_is_reached() -> None:
    assert wait(["creating", "creating", "available"]) == "available"


def test_ends_at_once_when_the_outcome_is_known_to_be_bad() -> None:
    with pytest.raises(VerificationFailed, match="it failed"):
        wait(["creating", "failed", "available"])


def test_a_timeout_names_the_thing_what_was_seen_and_what_was_expected() -> None:
    with pytest.raises(WaitTimedOut, match=r"db was 'creating' after 0 s, expected 'available'"):
        wait(["creating"], timeout_seconds=0.05)


@pytest.mark.parametrize(("waited", "low", "high"), [(0, 1.8, 2.2), (200, 9, 11), (5000, 27, 33)])
def test_the_next_look_comes_after_a_twentieth_of_the_time_waited(waited: float, low: float, high: float) -> None:
    assert low <= waiting._poll_seconds(waited, 2.0, None) <= high


@pytest.mark.parametrize(
    ("waited", "low", "high"),
    [(0, 1.8, 2.2), (10, 4.5, 5.5), (100, 18, 22), (150, 3.6, 4.4), (190, 3.6, 4.4), (210, 9, 12)],
)
def test_most_looks_are_made_when_it_usually_ends(waited: float, low: float, high: float) -> None:
    assert low <= waiting._poll_seconds(waited, 2.0, 200.0) <= high
