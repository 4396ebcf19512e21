"""The step of the control loop that evaluates alarms, and what a change of state means."""

import json
import logging
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.core.utils import utcnow

from lab import alarm_actions, alarm_mutes
from lab.alarm_actions import stamp
from lab.alarm_datapoints import condition_of, datapoints, has_too_few_samples, period_of
from lab.alarm_evaluation import Datapoint, Verdict, evaluate
from lab.alarm_history import remember
from lab.alarm_rule import parse
from lab.extend import AWSError
from lab.lab import Lab

log = logging.getLogger("lab")


class AlarmStates:
    """Adds to moto's Alarm: `set_by_hand`, until the next evaluation; `state_transitioned_timestamp`."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._minute = 0

    def tick(self) -> None:
        """Metric alarms once a minute of AWS's; composite ones as soon as what they look at has changed."""
        is_new_minute, self._minute = self._minute != self.lab.minutes.count, self.lab.minutes.count
        for _, _, backend in cloudwatch_backends.iter_backends():
            alarms = list(backend.alarms.values())
            for alarm, before in alarm_mutes.take_unmuted(backend):
                alarm_actions.act(self.lab, backend, alarm, before)
            for alarm in alarms if is_new_minute else []:
                if not alarm.rule:
                    self._evaluate(backend, alarm)
            for alarm in alarms:
                if alarm.rule:
                    self._follow_rule(backend, alarm)

    def _evaluate(self, backend: Any, alarm: Any) -> None:
        try:
            recent = datapoints(alarm, backend.arrivals)
        except AWSError:  # math that these numbers don't allow: AWS's EVALUATION_ERROR, the state stays
            log.exception("alarm %s", alarm.name)
            return
        if has_too_few_samples(alarm, recent):
            return
        verdict = evaluate(condition_of(alarm), recent)
        if verdict and (verdict.state != alarm.state_value or alarm.set_by_hand):
            self.change(backend, alarm, verdict.state, verdict.reason, json.dumps(_reason_data(alarm, verdict)))

    def _follow_rule(self, backend: Any, alarm: Any) -> None:
        by_name = backend.alarms | {one.alarm_arn: one for one in backend.alarms.values()}
        rule = parse(alarm.rule)
        children = [by_name[name] for name in dict.fromkeys(rule.names) if name in by_name]
        known = {name: by_name[name].state_value for name in rule.names if name in by_name}
        state = "ALARM" if rule.holds(lambda name: known.get(name, "INSUFFICIENT_DATA")) else "OK"
        if state == alarm.state_value and not alarm.set_by_hand:
            return
        told, reason = children, f"{alarm.alarm_arn} was created and its alarm rule evaluates to {state}"
        if alarm.state_value != "INSUFFICIENT_DATA" and children:
            last = max(children, key=lambda one: one.state_transitioned_timestamp)
            when = f"{last.state_transitioned_timestamp:%A %d %B, %Y %H:%M:%S} UTC"
            told, reason = [last], f"{last.alarm_arn} transitioned to {last.state_value} at {when}"
        triggering = [{"arn": one.alarm_arn, "state": _triggering_state(one)} for one in told]
        self.change(backend, alarm, state, reason, json.dumps({"triggeringAlarms": triggering}))

    def change(
        self, backend: Any, alarm: Any, state: str, reason: str, data: str | None, by_hand: bool = False
    ) -> None:
        """Give an alarm a state, tell its history, and act when it is another one than before."""
        before = _told(alarm)
        alarm.state_value, alarm.state_reason, alarm.state_reason_data = state, reason, data or ""
        alarm.state_updated_timestamp, alarm.set_by_hand = utcnow(), by_hand
        if before["stateValue"] == state:
            return
        alarm.state_transitioned_timestamp = alarm.state_updated_timestamp
        summary = f"Alarm updated from {before['stateValue']} to {state}"
        remember(backend, alarm, "StateUpdate", summary, {"oldState": before, "newState": _told(alarm)})
        alarm_actions.act(self.lab, backend, alarm, before["stateValue"])


def _told(alarm: Any) -> dict[str, Any]:
    told = {"stateValue": alarm.state_value, "stateReason": alarm.state_reason}
    if alarm.state_reason_data not in (None, "", "{}"):
        told["stateReasonData"] = json.loads(alarm.state_reason_data)
    return told


def _triggering_state(alarm: Any) -> dict[str, str]:
    return {"value": alarm.state_value, "timestamp": stamp(alarm.state_transitioned_timestamp)}


def _reason_data(alarm: Any, verdict: Verdict) -> dict[str, Any]:
    existing = [point for point in verdict.evaluated if point.value is not None]
    data = {
        "version": "1.0",
        "queryDate": stamp(),
        "startDate": stamp(existing[-1].begins) if existing else None,
        "unit": alarm.unit,
        "statistic": alarm.extended_statistic or alarm.statistic,
        "period": period_of(alarm),
        "recentDatapoints": [point.value for point in reversed(existing)],
        "threshold": float(alarm.threshold),
        "evaluatedDatapoints": [_evaluated(point) for point in verdict.evaluated],
    }
    return {name: value for name, value in data.items() if value is not None}


def _evaluated(point: Datapoint) -> dict[str, Any]:
    told = {"timestamp": stamp(point.begins), "sampleCount": point.sample_count, "value": point.value}
    return {name: value for name, value in told.items() if value is not None}
