"""The arithmetic of a rollout (N18), without AWS."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import PreconditionFailed
from tasks.rollout import ReplacementPlan, plan_rollout

# instances, batch %, batch, batches, max healthy %, highest capacity
TABLE = [
    (1, 20, 1, 1, 200, 2),  # D19: the runbook's 90 % would stop a group of one
    (2, 20, 1, 2, 150, 3),
    (3, 20, 1, 3, 134, 4),
    (5, 20, 1, 5, 120, 6),
    (10, 20, 2, 5, 120, 12),
    (10, 100, 10, 1, 200, 20),
]


@pytest.mark.parametrize(("instances", "percentage", "batch", "batches", "max_healthy", "highest"), TABLE)
def test_replaces_in_batches_without_ever_losing_capacity(
    instances: int, percentage: int, batch: int, batches: int, max_healthy: int, highest: int
) -> None:
    plan = plan_rollout(instances, percentage, warmup_seconds=300, bake_seconds=0)
    assert (plan.batch, plan.batches, plan.max_healthy_percentage) == (batch, batches, max_healthy)
    assert (plan.lowest_capacity, plan.highest_capacity) == (instances, highest)


@given(st.integers(1, 500), st.integers(1, 100), st.integers(0, 3600), st.integers(0, 7200))
def test_every_plan_is_one_that_aws_accepts_and_that_ends(
    instances: int, percentage: int, warmup: int, bake: int
) -> None:
    plan = plan_rollout(instances, percentage, warmup, bake)
    assert 100 < plan.max_healthy_percentage <= 200
    assert plan.max_healthy_percentage - plan.min_healthy_percentage <= 100
    assert plan.highest_capacity >= instances + plan.batch
    assert (plan.batches - 1) * plan.batch < instances <= plan.batches * plan.batch
    assert plan.expected_seconds >= plan.batches * warmup + bake


def test_an_empty_group_is_refused() -> None:
    with pytest.raises(PreconditionFailed, match="expected at least 1"):
        plan_rollout(0, 20, 300, 0)


def test_a_plan_that_differs_in_anything_has_another_hash() -> None:
    rollout = plan_rollout(3, 20, 300, 0)
    plan = ReplacementPlan("dev", "repo@sha256:b", "repo@sha256:a", rollout)
    same = ReplacementPlan("dev", "repo@sha256:b", "repo@sha256:a", plan_rollout(3, 20, 300, 0))
    others = [
        ReplacementPlan("prod", "repo@sha256:b", "repo@sha256:a", rollout),
        ReplacementPlan("dev", "repo@sha256:c", "repo@sha256:a", rollout),
        ReplacementPlan("dev", "repo@sha256:b", "repo@sha256:c", rollout),
        ReplacementPlan("dev", "repo@sha256:b", "repo@sha256:a", plan_rollout(3, 20, 301, 0)),
    ]
    assert plan.hash == same.hash
    assert plan.hash not in {other.hash for other in others}
