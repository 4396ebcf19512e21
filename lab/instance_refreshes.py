"""Instance refreshes in the API, and what they make of real groups."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from moto.autoscaling.models import autoscaling_backends
from moto.autoscaling.responses import AutoScalingResponse

from lab.auto_scaling_group import aws_seconds, begin_termination
from lab.autoscaling_requests import require_group, require_launch_template
from lab.extend import AWSError, operation
from lab.instance_refresh import CAN_BE_CANCELLED, CAN_BE_ROLLED_BACK, advance, cancel, roll_back
from lab.lab import Lab
from lab.refresh_preferences import complete, require_valid
from lab.refresh_progress import Refresh
from lab.refresh_snapshot import alarms_of, snapshot
from lab.scaling_activities import now_utc, read_token

PAGE, LARGEST_PAGE = 50, 100
TAKEN_OUT = "an instance was taken out of service in response to an instance refresh."
IRREVERSIBLE = (
    "The request failed because a desired configuration was not found or an incompatible launch template (uses a"
    " Systems Manager parameter instead of an AMI ID) or launch template version ($Latest or $Default) is present"
    " on the Auto Scaling group."
)


@dataclass
class Record:
    """A refresh as the API tells of it. The newest is the first of `group.facts.refreshes`."""

    refresh: Refresh
    start_time: datetime = field(default_factory=now_utc)
    end_time: datetime | None = None
    rollback_start_time: datetime | None = None

    def as_answer(self) -> dict[str, Any]:
        one = self.refresh
        details = one.rollback_details and {**one.rollback_details, "RollbackStartTime": self.rollback_start_time}
        answer = {
            "InstanceRefreshId": one.instance_refresh_id,
            "AutoScalingGroupName": one.auto_scaling_group_name,
            "Status": one.status,
            "StatusReason": one.status_reason,
            "StartTime": self.start_time,
            "EndTime": self.end_time,
            "PercentageComplete": one.percentage_complete,
            "InstancesToUpdate": one.instances_to_update,
            "Preferences": one.preferences,
            "DesiredConfiguration": one.desired_configuration,
            "RollbackDetails": details,
            "Strategy": "Rolling",
        }
        return {name: value for name, value in answer.items() if value is not None}


class InstanceRefreshes:
    """A part of its own, visited before AutoScaling: what it orders is carried out in the same round."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def install(self) -> None:
        operation(AutoScalingResponse, "StartInstanceRefresh")(self.start)
        operation(AutoScalingResponse, "CancelInstanceRefresh")(self.cancel)
        operation(AutoScalingResponse, "RollbackInstanceRefresh")(self.roll_back)
        operation(AutoScalingResponse, "DescribeInstanceRefreshes")(_describe)

    def _now(self) -> float:
        return aws_seconds(self.lab.clock)

    def start(self, response: Any) -> dict[str, Any]:
        group, asked = require_group(response), dict(response._get_param("Preferences") or {})
        _require_startable(response, group)
        configuration = response._get_param("DesiredConfiguration")
        if configuration:
            _require_configuration(group, configuration)
        wish = complete(asked, group)
        require_valid(asked, wish, alarms_of(group).keys())
        can_roll_back = bool(configuration) and _can_go_back(group)
        if wish["AutoRollback"] and not can_roll_back:
            raise AWSError("ValidationError", "AutoRollback is not possible. " + IRREVERSIBLE)
        name = group.name
        refresh = Refresh(str(uuid.uuid4()), name, wish, self._now(), configuration, can_roll_back)
        group.facts.refreshes.insert(0, Record(refresh))
        advance(refresh, snapshot(group, refresh, self._now()))
        _forget_failures(group)
        _follow(group, refresh)
        return {"InstanceRefreshId": refresh.instance_refresh_id}

    def cancel(self, response: Any) -> dict[str, Any]:
        group = require_group(response)
        record = _require_active(group, CAN_BE_CANCELLED)
        cancel(record.refresh, response._get_bool_param("WaitForTransitioningInstances", True))
        self._settle(group, record)
        return {"InstanceRefreshId": record.refresh.instance_refresh_id}

    def roll_back(self, response: Any) -> dict[str, Any]:
        group = require_group(response)
        record = _require_active(group, CAN_BE_ROLLED_BACK)
        if not record.refresh.can_roll_back:
            raise AWSError("IrreversibleInstanceRefresh", IRREVERSIBLE)
        seen = snapshot(group, record.refresh, self._now())
        roll_back(record.refresh, seen, "Manual rollback was initiated by a user request.")
        self._settle(group, record)
        return {"InstanceRefreshId": record.refresh.instance_refresh_id}

    def tick(self) -> None:
        for _, _, backend in autoscaling_backends.iter_backends():
            for group in backend.autoscaling_groups.values():
                record = next(iter(group.facts.refreshes), None)
                if record and record.refresh.is_active:
                    self._advance(group, record)

    def _advance(self, group: Any, record: Record) -> None:
        refresh, now = record.refresh, self._now()
        if group.facts.deleting:
            refresh.end("Cancelled", "The Auto Scaling group is being deleted.")
            self._settle(group, record)
            return
        orders = advance(refresh, snapshot(group, refresh, now))
        for state in list(group.instance_states):
            if state.instance_id in orders.terminate and state.lifecycle_state != "Terminating":
                begin_termination(group, state, TAKEN_OUT, now)
        self._settle(group, record)

    def _settle(self, group: Any, record: Record) -> None:
        """Write down what a change of the status means for the group and the record."""
        refresh = record.refresh
        if refresh.is_rollback and record.rollback_start_time is None:
            record.rollback_start_time = now_utc()
            _forget_failures(group)
        if not refresh.is_active and record.end_time is None:
            record.end_time = now_utc()
            if refresh.status == "Successful" and refresh.desired_configuration:
                _adopt(group, refresh.desired_configuration)
        _follow(group, refresh)

    def status(self) -> dict[str, Any]:
        return {
            name: f"{record.refresh.status} {record.refresh.percentage_complete} %"
            for _, _, backend in autoscaling_backends.iter_backends()
            for name, group in backend.autoscaling_groups.items()
            for record in group.facts.refreshes[:1]
        }

    def reset(self) -> None:
        """All state is moto's."""


def _describe(response: Any) -> dict[str, Any]:
    group, ids = require_group(response), response._get_param("InstanceRefreshIds", [])
    start = read_token(response._get_param("NextToken"))
    limit = min(response._get_int_param("MaxRecords", PAGE), LARGEST_PAGE)
    found = [one for one in group.facts.refreshes if not ids or one.refresh.instance_refresh_id in ids]
    page: dict[str, Any] = {"InstanceRefreshes": [one.as_answer() for one in found[start : start + limit]]}
    if len(found) > start + limit:
        page["NextToken"] = str(start + limit)
    return page


def _require_startable(response: Any, group: Any) -> None:
    if group.facts.refreshes and group.facts.refreshes[0].refresh.is_active:
        words = "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh."
        raise AWSError("InstanceRefreshInProgress", words)
    if group.facts.deleting:
        raise AWSError("ValidationError", f"The Auto Scaling group {group.name} is being deleted.")
    if response._get_param("Strategy") not in (None, "Rolling"):
        raise AWSError("ValidationError", "This lab replaces instances by the strategy Rolling only.")


def _require_active(group: Any, statuses: tuple[str, ...]) -> Record:
    record: Record | None = next(iter(group.facts.refreshes), None)
    if record is None or record.refresh.status not in statuses:
        words = f"No in progress or pending Instance Refresh found for Auto Scaling group {group.name}"
        raise AWSError("ActiveInstanceRefreshNotFound", words)
    return record


def _template_of(configuration: dict[str, Any]) -> dict[str, Any]:
    if template := configuration.get("LaunchTemplate"):
        return dict(template)
    policy = configuration.get("MixedInstancesPolicy") or {}
    return dict((policy.get("LaunchTemplate") or {}).get("LaunchTemplateSpecification") or {})


def _require_configuration(group: Any, configuration: dict[str, Any]) -> None:
    template = _template_of(configuration)
    if not (template.get("LaunchTemplateId") or template.get("LaunchTemplateName")):
        words = "DesiredConfiguration must contain either a LaunchTemplate or a MixedInstancesPolicy."
        raise AWSError("ValidationError", words)
    require_launch_template(group.ec2_backend, template)


def _can_go_back(group: Any) -> bool:
    """Whether what the group is set to now will still mean the same after the refresh."""
    if group.ec2_launch_template is None or not str(group.launch_template_version).isdigit():
        return False
    image_id = group.ec2_launch_template.get_version(group.launch_template_version).image_id
    return not str(image_id).startswith("resolve:ssm:")


def _follow(group: Any, refresh: Refresh) -> None:
    """What the group must know to launch: how many, and from which template."""
    configuration = refresh.desired_configuration
    rolls_out = refresh.status in CAN_BE_ROLLED_BACK and configuration is not None
    group.facts.rollout = _template_of(configuration) if rolls_out and configuration else None
    group.facts.surplus = refresh.surplus
    group.facts.replacing = refresh.is_active


def _forget_failures(group: Any) -> None:
    group.facts.launch_failures, group.facts.next_launch_at = 0, 0.0


def _adopt(group: Any, configuration: dict[str, Any]) -> None:
    """The group takes over the desired configuration: only now, that the refresh has succeeded."""
    template = _template_of(configuration)
    if template.get("LaunchTemplateId"):
        template.pop("LaunchTemplateName", None)
    group.launch_config = group.launch_configuration_name = None
    group.mixed_instances_policy = configuration.get("MixedInstancesPolicy")
    group._set_launch_configuration(None, template, None)
