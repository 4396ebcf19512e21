"""CloudWatch's alarms in the API: their first state, SetAlarmState, composite ones, and what is refused."""

import json
from typing import Any

from moto.cloudwatch.exceptions import InvalidFormat, ResourceNotFound
from moto.cloudwatch.models import Alarm, CloudWatchBackend
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult

from lab import alarm_history, alarm_mutes
from lab.alarm_evaluation import COMPARISONS
from lab.alarm_history import remember
from lab.alarm_rule import STATES, BadRule, parse
from lab.alarm_states import AlarmStates
from lab.extend import AWSError, Method, around, operation
from lab.metric_math import TimeSeries, evaluate
from lab.metric_series import STATISTICS, is_percentile, is_statistic

STATE_FIELDS = (
    "state_value",
    "state_reason",
    "state_reason_data",
    "state_updated_timestamp",
    "state_transitioned_timestamp",
    "set_by_hand",
)


def install(states: AlarmStates) -> None:
    alarm_history.install()
    alarm_mutes.install(states.lab.clock)

    @around(Alarm, "__init__")
    def init(original: Method, self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.state_value, self.set_by_hand = "INSUFFICIENT_DATA", False
        self.state_transitioned_timestamp = self.state_updated_timestamp

    def set_alarm_state(self: Any, alarm_name: str, reason: str, reason_data: str | None, state_value: str) -> None:
        """Until the next evaluation."""
        _require_settable(self, alarm_name, reason_data, state_value)
        states.change(self, self.alarms[alarm_name], state_value, reason, reason_data, by_hand=True)

    CloudWatchBackend.set_alarm_state = set_alarm_state
    Alarm.alarm_rule = property(lambda self: self.rule)
    around(CloudWatchBackend, "put_metric_alarm")(put_metric_alarm)
    operation(CloudWatchResponse, "PutCompositeAlarm")(put_composite_alarm)
    around(CloudWatchResponse, "put_metric_alarm")(require_evaluable)
    around(CloudWatchResponse, "describe_alarms")(describe_alarms)


def _require_settable(backend: Any, name: str, reason_data: str | None, state: str) -> None:
    try:
        json.loads(reason_data or "{}")
    except ValueError:
        raise InvalidFormat("Unknown") from None
    if name not in backend.alarms:
        raise ResourceNotFound
    if state not in STATES:
        words = f"Member must satisfy enum value set: [{', '.join(STATES)}]"
        raise AWSError(
            "ValidationError",
            f"1 validation error detected: Value '{state}' at 'stateValue' failed to satisfy constraint: {words}",
        )


def describe_alarms(original: Method, self: Any) -> Any:
    answer = original(self).result
    wanted = self._get_param("AlarmTypes") or ["MetricAlarm"]
    kept = {"MetricAlarms": "MetricAlarm", "CompositeAlarms": "CompositeAlarm"}
    return ActionResult(
        {key: [a for a in answer[key] if _matches(self, a)] if kind in wanted else [] for key, kind in kept.items()}
    )


def _matches(self: Any, alarm: Any) -> bool:
    """Every filter of the request at once; moto takes the first one that is given."""
    names, state = self._get_param("AlarmNames") or [alarm.name], self._get_param("StateValue") or alarm.state_value
    actions, prefix = self._get_param("ActionPrefix") or "", self._get_param("AlarmNamePrefix") or ""
    acts = [*(alarm.alarm_actions or []), *(alarm.ok_actions or []), *(alarm.insufficient_data_actions or [])]
    fits_action = not actions or any(one.startswith(actions) for one in acts)
    return alarm.name in names and alarm.state_value == state and alarm.name.startswith(prefix) and fits_action


def put_metric_alarm(original: Method, self: Any, name: str, **settings: Any) -> Any:
    """An alarm that is updated keeps its state."""
    before = self.alarms.get(name)
    alarm = original(self, name=name, **settings)
    for one in STATE_FIELDS if before else ():
        setattr(alarm, one, getattr(before, one))
    remember(self, alarm, "ConfigurationUpdate", f'Alarm "{name}" {"updated" if before else "created"}', {})
    return alarm


def require_evaluable(original: Method, response: Any) -> Any:
    """What could not be evaluated is refused at once: an alarm that stays silent is worse than none."""
    if not response._get_param("AlarmRule"):
        comparison, percentile = response._get_param("ComparisonOperator"), response._get_param("ExtendedStatistic")
        if comparison not in COMPARISONS:
            words = f"ComparisonOperator '{comparison}' needs anomaly detection, which this lab lacks: use one of"
            raise AWSError("ValidationError", f"{words} {', '.join(COMPARISONS)}")
        if percentile and not is_percentile(percentile):
            words = f"The value {percentile} for parameter ExtendedStatistic is not supported"
            raise AWSError("InvalidParameterValue", f"{words} by this lab: use a percentile such as p95")
        _require_calculable(response._get_param("Metrics") or [])
    return original(response)


def _require_calculable(queries: list[dict[str, Any]]) -> None:
    """Each query once, without data."""
    found: dict[str, TimeSeries] = {}
    for query in (one for one in queries if "MetricStat" in one):
        if not is_statistic(query["MetricStat"]["Stat"]):
            words = f"Stat '{query['MetricStat']['Stat']}' of query '{query['Id']}' is not offered by this lab"
            raise AWSError("ValidationError", f"{words}: use a percentile or one of {', '.join(STATISTICS)}")
        found[query["Id"]] = {}
    for query in (one for one in queries if "Expression" in one):
        found[query["Id"]] = evaluate(query["Expression"], found)


def put_composite_alarm(response: Any) -> Any:
    if response._get_param("ActionsSuppressor"):
        raise AWSError("ValidationError", "This lab has no ActionsSuppressor: put the condition into the AlarmRule")
    try:
        rule = parse(response._get_param("AlarmRule"))
    except BadRule as error:
        raise AWSError("ValidationError", f"AlarmRule is not valid: {error}") from error
    known = response.cloudwatch_backend.alarms
    arns = {alarm.alarm_arn for alarm in known.values()}
    if missing := [name for name in rule.names if name not in known and name not in arns]:
        raise AWSError("ValidationError", f"Could not find alarm(s): [{', '.join(missing)}]")
    return response.put_metric_alarm()
