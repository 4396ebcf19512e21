"""Whether RDS keeps the backups that the runbook promises (P66)."""

from datetime import UTC, datetime

from tasks.environment import Environment
from tasks.rds import DBInstance
from tasks.terraform import read_settings
from tasks.verdict import Verdict

LAYER = "P66 backup policy"
# AWS ships the log every five minutes; three times that is more than a hiccup.
LAG_SECONDS = 900


def judge_policy(environment: Environment, db: DBInstance, now: datetime | None = None) -> Verdict:
    """Retention as Terraform says, encryption, a restore window that moves, and in prod protection from deletion."""
    wanted = read_settings(environment.environment).get("backup_retention_days", 1)
    reasons = []
    if db.backup_retention_days < wanted:
        reasons.append(f"backups are kept {db.backup_retention_days} days, expected {wanted}")
    if not db.encrypted:
        reasons.append("the storage is not encrypted, so neither are its backups; expected both to be")
    if db.latest_restorable_time is None:
        reasons.append("there is no point in time to restore to, expected one of the last minutes")
    elif (lag := ((now or datetime.now(UTC)) - db.latest_restorable_time).total_seconds()) > LAG_SECONDS:
        reasons.append(f"the latest point in time is {lag:.0f} s old, expected at most {LAG_SECONDS} s")
    if environment.environment == "prod" and not db.deletion_protection:
        reasons.append("deletion protection is off, expected it on: its automated backups would go with it (D10)")
    latest = f"{db.latest_restorable_time:%H:%M:%S} UTC" if db.latest_restorable_time else "no point in time"
    return Verdict(LAYER, tuple(reasons), (f"kept {db.backup_retention_days} days, restorable up to {latest}",))
