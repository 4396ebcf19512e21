"""Elastic Load Balancing: who gets traffic, and why not."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from tasks import aws
from tasks.environment import Environment
from tasks.errors import PreconditionFailed
from tasks.kinds import probe
from tasks.waiting import wait_until

HEALTHY_SECONDS = 900


@dataclass(frozen=True)
class Target:
    """An instance behind the load balancer, in AWS's words."""

    id: str
    state: str
    reason: str

    def __str__(self) -> str:
        return f"{self.id} {self.state}" + (f" ({self.reason})" if self.reason else "")


@probe
def describe_targets(environment: Environment) -> tuple[Target, ...]:
    return _targets(environment)


@probe
def wait_until_targets_healthy(environment: Environment, count: int) -> tuple[Target, ...]:
    """At least `count` targets are healthy and none is anything but healthy or on its way out."""
    return wait_until(
        f"target group of {environment}",
        lambda: _targets(environment),
        lambda targets: _states(targets)["healthy"] >= count and set(_states(targets)) <= {"healthy", "draining"},
        timeout_seconds=HEALTHY_SECONDS,
        expected=f"{count} healthy targets",
    )


@probe
def describe_load_balancer(environment: Environment) -> dict[str, Any]:
    """The load balancer's state and its listeners' ports."""
    elbv2 = aws.client("elbv2")
    found = elbv2.describe_load_balancers(LoadBalancerArns=[environment.alb_arn])["LoadBalancers"]
    if not found:
        raise PreconditionFailed(f"there is no load balancer {environment.alb_arn}, expected one")
    listeners = elbv2.describe_listeners(LoadBalancerArn=environment.alb_arn)["Listeners"]
    return {"state": found[0]["State"]["Code"], "ports": sorted(listener["Port"] for listener in listeners)}


def count_healthy(environment: Environment) -> int:
    return _states(_targets(environment))["healthy"]


def _targets(environment: Environment) -> tuple[Target, ...]:
    found = aws.client("elbv2").describe_target_health(TargetGroupArn=environment.target_group_arn)
    return tuple(
        Target(t["Target"]["Id"], t["TargetHealth"]["State"], t["TargetHealth"].get("Reason", ""))
        for t in found["TargetHealthDescriptions"]
    )


def _states(targets: tuple[Target, ...]) -> Counter[str]:
    return Counter(target.state for target in targets)
