"""CloudWatch's alarm mute rules: while one is active its alarms change their state and do nothing."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from moto.cloudwatch.models import CloudWatchBackend
from moto.cloudwatch.responses import CloudWatchResponse

from lab.clock import Clock
from lab.extend import AWSError, Method, around, operation

MOST_ALARMS = 100
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=15)
AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d)\)")
DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?")


@dataclass
class MuteRule:
    """`begins` and `ends` are on the lab's clock: how long it takes until then is scaled like any other time."""

    name: str
    arn: str
    asked: dict[str, Any]
    begins: datetime
    ends: datetime
    updated: datetime

    @property
    def alarms(self) -> list[str]:
        return list(self.asked["MuteTargets"]["AlarmNames"])

    @property
    def status(self) -> str:
        now = datetime.now(UTC)
        return "SCHEDULED" if now < self.begins else "ACTIVE" if now < self.ends else "EXPIRED"


def install(clock: Clock) -> None:
    """Adds to CloudWatchBackend: `mute_rules`, by name; `muted_actions`, the state before and since, by alarm."""

    @around(CloudWatchBackend, "__init__")
    def init(original: Method, self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.mute_rules, self.muted_actions = {}, {}

    @around(CloudWatchBackend, "tag_resource")
    def tag_resource(original: Method, self: Any, arn: str, tags: dict[str, str]) -> None:
        if any(rule.arn == arn for rule in self.mute_rules.values()):
            self.tagger.tag_resource(arn, self.tagger.convert_dict_to_tags_input(tags))
        else:
            original(self, arn, tags)

    operation(CloudWatchResponse, "PutAlarmMuteRule")(lambda response: put(response, clock))
    operation(CloudWatchResponse, "GetAlarmMuteRule")(get)
    operation(CloudWatchResponse, "ListAlarmMuteRules")(list_rules)
    operation(CloudWatchResponse, "DeleteAlarmMuteRule")(delete)


def is_muted(backend: Any, name: str) -> bool:
    return any(rule.status == "ACTIVE" and name in rule.alarms for rule in backend.mute_rules.values())


def mute_action(backend: Any, alarm: Any, before: str) -> None:
    backend.muted_actions[alarm.name] = (before, alarm.state_value)


def take_unmuted(backend: Any) -> list[tuple[Any, str]]:
    """The alarms, each with its state before, that are muted no longer and still in the state they were muted in.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-mute-rules-behaviour.html
    """
    over = [name for name in list(backend.muted_actions) if not is_muted(backend, name)]
    ended = [(backend.alarms.get(name), *backend.muted_actions.pop(name)) for name in over]
    return [(alarm, before) for alarm, before, state in ended if alarm and alarm.state_value == state]


def put(response: Any, clock: Clock) -> dict[str, Any]:
    backend, name = response.cloudwatch_backend, response._get_param("Name")
    asked = {
        key: response._get_param(key)
        for key in ("Description", "Rule", "MuteTargets", "StartDate", "ExpireDate")
        if response._get_param(key) is not None
    }
    asked.setdefault("MuteTargets", {"AlarmNames": []})
    _require_targets(backend, asked["MuteTargets"]["AlarmNames"])
    begins, length = _window(asked["Rule"]["Schedule"])
    now = datetime.now(UTC)
    ends = min(begins + length, _moment(asked.get("ExpireDate")) or datetime.max.replace(tzinfo=UTC))
    arn = f"arn:aws:cloudwatch:{backend.region_name}:{backend.account_id}:alarm-mute-rule:{name}"
    backend.mute_rules[name] = MuteRule(
        name,
        arn,
        asked,
        now + timedelta(seconds=clock.seconds((begins - now).total_seconds())),
        now + timedelta(seconds=clock.seconds((ends - now).total_seconds())),
        now,
    )
    if tags := response._get_param("Tags"):
        backend.tagger.tag_resource(arn, tags)
    return {}


def get(response: Any) -> dict[str, Any]:
    name = response._get_param("AlarmMuteRuleName")
    rule = response.cloudwatch_backend.mute_rules.get(name)
    if rule is None:
        raise AWSError("ResourceNotFoundException", f"Alarm mute rule {name} does not exist")
    return {**_summary(rule), "Name": name, **rule.asked}


def list_rules(response: Any) -> dict[str, Any]:
    alarm, statuses = response._get_param("AlarmName"), response._get_param("Statuses")
    found = [
        _summary(rule)
        for rule in response.cloudwatch_backend.mute_rules.values()
        if (not alarm or alarm in rule.alarms) and (not statuses or rule.status in statuses)
    ]
    return {"AlarmMuteRuleSummaries": found}


def delete(response: Any) -> dict[str, Any]:
    """Its alarms are unmuted at the next step of the control loop."""
    response.cloudwatch_backend.mute_rules.pop(response._get_param("AlarmMuteRuleName"), None)
    return {}


def _summary(rule: MuteRule) -> dict[str, Any]:
    expires = {"ExpireDate": rule.asked["ExpireDate"]} if "ExpireDate" in rule.asked else {}
    return {
        "AlarmMuteRuleArn": rule.arn,
        "Status": rule.status,
        "MuteType": "ONE_TIME",
        "LastUpdatedTimestamp": rule.updated,
        **expires,
    }


def _require_targets(backend: Any, names: list[str]) -> None:
    if len(names) > MOST_ALARMS:
        raise AWSError("ValidationError", f"Member must have length less than or equal to {MOST_ALARMS}")
    if unknown := [name for name in names if name not in backend.alarms]:
        raise AWSError("ValidationError", f"The alarm names must match existing alarms: {', '.join(unknown)}")


def _window(schedule: dict[str, str]) -> tuple[datetime, timedelta]:
    at, duration = AT.fullmatch(schedule["Expression"]), DURATION.fullmatch(schedule["Duration"])
    if at is None:
        raise AWSError("ValidationError", "This lab has one-time mute rules only: at(yyyy-MM-ddThh:mm)")
    days, hours, minutes = (int(one or 0) for one in duration.groups()) if duration else (0, 0, 0)
    length = timedelta(days=days, hours=hours, minutes=minutes)
    if not SHORTEST <= length <= LONGEST:
        raise AWSError("ValidationError", f"Duration {schedule['Duration']} is not between PT1M and P15D")
    zone = ZoneInfo(schedule.get("Timezone") or "UTC")
    return datetime.fromisoformat(at[1]).replace(tzinfo=zone), length


def _moment(asked: Any) -> datetime | None:
    if asked is None or isinstance(asked, datetime):
        return asked.astimezone(UTC) if asked and asked.tzinfo else asked and asked.replace(tzinfo=UTC)
    if isinstance(asked, int | float):
        return datetime.fromtimestamp(asked, UTC)
    return datetime.fromisoformat(str(asked))
