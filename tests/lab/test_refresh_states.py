"""The instance refresh as a pure state machine, driven step by step against a group made of plain data."""

import itertools
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from lab.instance_refresh import advance, cancel, roll_back
from lab.refresh_progress import Group, Member, Refresh

STEP = 10.0
BOOT = 20.0
DRAIN = 30.0
DEFAULTS = {
    "MinHealthyPercentage": 90,
    "InstanceWarmup": 60,
    "SkipMatching": False,
    "AutoRollback": False,
    "ScaleInProtectedInstances": "Wait",
    "StandbyInstances": "Wait",
}


@dataclass
class Simulation:
    """A group that launches, warms up and drains as told; new instances can be made never to become healthy."""

    desired: int
    refresh: Refresh
    broken: bool = False
    launches_fail: bool = False
    alarms: tuple[str, ...] = ()
    now: float = 0.0
    failures: int = 0
    members: list[Member] = field(default_factory=list)
    since: dict[str, float] = field(default_factory=dict)
    fewest_healthy: int = 1000
    most_alive: int = 0
    seen: list[tuple[str, int]] = field(default_factory=list)
    _names: Any = field(default_factory=lambda: (f"i-{n:02}" for n in itertools.count(1)))

    def __post_init__(self) -> None:
        self.members = [Member(next(self._names), "InService", True) for _ in range(self.desired)]

    def group(self) -> Group:
        members = tuple(
            replace(one, in_service_for=self.now - self.since.get(one.instance_id, self.now)) for one in self.members
        )
        return Group(self.now, self.desired, members, self.failures, self.alarms)

    def change(self, name: str, **facts: Any) -> None:
        self.members = [replace(one, **facts) if one.instance_id == name else one for one in self.members]

    def names(self) -> set[str]:
        return {one.instance_id for one in self.members}

    def step(self) -> None:
        was_rolling_back = self.refresh.is_rollback
        orders = advance(self.refresh, self.group())
        if self.refresh.is_rollback and not was_rolling_back:
            self.broken, self.launches_fail, self.failures = False, False, 0
        for name in orders.terminate:
            self.change(name, lifecycle_state="Terminating")
            self.since[name] = self.now
        self._launch(self.desired + orders.surplus)
        healthy = [one for one in self.members if one.is_healthy]
        self.fewest_healthy = min(self.fewest_healthy, len(healthy))
        self.most_alive = max(self.most_alive, len(self._alive()))
        self.seen.append((self.refresh.status, self.refresh.percentage_complete))
        self.now += STEP
        for one in self.members:
            self._age(one)

    def _alive(self) -> list[Member]:
        return [one for one in self.members if one.lifecycle_state in ("Pending", "InService")]

    def _launch(self, wanted: int) -> None:
        for _ in range(wanted - len(self._alive())):
            if self.launches_fail:
                self.failures += 1
                return
            name = next(self._names)
            self.members.append(Member(name, "Pending", False, matches=True))
            self.since[name] = self.now
        for one in self._alive()[: max(0, len(self._alive()) - wanted)]:
            self.change(one.instance_id, lifecycle_state="Terminating")

    def _age(self, one: Member) -> None:
        age = self.now - self.since.get(one.instance_id, self.now)
        if one.lifecycle_state == "Pending" and age >= BOOT:
            self.change(one.instance_id, lifecycle_state="InService", passes_health_checks=not self.broken)
            self.since[one.instance_id] = self.now
        if one.lifecycle_state == "Terminating" and age >= DRAIN:
            self.members = [other for other in self.members if other.instance_id != one.instance_id]

    def run(self, steps: int = 3000) -> str:
        for _ in range(steps):
            if not self.refresh.is_active:
                break
            self.step()
        return self.refresh.status

    def run_until(self, status: str, percentage: int = 0) -> None:
        for _ in range(3000):
            if self.refresh.status == status and self.refresh.percentage_complete >= percentage:
                return
            self.step()
        raise AssertionError(f"never {status}: {self.refresh}")


def start(desired: int, **preferences: Any) -> Simulation:
    wish = {**DEFAULTS, **preferences}
    configuration = {"LaunchTemplate": {"LaunchTemplateName": "app", "Version": "2"}}
    return Simulation(desired, Refresh("r-1", "app", wish, 0.0, configuration, can_roll_back=True))


@pytest.mark.parametrize(
    ("desired", "minimum", "maximum", "fewest_healthy", "most_alive"),
    [
        (1, 90, None, 0, 1),
        (2, 90, None, 1, 2),
        (3, 90, None, 2, 3),
        (5, 90, None, 4, 5),
        (10, 90, None, 9, 10),
        (10, 50, None, 5, 10),
        (100, 90, None, 90, 100),
        (1, 90, 100, 1, 2),
        (1, 100, 200, 1, 2),
        (2, 90, 110, 2, 3),
        (3, 100, 110, 3, 4),
        (5, 100, 150, 5, 7),
        (10, 90, 110, 9, 11),
        (10, 100, 110, 10, 11),
    ],
)
def test_every_instance_is_replaced_within_the_percentages(desired, minimum, maximum, fewest_healthy, most_alive):
    extra = {} if maximum is None else {"MaxHealthyPercentage": maximum}
    world = start(desired, MinHealthyPercentage=minimum, **extra)
    before = world.names()
    assert world.run() == "Successful"
    assert (world.fewest_healthy, world.most_alive) == (fewest_healthy, most_alive)
    assert not world.names() & before
    assert len(world.names()) == desired
    assert (world.refresh.percentage_complete, world.refresh.instances_to_update) == (100, 0)


def test_the_percentage_only_grows_and_counts_warmed_up_instances():
    world = start(3)
    world.run()
    percentages = [percentage for _, percentage in world.seen]
    assert sorted(set(percentages)) == [0, 33, 66, 100]
    assert percentages == sorted(percentages)


def test_it_says_what_it_waits_for():
    world = start(2)
    reasons = set()
    while world.refresh.is_active:
        world.step()
        reasons.add(world.refresh.status_reason)
    assert "Waiting for instances to warm up before continuing. For example: i-03 is warming up." in reasons
    assert any("i-03 has insufficient data to evaluate its health with Amazon EC2." in str(one) for one in reasons)


def test_a_checkpoint_pauses_for_its_delay():
    world = start(10, MinHealthyPercentage=80, CheckpointPercentages=[20, 50], CheckpointDelay=900)
    world.run_until("InProgress", 20)
    reached = world.now
    world.run_until("InProgress", 40)
    assert world.now - reached >= 900
    assert world.run() == "Successful"
    assert world.refresh.percentage_complete == 50
    assert len(world.names() & {f"i-{n:02}" for n in range(1, 11)}) == 5


def test_a_replacement_skips_the_checkpoints_it_overtakes():
    world = start(2, CheckpointPercentages=[10, 40, 100], CheckpointDelay=3600)
    world.run_until("InProgress", 50)
    world.step()
    assert "40 %" in world.refresh.status_reason
    assert world.run() == "Successful"
    assert 3600 < world.now < 2 * 3600


def test_a_checkpoint_counts_when_an_instance_is_launched_before_another_is_terminated():
    world = start(
        4, MinHealthyPercentage=100, MaxHealthyPercentage=150, CheckpointPercentages=[25, 100], CheckpointDelay=600
    )
    world.run_until("InProgress", 50)
    assert world.now > 600
    assert world.run() == "Successful"


def test_new_instances_that_stay_unhealthy_fail_it_after_an_hour():
    world = start(3)
    world.broken = True
    assert world.run() == "Failed"
    assert 3600 < world.now < 4000
    assert "no progress for an hour" in world.refresh.status_reason
    assert world.fewest_healthy == 2


def test_launch_failures_fail_it_early():
    world = start(3)
    world.launches_fail = True
    assert world.run() == "Failed"
    assert world.now < 300


@pytest.mark.parametrize("trouble", ["broken", "launches_fail"])
def test_auto_rollback_puts_the_old_configuration_back(trouble):
    world = start(5, AutoRollback=True)
    world.run_until("InProgress", 40)
    setattr(world, trouble, True)
    updated = world.names() - {f"i-{n:02}" for n in range(1, 6)}
    world.run_until("RollbackInProgress")
    details = world.refresh.rollback_details
    reached = {"broken": (40, 3), "launches_fail": (60, 2)}[trouble]
    assert (details["PercentageCompleteOnRollback"], details["InstancesToUpdateOnRollback"]) == reached
    assert world.run() == "RollbackSuccessful"
    assert not world.names() & updated
    assert len(world.names()) == 5
    assert (world.refresh.percentage_complete, world.refresh.instances_to_update) == (0, 5)


def test_a_rollback_counts_back_to_zero_and_spares_what_was_never_updated():
    world = start(5)
    world.run_until("InProgress", 60)
    spared = {"i-05"}  # i-04 was on its way out already
    roll_back(world.refresh, world.group(), "Manual rollback was initiated.")
    assert world.run() == "RollbackSuccessful"
    percentages = [percentage for status, percentage in world.seen if status.startswith("Rollback")]
    assert percentages == sorted(percentages, reverse=True)
    assert (max(percentages), min(percentages)) == (60, 0)
    assert spared <= world.names()


def test_a_rollback_removes_instances_that_never_became_healthy():
    world = start(1)
    world.broken = True
    for _ in range(12):
        world.step()
    world.broken = False
    roll_back(world.refresh, world.group(), "Manual rollback was initiated.")
    assert world.run() == "RollbackSuccessful"
    assert len(world.names()) == 1


def test_a_rollback_whose_instances_do_not_start_fails():
    world = start(3)
    world.run_until("InProgress", 33)
    roll_back(world.refresh, world.group(), "Manual rollback was initiated.")
    world.launches_fail = True
    assert world.run() == "RollbackFailed"


def test_a_rollback_of_a_pending_refresh_replaces_nothing():
    world = start(3)
    before = world.names()
    roll_back(world.refresh, world.group(), "Manual rollback was initiated.")
    assert world.run() == "RollbackSuccessful"
    assert world.names() == before


def test_an_alarm_fails_it():
    world = start(3)
    world.run_until("InProgress", 33)
    world.alarms = ("errors",)
    world.step()
    assert world.refresh.status == "Failed"
    assert "errors" in world.refresh.status_reason


def test_an_alarm_while_baking_rolls_everything_back():
    world = start(3, BakeTime=600, AutoRollback=True)
    world.run_until("Baking")
    updated = world.names()
    world.alarms = ("errors",)
    world.step()
    assert world.refresh.status == "RollbackInProgress"
    assert world.run() == "RollbackSuccessful"
    assert not world.names() & updated


def test_baking_takes_its_time():
    world = start(1, BakeTime=600)
    world.run_until("Baking")
    baked = world.now
    assert world.run() == "Successful"
    assert 590 <= world.now - baked <= 620


def test_cancelling_waits_for_what_is_under_way_and_undoes_nothing():
    world = start(3)
    world.run_until("InProgress", 33)
    world.step()
    world.step()
    cancel(world.refresh, wait_for_transitions=True)
    assert world.refresh.status == "Cancelling"
    assert world.run() == "Cancelled"
    assert {one.lifecycle_state for one in world.members} == {"InService"}
    assert world.names() & {"i-04", "i-05"}


def test_skip_matching_replaces_only_what_differs():
    world = start(4, SkipMatching=True)
    world.change("i-01", matches=True)
    world.change("i-03", matches=True)
    assert world.run() == "Successful"
    assert {"i-01", "i-03"} <= world.names()
    assert not {"i-02", "i-04"} & world.names()


def test_skip_matching_with_nothing_to_do_succeeds_at_once():
    world = start(2, SkipMatching=True)
    world.change("i-01", matches=True)
    world.change("i-02", matches=True)
    assert world.run(5) == "Successful"
    assert world.refresh.percentage_complete == 100


@pytest.mark.parametrize(
    ("choice", "outcome", "survives"), [("Refresh", "Successful", False), ("Ignore", "Successful", True)]
)
def test_protected_instances(choice, outcome, survives):
    world = start(3, ScaleInProtectedInstances=choice)
    world.change("i-02", protected=True)
    assert world.run() == outcome
    assert ("i-02" in world.names()) is survives


def test_a_protected_instance_holds_it_up_until_the_protection_is_removed():
    world = start(3)
    world.change("i-02", protected=True)
    world.run_until("InProgress", 66)
    for _ in range(20):
        world.step()
    assert "i-02 is protected. Remove instance scale-in protection" in world.refresh.status_reason
    world.change("i-02", protected=False)
    assert world.run() == "Successful"


def test_a_protected_instance_fails_it_after_an_hour():
    world = start(3)
    world.change("i-02", protected=True)
    assert world.run() == "Failed"
    assert world.now > 3600
    assert "i-02 is protected" in world.refresh.status_reason


@pytest.mark.parametrize(
    ("choice", "outcome", "survives"),
    [("Terminate", "Successful", False), ("Ignore", "Successful", True), ("Wait", "Failed", True)],
)
def test_standby_instances(choice, outcome, survives):
    world = start(3, StandbyInstances=choice)
    world.desired = 2
    world.change("i-02", lifecycle_state="Standby")
    assert world.run() == outcome
    assert ("i-02" in world.names()) is survives
    assert len([one for one in world.members if one.lifecycle_state == "InService"]) == 2


def test_instances_launched_by_scaling_count_as_updated():
    world = start(2)
    world.run_until("InProgress", 50)
    world.desired = 4
    assert world.run() == "Successful"
    assert len(world.names()) == 4


def test_an_empty_group_succeeds_at_once():
    world = start(0)
    assert world.run(5) == "Successful"
