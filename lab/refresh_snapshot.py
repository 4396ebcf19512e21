"""A real group as the state machine of an instance refresh sees it."""

from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.core.exceptions import ServiceException

from lab.auto_scaling_group import is_suspended
from lab.group_health import TargetStates, ec2_state, passes_all, uses_load_balancer
from lab.instance_launch import describe_version, template_version
from lab.refresh_progress import Group, Member, Refresh


def alarms_of(group: Any) -> dict[str, Any]:
    alarms: dict[str, Any] = cloudwatch_backends[group.account_id][group.region].alarms
    return alarms


def snapshot(group: Any, refresh: Refresh, now: float) -> Group:
    targets, running = TargetStates(group), _current_configuration(group)
    watched = (refresh.preferences.get("AlarmSpecification") or {}).get("Alarms") or []
    alarms = alarms_of(group)
    return Group(
        now=now,
        desired=group.desired_capacity,
        members=tuple(_member(group, one, targets, running, now) for one in group.instance_states),
        launch_failures=group.facts.launch_failures,
        alarms=tuple(name for name in watched if name in alarms and alarms[name].state_value == "ALARM"),
        suspended=is_suspended(group, "InstanceRefresh", "Launch", "Terminate"),
    )


def _current_configuration(group: Any) -> dict[str, str] | None:
    """What an instance runs that was launched now; resolved each time, as $Latest and $Default move."""
    if group.ec2_launch_template is None and group.facts.rollout is None:
        return None
    try:
        return describe_version(template_version(group))
    except ServiceException:
        return None


def _member(group: Any, state: Any, targets: TargetStates, running: dict[str, str] | None, now: float) -> Member:
    by_load_balancer = uses_load_balancer(group) and ec2_state(group, state) == "running"
    return Member(
        instance_id=state.instance_id,
        lifecycle_state=state.lifecycle_state,
        passes_health_checks=passes_all(group, state, targets),
        in_service_for=now - state.in_service_since if state.lifecycle_state == "InService" else 0.0,
        protected=bool(state.protected_from_scale_in),
        matches=running is not None and state.launched_from == running,
        missing_health="Elastic Load Balancing" if by_load_balancer else "Amazon EC2",
    )
