"""Rules for databases, their backups and their secrets."""

import re
from collections.abc import Iterator

from docs.runbook.botocore_models import wait_seconds
from docs.runbook.rules import Runbook, Seen, rule

RESTORES = ("rds restore-db-instance-to-point-in-time", "rds restore-db-instance-from-db-snapshot")
KEPT = ("vpc-security-group-ids", "db-subnet-group-name", "db-parameter-group-name")
PAGE_BYTES = 8192  # PostgreSQL's shared_buffers counts pages
MOST_OF_MEMORY = 0.4  # PostgreSQL's manual: more than 40 % is unlikely to work better
LONGEST_RESTORE_SECONDS = 30 * 60  # what the runbook itself says a restore may take
FORMULA = re.compile(r"shared_buffers.*\{DBInstanceClassMemory/(\d+)\}")


@rule("D04", "give what the source has, from Terraform's state, and compare the two afterwards")
def a_restore_takes_the_defaults(runbook: Runbook) -> Iterator[Seen]:
    for name in RESTORES:
        for command in runbook.calls(name):
            if missing := [option for option in KEPT if option not in command.options]:
                yield command.line, f"{command.operation} without --{', --'.join(missing)}: AWS takes its defaults"


@rule("D05", "at most {DBInstanceClassMemory/32768}, a quarter; try it on a restored copy first")
def a_parameter_takes_more_memory_than_there_is(runbook: Runbook) -> Iterator[Seen]:
    for line in runbook.lines:
        if (found := FORMULA.search(line.text)) and PAGE_BYTES / int(found[1]) > MOST_OF_MEMORY:
            share = PAGE_BYTES / int(found[1])
            yield line, f"shared_buffers of {share:.0%} of the memory: the database does not start after its reboot"


@rule("D07", "add --source-type db-instance")
def events_of_a_source_without_its_type(runbook: Runbook) -> Iterator[Seen]:
    for command in runbook.calls("rds describe-events"):
        if "source-identifier" in command.options and "source-type" not in command.options:
            yield command.line, "--source-identifier is refused without --source-type"


@rule("D10", "a final snapshot, --no-delete-automated-backups, and days of cooling off")
def the_last_undo_is_deleted(runbook: Runbook) -> Iterator[Seen]:
    for command in runbook.calls("rds delete-db-instance"):
        if "skip-final-snapshot" in command.options:
            yield command.line, "no final snapshot, and the automated backups go with the instance"


@rule("D12", "wait in a way that can be taken up again")
def a_waiter_gives_up_too_early(runbook: Runbook) -> Iterator[Seen]:
    for command in runbook.commands:
        seconds = wait_seconds(command) if command.service == "rds" else None
        if seconds is not None and seconds <= LONGEST_RESTORE_SECONDS:
            yield command.line, f"the waiter ends with an error after {seconds // 60} min, which a restore can take"


@rule("D21", "read the secret where it is used, and show that it opens the database")
def a_password_is_printed(runbook: Runbook) -> Iterator[Seen]:
    for command in runbook.calls("secretsmanager get-secret-value"):
        if "SecretString" in command.options.get("query", "SecretString") and not command.rest.startswith(")"):
            yield command.line, "the password appears on the terminal and in its log"


@rule("D22", "look at RotationEnabled first, and log in with the new version before anything is refreshed")
def a_rotation_that_nothing_carries_out(runbook: Runbook) -> Iterator[Seen]:
    for command in runbook.calls("secretsmanager rotate-secret"):
        if not any("describe-secret" in line.text for line in runbook.before(command.line)):
            yield command.line, "without a rotation function this fails, and a stuck AWSPENDING makes it fail again"


@rule("D23", "the metric DatabaseConnections, and pg_stat_activity against max_connections")
def log_files_are_no_connections(runbook: Runbook) -> Iterator[Seen]:
    for command in runbook.calls("rds describe-db-log-files"):
        if "connection" in command.comment.lower():
            yield command.line, "this lists log files, it counts no connections"


@rule("D26", "only `idle in transaction`, not oneself, no superuser, no replication; count before you end")
def connections_are_ended_without_regard(runbook: Runbook) -> Iterator[Seen]:
    for line in runbook.matching("pg_terminate_backend"):
        following = " ".join(one.text for one in runbook.lines if 0 <= one.number - line.number <= 2)
        if "= 'idle'" in following and "pg_backend_pid" not in following:
            yield line, "ends healthy members of the pools, and rdsadmin's own connections"
