"""Every component of an environment, looked at once: what `make health-check ENV=` asks (P65)."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from tasks import acm, application, autoscaling, aws, backup_replica, elbv2, rds, rds_events, secretsmanager
from tasks import database_recovery as recovery
from tasks.environment import Environment
from tasks.errors import VerificationFailed
from tasks.finding import Attention, Finding, bad, judge
from tasks.kinds import probe
from tasks.waiting import wait_until

EXPIRY_WARNING_DAYS = 30
WELL_SECONDS = 1200  # the slowest alarms look at ten minutes
EXPECTED_PORTS = [80, 443]
EVENTS_SHOWN = 3


@probe
def check_component(name: str, environment: Environment) -> Finding:
    return judge(name, lambda: COMPONENTS[name](environment))


@probe
def wait_until_well(environment: Environment) -> list[Finding]:
    """Every component, as soon as none is bad: an alarm needs some minutes to see that it is over.

    Raises:
        WaitTimedOut: with what was still bad.
    """
    return wait_until(
        str(environment),
        lambda: [judge(name, partial(look, environment)) for name, look in COMPONENTS.items()],
        lambda findings: not bad(findings),
        timeout_seconds=WELL_SECONDS,
        expected="no component to fail or be unknown",
    )


def _load_balancer(environment: Environment) -> str:
    found = elbv2.describe_load_balancer.fn(environment)
    if found["state"] != "active" or found["ports"] != EXPECTED_PORTS:
        raise VerificationFailed(
            f"{found['state']}, listening on {found['ports']}, expected active on {EXPECTED_PORTS}"
        )
    return f"active, listening on {found['ports']}"


def _targets(environment: Environment) -> str:
    targets = elbv2.describe_targets.fn(environment)
    sick = [str(t) for t in targets if t.state not in ("healthy", "draining")]
    healthy = sum(target.state == "healthy" for target in targets)
    if sick or not healthy:
        raise VerificationFailed(f"{healthy} healthy, not healthy: {', '.join(sick) or 'none'}; expected all healthy")
    return f"{healthy} healthy"


def _group(environment: Environment) -> str:
    group = autoscaling.describe_group.fn(environment.asg_name)
    seen = f"{len(group.in_service)} of {group.desired_capacity} in service ({group.min_size}-{group.max_size})"
    if len(group.in_service) < group.desired_capacity:
        raise VerificationFailed(f"{seen}, expected all")
    if mixed := {i.template_version for i in group.instances} - {group.template_version}:
        raise Attention(f"{seen}, some on template version {sorted(mixed)}, expected {group.template_version}")
    if group.desired_capacity == group.max_size and group.max_size > group.min_size:
        raise Attention(f"{seen}: at its maximum, it cannot scale out")
    return seen


def _database(environment: Environment) -> str:
    db = rds.describe_db_instance.fn(environment.db_identifier)
    if db.status != "available":
        events = rds_events.find_events(db.id, datetime.now(UTC) - rds_events.DAY)
        told = "; ".join(str(event) for event in events[-EVENTS_SHOWN:]) or "none"
        raise VerificationFailed(f"{db} is {db.status!r}, expected 'available'. RDS's last events: {told}")
    if not db.encrypted or not db.backup_retention_days:
        raise VerificationFailed(f"{db} is encrypted: {db.encrypted}, keeps backups {db.backup_retention_days} days")
    if db.parameters != "in-sync" or db.pending:
        raise Attention(f"{db} has parameters {db.parameters!r} and pending changes {db.pending or 'none'}")
    zones = "Multi-AZ" if db.multi_az else "single-AZ"
    return f"available, PostgreSQL {db.engine_version}, {zones}, backups {db.backup_retention_days} days"


def _backup_replica(environment: Environment) -> str:
    if environment.backup_replica_arn is None:
        raise Attention(f"{backup_replica.NOT_ENABLED}: {backup_replica.describe_lack(environment)}")
    db = rds.find(environment.db_identifier)
    found = backup_replica.require_found(environment.backup_replica_arn)
    return backup_replica.judge(found, db.resource_id if db else None, datetime.now(UTC))


def _application(environment: Environment) -> str:
    health = application.describe_health.fn(environment)
    if not health.is_well:
        raise VerificationFailed(f"{environment.alb_url}/health answered {health}, expected healthy and connected")
    return f"healthy, database connected, version {health.version}"


def _alarms(environment: Environment) -> str:
    names = [*environment.critical_alarm_names, *environment.warning_alarm_names]
    pages = (
        aws.client("cloudwatch")
        .get_paginator("describe_alarms")
        .paginate(AlarmNames=names, AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    )
    states = {a["AlarmName"]: a for page in pages for a in [*page["MetricAlarms"], *page.get("CompositeAlarms", [])]}
    if missing := sorted(set(names) - set(states)):
        raise VerificationFailed(f"alarms missing: {', '.join(missing)}, expected all of Terraform's")
    firing = [name for name, alarm in states.items() if alarm["StateValue"] == "ALARM"]
    if any(name in environment.critical_alarm_names for name in firing):
        raise VerificationFailed(f"in ALARM: {', '.join(firing)}, expected none")
    muted = [name for name, alarm in states.items() if not alarm.get("ActionsEnabled", True)]
    if firing or muted:
        raise Attention(
            f"warnings in ALARM: {', '.join(firing) or 'none'}; actions disabled: {', '.join(muted) or 'none'}"
        )
    return f"{len(states)} alarms, none firing"


def _logs(environment: Environment) -> str:
    found = aws.client("logs").describe_log_groups(logGroupNamePrefix=environment.log_group_name)["logGroups"]
    group = next((g for g in found if g["logGroupName"] == environment.log_group_name), None)
    if group is None:
        raise VerificationFailed(f"no log group {environment.log_group_name}, expected one")
    if "retentionInDays" not in group:
        raise Attention(f"{environment.log_group_name} keeps its logs for ever, expected a retention")
    return f"kept {group['retentionInDays']} days"


def _dashboard(environment: Environment) -> str:
    cloudwatch = aws.client("cloudwatch")
    try:
        cloudwatch.get_dashboard(DashboardName=environment.dashboard_name)
    except cloudwatch.exceptions.ResourceNotFound as error:
        raise VerificationFailed(f"no dashboard {environment.dashboard_name}, expected one") from error
    return environment.dashboard_name


def _secret(environment: Environment) -> str:
    if not secretsmanager.has_current_value(environment.db_secret_arn):
        raise VerificationFailed(f"{environment.db_secret_arn} has no version AWSCURRENT, expected one")
    return "has a current version"


def _certificate(environment: Environment) -> str:
    found = acm.find_certificate.fn(environment.domain_name)
    if found is None:
        raise VerificationFailed(f"ACM has no issued certificate for {environment.domain_name}, expected one")
    left = found.days_left
    if left is None or left < 0:
        raise VerificationFailed(f"the certificate of {environment.domain_name} expired {found.expires}")
    if left < EXPIRY_WARNING_DAYS:
        raise Attention(f"the certificate of {environment.domain_name} has {left} days left")
    return f"{found.domain_name}, {left} days left"


def _recovery(environment: Environment) -> str:
    found = recovery.find(environment.environment)
    if found is None:
        return "none was begun"
    if found.is_unfinished:
        raise VerificationFailed(recovery.describe_unfinished(found))
    return f"the last one {found.state}"


COMPONENTS: dict[str, Callable[[Environment], str]] = {
    "load balancer": _load_balancer,
    "targets": _targets,
    "auto scaling group": _group,
    "application": _application,
    "database": _database,
    "backup replica": _backup_replica,
    "database secret": _secret,
    "database recovery": _recovery,
    "certificate": _certificate,
    "alarms": _alarms,
    "log group": _logs,
    "dashboard": _dashboard,
}
