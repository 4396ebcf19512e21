"""The arithmetic of MinHealthyPercentage and MaxHealthyPercentage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.replacement import Capacity, Step, bounds, next_step

PERCENTAGES = st.one_of(
    st.tuples(st.integers(0, 100), st.none()),
    st.integers(0, 100).flatmap(lambda low: st.tuples(st.just(low), st.integers(100, min(200, low + 100)))),
)


@pytest.mark.parametrize(
    ("desired", "percentages", "terminate_first", "launch_first"),
    [
        # The runbook's 90 %, nothing said about the maximum: one at a time, even where it breaks the minimum.
        (1, (90, None), 1, 0),
        (2, (90, None), 1, 0),
        (3, (90, None), 1, 0),
        (5, (90, None), 1, 0),
        (10, (90, None), 1, 0),
        (20, (90, None), 2, 0),
        (10, (100, None), 1, 0),
        (10, (80, None), 2, 0),
        (3, (50, None), 1, 0),
        (10, (0, None), 10, 0),
        # An explicit maximum that leaves no room launches one first.
        (1, (90, 100), 0, 1),
        (1, (90, 110), 0, 1),
        (1, (100, 200), 0, 1),
        (2, (100, 110), 0, 1),
        (3, (90, 120), 0, 1),
        (10, (100, 100), 0, 1),
        (10, (100, 110), 0, 1),
        (10, (100, 150), 0, 5),
        (10, (90, 100), 1, 0),
        (10, (90, 110), 1, 1),
        (4, (50, 150), 2, 2),
        (0, (90, None), 0, 0),
        (0, (90, 110), 0, 0),
    ],
)
def test_how_many_are_terminated_and_how_many_launched_first(desired, percentages, terminate_first, launch_first):
    limits = bounds(desired, *percentages)
    assert (limits.terminate_first, limits.launch_first) == (terminate_first, launch_first)


@given(st.integers(1, 200), PERCENTAGES)
def test_a_replacement_can_always_move(desired, percentages):
    assert bounds(desired, *percentages).batch >= 1


@given(st.integers(1, 200), PERCENTAGES)
def test_an_explicit_maximum_never_breaks_the_minimum(desired, percentages):
    low, high = percentages
    limits = bounds(desired, low, high)
    if high is not None:
        assert limits.floor * 100 >= desired * low
    else:
        assert limits.ceiling == desired


@given(st.integers(1, 200), PERCENTAGES)
def test_the_maximum_is_exceeded_by_one_at_most_and_only_where_nothing_else_is_possible(desired, percentages):
    low, high = percentages
    limits = bounds(desired, low, high)
    if high is not None and limits.ceiling * 100 > desired * high:
        assert limits.ceiling == desired + 1
        assert bounds(desired, low, None).terminate_first == 1


@given(st.integers(1, 60), PERCENTAGES)
def test_every_instance_is_replaced_within_the_bounds(desired, percentages):
    limits = bounds(desired, *percentages)
    old, ready_new, warming = desired, 0, 0
    for _ in range(3 * desired + 3):
        step = next_step(limits, Capacity(desired, old + ready_new, old, budget=old))
        old -= step.terminate
        assert old + ready_new >= limits.floor
        warming += max(0, desired + step.surplus - (old + ready_new + warming))
        assert old + ready_new + warming <= limits.ceiling
        ready_new, warming = ready_new + warming, 0
        if old == 0:
            break
    assert (old, ready_new) == (0, desired)


def test_a_checkpoint_stops_the_replacement():
    limits = bounds(10, 80, None)
    assert next_step(limits, Capacity(desired=10, ready=10, old=6, budget=1)) == Step(terminate=1, surplus=0)
    assert next_step(limits, Capacity(desired=10, ready=10, old=5, budget=0)) == Step(terminate=0, surplus=0)


def test_an_unhealthy_group_is_not_made_smaller():
    limits = bounds(10, 90, None)
    assert next_step(limits, Capacity(desired=10, ready=8, old=10, budget=10)) == Step(terminate=0, surplus=0)
