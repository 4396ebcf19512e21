"""L5: the released image, started against the restored database on an instance of its own, passes its smoke suite."""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection

from tasks import autoscaling, ec2, ecr, launch_template, postgres, secretsmanager, ssm
from tasks.ec2 import Launch
from tasks.environment import Environment
from tasks.errors import PreconditionFailed, RunbookError, VerificationFailed
from tasks.kinds import action
from tasks.launch_template import TemplateVersion
from tasks.postgres import Address
from tasks.report import say
from tasks.residue_kinds import RUN_ID
from tasks.restored_answers import HEAD, Answer, Contents, Row, judge_answers, judge_contents, read_answers
from tasks.verdict import Verdict
from tasks.waiting import wait_until

LAYER = "L5 application"
SUITE = tuple(Path(__file__).with_suffix(".sh").read_text().splitlines())
ONLINE_SECONDS = 900
READY_SECONDS = 900  # of user data: packages, the image, the container, its first connection
SUITE_SECONDS = 600
HEARTBEAT_SECONDS = 120  # the application looks several times a minute
ENDING = frozenset({"shutting-down", "terminated", "stopping", "stopped"})

SCHEMA = """select to_regclass('schema_migrations') is not null and to_regclass('items') is not null"""
VERSION = "select coalesce(max(version), 0) from schema_migrations"
# As the application spells them: what JSON makes of numeric(12, 2) and, in UTC, of a time.
ROWS = """select id, price::text, to_json(created_at) #>> '{}', to_json(updated_at) #>> '{}' from items"""
HEARTBEAT = """select instance, to_char(minute at time zone 'UTC', 'YYYY-MM-DD HH24:MI')
    from heartbeats where instance = %s or minute >= date_trunc('minute', clock_timestamp())
    order by sequence desc limit 1"""


@dataclass(frozen=True)
class Release:
    """What runs in production: the group's template version, and what /health may call it."""

    template: TemplateVersion
    versions: tuple[str, ...]

    def __str__(self) -> str:
        name = " or ".join(self.versions) or "untagged"
        return f"release {name} ({self.template.configuration.digest[:19]}) from {self.template}"


@action
def judge_application(environment: Environment, address: Address, tags: Mapping[str, str]) -> Verdict:
    """L5, and the last layer: the application writes into the copy, a heartbeat and an item that it deletes again.

    Args:
        address: of the restored database, as its master user, who is the application's user too.
        tags: the marks of this run's temporary things, as `residue.tags` makes them.
    """
    facts: list[str] = []
    try:
        reasons = _judge(environment, address, tags, facts)
    except RunbookError as trouble:
        reasons = [str(trouble)]
    except psycopg2.Error as error:
        said = " ".join(str(error).split())
        reasons = [f"the restored database said: {said}. Expected it to answer {address.user}; look at its state"]
    return Verdict(LAYER, tuple(reasons), tuple(facts))


def read_contents(address: Address) -> Contents:
    """What the application must answer with, read by a session of our own."""
    with postgres.open_session(address) as session:
        _query(session, "select set_config('TimeZone', 'UTC', true)")
        if _query(session, SCHEMA) != [(True,)]:
            return Contents(0, 0)
        ((version,),), ((items,),) = _query(session, VERSION), _query(session, "select count(*) from items")
        head = [Row(*row) for row in _query(session, f"{ROWS} order by id limit {HEAD}")]
        last = [Row(*row) for row in _query(session, f"{ROWS} order by id desc limit 1")]
    return Contents(version, items, tuple(head), last[0] if last else None)


def plan_user_data(user_data: str, secret_arn: str, restored_arn: str) -> str:
    """The same but for the secret that the application reads.

    Raises:
        PreconditionFailed: production's user data does not name its secret exactly once.
    """
    if (count := user_data.count(secret_arn)) != 1:
        raise PreconditionFailed(
            f"the user data of production names {secret_arn} {count} times, expected once: the application would read"
            " another database than the restored one. Apply Terraform: python -m flows.deploy_infrastructure"
        )
    return user_data.replace(secret_arn, restored_arn)


def _judge(environment: Environment, address: Address, tags: Mapping[str, str], facts: list[str]) -> list[str]:
    contents = read_contents(address)
    facts.append(f"schema version {contents.schema}, {contents.items} items")
    if reasons := judge_contents(contents):
        return reasons
    release = _find_release(environment)
    facts.append(str(release))
    with (
        _temporary_secret(environment, address, tags) as secret_arn,
        _temporary_instance(environment, release, secret_arn, tags) as instance_id,
    ):
        _wait_until_online(instance_id)
        answers = _ask(instance_id, secret_arn, contents, facts)
        reasons = judge_answers(answers, contents, instance_id, release.versions)
        return reasons or _judge_what_it_wrote(address, contents, instance_id, facts)


def _find_release(environment: Environment) -> Release:
    group = autoscaling.describe_group.fn(environment.asg_name)
    template = launch_template.describe_version.fn(group.template_id, group.template_version)
    return Release(template, ecr.describe_image.fn(template.image).tags)


@contextmanager
def _temporary_secret(environment: Environment, address: Address, tags: Mapping[str, str]) -> Iterator[str]:
    """The restored database as the application finds it: in the shape of the environment's own secret."""
    name = f"{environment}-verify-{tags[RUN_ID]}"
    try:
        yield secretsmanager.write_value(name, "Opens a restored copy while it is verified", address.to_secret(), tags)
    finally:
        secretsmanager.delete_temporary_secret.fn(name)


@contextmanager
def _temporary_instance(
    environment: Environment, release: Release, secret_arn: str, tags: Mapping[str, str]
) -> Iterator[str]:
    """In the application's subnets and security group, outside of its group and of its target group."""
    name, run_id = f"{environment}-verify", tags[RUN_ID]
    template = release.template
    user_data = launch_template.read_user_data.fn(template.template_id, template.number)
    launch = Launch(
        template.template_id,
        template.number,
        autoscaling.find_subnets.fn(environment.asg_name),
        plan_user_data(user_data, environment.db_secret_arn, secret_arn),
        name,
        tags,
    )
    # What a killed attempt left has an older password of the database.
    ec2.terminate_temporary_instances.fn(name, run_id)
    made: tuple[str, ...] = ()
    try:
        made = (ec2.run_temporary_instance.fn(launch),)
        say(f"instance {made[0]} runs {release} on the restored database")
        yield made[0]
    finally:
        ec2.terminate_temporary_instances.fn(name, run_id, made)


def _wait_until_online(instance_id: str) -> None:
    def is_online(seen: tuple[str | None, bool]) -> bool:
        state, online = seen
        if state in ENDING:
            raise VerificationFailed(f"instance {instance_id} is {state!r} before it ran anything, expected 'running'")
        return online

    wait_until(
        f"instance {instance_id} (its state, and whether its SSM agent is online)",
        lambda: (ec2.find_state(instance_id), bool(ssm.find_online((instance_id,)))),
        is_online,
        timeout_seconds=ONLINE_SECONDS,
        expected="('running', True)",
    )


def _ask(instance_id: str, secret_arn: str, contents: Contents, facts: list[str]) -> dict[str, Answer]:
    last = contents.last or contents.head[-1]
    values = {"first": contents.head[0].id, "last": last.id, "seconds": READY_SECONDS}
    commands = (*(f"{name}={shlex.quote(str(value))}" for name, value in values.items()), *SUITE)
    name = f"smoke suite on {secret_arn.rpartition(':')[2]} {instance_id}"[-100:]
    command = ssm.send_command.fn((instance_id,), commands, name, timeout_seconds=READY_SECONDS + SUITE_SECONDS)
    (result,) = ssm.wait_until_command_ended.fn(command, timeout_seconds=READY_SECONDS + 2 * SUITE_SECONDS)
    answers = read_answers(ssm.read_output.fn(command, instance_id))
    facts.append(f"the smoke suite on {result}, {len(answers)} answers")
    return answers


def _judge_what_it_wrote(address: Address, contents: Contents, instance_id: str, facts: list[str]) -> list[str]:
    """Seen from the database: the same items, and a heartbeat of now."""
    after = read_contents(address)
    if after != contents:
        return [
            f"after the smoke suite the database has {after.items} items, the last of them {after.last}, expected"
            f" {contents.items} and {contents.last}: the application deletes what it makes"
        ]
    (beat,) = wait_until(
        "the newest heartbeat of the restored database",
        lambda: _find_heartbeat(address, instance_id),
        bool,
        timeout_seconds=HEARTBEAT_SECONDS,
        expected=f"one by {instance_id}, or one of this minute",
    )
    facts.append(f"the newest heartbeat is of {beat[1]} UTC, written by {beat[0]}")
    return []


def _find_heartbeat(address: Address, instance_id: str) -> list[tuple[str, str]]:
    with postgres.open_session(address) as session:
        return _query(session, HEARTBEAT, instance_id)


def _query(session: connection, statement: str, *values: object) -> list[tuple]:  # type: ignore[type-arg]
    with session.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall()
