"""Rules for what only looks - metrics, alarms, costs, reports - and would see the wrong thing."""

import re
from collections.abc import Iterator

from docs.runbook.botocore_models import faults
from docs.runbook.rules import Runbook, Seen, rule

METRICS = "cloudwatch get-metric-statistics"
MILLISECONDS = re.compile(r"`?TargetResponseTime`?[^|]*?\d+ ?ms")
SLEEP = re.compile(r"\s*sleep \d+")
ASKS = ("get-query-results", "curl")


@rule("D06", "get-metric-data, or two calls")
def two_kinds_of_statistics_at_once(runbook: Runbook) -> Iterator[Seen]:
    for command in runbook.calls(METRICS):
        if {"statistics", "extended-statistics"} <= set(command.options):
            yield command.line, "the API takes --statistics or --extended-statistics, never both"


@rule("D08", "read it where the API has it")
def a_command_that_the_cli_or_its_answer_does_not_know(runbook: Runbook) -> Iterator[Seen]:
    for command in runbook.commands:
        for fault in faults(command):
            yield command.line, fault


@rule("D09", "poll generate-credential-report until COMPLETE, then --query Content")
def several_fields_are_decoded_as_one(runbook: Runbook) -> Iterator[Seen]:
    for command in runbook.calls("iam get-credential-report"):
        if "base64" in command.rest and "query" not in command.options:
            yield command.line, "as text the answer has three fields, and base64 decodes all of them"


@rule("D14", "thresholds in seconds: 0.5, not 500")
def a_metric_in_seconds_has_a_threshold_in_milliseconds(runbook: Runbook) -> Iterator[Seen]:
    for line in runbook.lines:
        if not line.block and MILLISECONDS.search(line.text):
            yield line, "TargetResponseTime is in seconds: an alarm at 500 never fires"


@rule("D15", "an alarm on HTTPCode_ELB_5XX_Count too, and one on healthy hosts")
def an_outage_without_targets_is_not_counted(runbook: Runbook) -> Iterator[Seen]:
    covered = any(True for _ in runbook.matching("ELB_5XX"))
    alarms = [line for line in runbook.matching("Target_5XX") if not line.block and ">" in line.text]
    if not covered:
        yield from (
            (line, "with no healthy target the load balancer answers 503, which no target counts") for line in alarms
        )


@rule("D17", "an alarm mute rule with an end; no alarm of a scaling policy in it")
def alarms_stay_off_when_nobody_comes_back(runbook: Runbook) -> Iterator[Seen]:
    for command in runbook.calls("cloudwatch disable-alarm-actions"):
        yield command.line, "nothing switches these actions on again when the second half does not run"


@rule("D20", "ask for the status until it is final, with a deadline")
def a_sleep_is_no_condition(runbook: Runbook) -> Iterator[Seen]:
    for line in runbook.lines:
        after = [one.text for one in runbook.lines if line.block == one.block and one.number > line.number]
        if line.block and SLEEP.match(line.text) and any(word in text for text in after for word in ASKS):
            yield line, f"after `{line.text.strip()}` it is finished, or it is not"


@rule("D24", "the closed month against the one before, and the month to date apart")
def two_halves_of_a_month_are_no_month(runbook: Runbook) -> Iterator[Seen]:
    for command in runbook.calls("ce get-cost-and-usage"):
        period = command.options.get("time-period", "")
        if command.options.get("granularity") == "MONTHLY" and "month ago" in period and "-01" not in period:
            yield command.line, "from a day in one month to a day in the next: two partial months"


@rule("D27", "pin its version, and name the provider: prowler aws")
def an_unpinned_tool_of_the_day(runbook: Runbook) -> Iterator[Seen]:
    for line in runbook.matching("docker run", "prowler/prowler"):
        if not re.search(r"prowler/prowler[:@]\S+ aws\b", line.text):
            yield line, "today's Prowler is called otherwise than the one that this was written for"
