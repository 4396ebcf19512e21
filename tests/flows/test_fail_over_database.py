"""The standby takes over: once, proven by who uses the service, and measured as they saw it."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import httpx
import psycopg2
import pytest
from prefect.client.schemas.objects import State

from flows.fail_over_database import fail_over_database
from lab.load import Load
from tasks import change_lock, downtime, health
from tasks.environment import describe_environment
from tests import killing
from tests.flows.conftest import reaching
from tests.stack import NAME, Stack, build_stack

FLOW = "flows.fail_over_database"
DB = f"{NAME}-db"
MARKER = "/demo-flask-app/dev/failover"
PASSWORD = "canary-Password-of-the-master"
WAIT = {"Delay": 1, "MaxAttempts": 60}
RATE = 20  # requests per second
pytestmark = pytest.mark.timeout(900)


def create_database(stack: Stack) -> str:
    """Multi-AZ, in both of the stack's zones; the ARN of the secret that leads to it."""
    rds = stack.clients("rds")
    rds.create_db_subnet_group(DBSubnetGroupName=DB, DBSubnetGroupDescription="database", SubnetIds=stack.subnets)
    rds.create_db_instance(
        DBInstanceIdentifier=DB,
        Engine="postgres",
        EngineVersion="15.7",
        DBInstanceClass="db.t3.micro",
        AllocatedStorage=20,
        MultiAZ=True,
        MasterUsername="postgres",
        MasterUserPassword=PASSWORD,
        DBName="demo_db",
        BackupRetentionPeriod=0,
        DBSubnetGroupName=DB,
    )
    rds.get_waiter("db_instance_available").wait(DBInstanceIdentifier=DB, WaiterConfig=WAIT)
    endpoint = instance(stack)["Endpoint"]
    value = {"engine": "postgres", "host": endpoint["Address"], "port": endpoint["Port"], "dbname": "demo_db"}
    value |= {"username": "postgres", "password": PASSWORD}
    made = stack.clients("secretsmanager").create_secret(Name=DB, SecretString=json.dumps(value))
    return str(made["ARN"])


@pytest.fixture(scope="module")
def served(lab: dict[str, Any], prefect_server: str) -> Iterator[Stack]:
    """The application with its database, built once."""
    httpx.post(f"{lab['url']}/lab/reset", timeout=60).raise_for_status()
    with reaching(lab["env"]):
        clients: Callable[[str], Any] = boto3.session.Session().client
        yield build_stack(lab, clients, database=create_database)


@pytest.fixture(autouse=True)
def _as_found(served: Stack) -> Iterator[None]:
    yield
    httpx.delete(f"{served.lab['url']}/lab/faults").raise_for_status()


def instance(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = stack.clients("rds").describe_db_instances(DBInstanceIdentifier=DB)["DBInstances"][0]
    return found


def zones(stack: Stack) -> tuple[str, str]:
    found = instance(stack)
    return found["AvailabilityZone"], found["SecondaryAvailabilityZone"]


def failovers(stack: Stack) -> int:
    """How many there were, as RDS tells it."""
    events = stack.clients("rds").describe_events(SourceType="db-instance", SourceIdentifier=DB, Duration=60)["Events"]
    return [event["Message"] for event in events].count("Multi-AZ instance failover completed")


def is_marked(stack: Stack) -> bool:
    """Whether there is one that nobody has proven."""
    found = stack.clients("ssm").get_parameters(Names=[MARKER])["Parameters"]
    return any(not json.loads(one["Value"])["proven"] for one in found)


def fail_over(**parameters: Any) -> State[str]:
    state: State[str] = fail_over_database("dev", **parameters, return_state=True)  # type: ignore[call-overload]
    return state


def limit_connections(stack: Stack, most: int) -> None:
    """Of the application's database; those that are open stay."""
    endpoint = instance(stack)["Endpoint"]
    database = psycopg2.connect(
        host=endpoint["Address"], port=endpoint["Port"], user="postgres", password=PASSWORD, dbname="postgres"
    )
    database.autocommit = True
    with database.cursor() as sql:
        sql.execute("alter database demo_db connection limit %s", (most,))
    database.close()


def message(state: State[Any]) -> str:
    return str(state.result(raise_on_failure=False))


def test_the_zones_swap_and_what_clients_missed_is_what_the_load_generator_missed(served: Stack) -> None:
    before, ids = zones(served), [one["InstanceId"] for one in served.group()["Instances"]]
    with Load(f"{served.url}/ready", rate=RATE) as sent:
        state = fail_over()
    assert state.is_completed(), message(state)
    found = json.loads(message(state))
    assert (found["zone"], found["measured"]) == (before[1], True)
    assert zones(served) == before[::-1]
    assert sorted(one["InstanceId"] for one in served.group()["Instances"]) == sorted(ids)
    (outage,) = sent.result["outages"]
    assert set(found["downtime_seconds"]) == {"users", "database clients"}
    for seconds in found["downtime_seconds"].values():
        assert abs(seconds - outage["seconds"]) < 1.5
        assert seconds > 1.0  # the lab's failover takes 1.2 s
    assert not is_marked(served)
    assert PASSWORD not in message(state)


def test_a_dry_run_and_an_unseen_plan_change_nothing(served: Stack) -> None:
    before, count = zones(served), failovers(served)
    planned = fail_over(dry_run=True)
    assert planned.is_completed()
    assert fail_over(approved_plan="0" * 12).is_cancelled()
    assert (zones(served), failovers(served), is_marked(served)) == (before, count, False)


def test_killed_at_every_task_boundary_there_is_one_failover(served: Stack, prefect_server: str) -> None:
    before, count = zones(served), failovers(served)
    environment = killing.variables(served.lab["env"], prefect_server)
    killing.kill_everywhere(FLOW, {"environment": "dev"}, environment)
    assert (failovers(served), zones(served), is_marked(served)) == (count + 1, before[::-1], False)


def test_killed_in_the_middle_of_it_the_next_run_proves_that_one(
    served: Stack, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, count = zones(served), failovers(served)
    environment = {**served.lab["env"], "PREFECT_API_URL": prefect_server, "RUN_ID": "another"}
    code = killing.run("before:wait_until_swapped", FLOW, {"environment": "dev"}, environment)
    assert code == killing.KILLED
    assert is_marked(served)
    monkeypatch.setattr(change_lock, "run_id", lambda: "another")
    state = fail_over()
    assert state.is_completed(), message(state)
    found = json.loads(message(state))
    assert found["measured"] is False
    assert (failovers(served), zones(served), is_marked(served)) == (count + 1, before[::-1], False)


def test_an_answer_that_is_lost_makes_no_second_failover(served: Stack) -> None:
    count = failovers(served)
    served.fault(match="rds:RebootDBInstance", kind="lost-response", times=1)
    state = fail_over()
    assert state.is_completed(), message(state)
    assert failovers(served) == count + 1


def test_an_application_that_does_not_reconnect_is_red_and_proven_later_without_another_failover(
    served: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = failovers(served)
    monkeypatch.setattr(downtime, "SERVED_SECONDS", 4)
    limit_connections(served, 0)
    try:
        state = fail_over()
    finally:
        limit_connections(served, -1)
    assert state.is_failed()
    assert "expected all of them served again" in message(state)
    assert is_marked(served)
    monkeypatch.setattr(downtime, "SERVED_SECONDS", 60)
    again = fail_over()
    assert again.is_completed(), message(again)
    assert (failovers(served), is_marked(served)) == (count + 1, False)


def test_a_single_az_database_is_refused_by_name_and_nothing_changes(served: Stack) -> None:
    rds, count = served.clients("rds"), failovers(served)
    rds.modify_db_instance(DBInstanceIdentifier=DB, MultiAZ=False, ApplyImmediately=True)
    served.wait_until(lambda: not instance(served)["MultiAZ"])
    state = fail_over()
    assert state.is_failed()
    assert f"RDS instance {DB} is Single-AZ, expected Multi-AZ" in message(state)
    assert (failovers(served), is_marked(served)) == (count, False)


def test_of_a_database_that_is_not_available_the_events_are_shown_and_nothing_is_done(served: Stack) -> None:
    served.clients("rds").stop_db_instance(DBInstanceIdentifier=DB)
    served.wait_until(lambda: instance(served)["DBInstanceStatus"] == "stopped")
    state = fail_over()
    assert state.is_failed()
    assert "is 'stopped', expected 'available'" in message(state)
    found = health.check_component.fn("database", describe_environment.fn("dev"))
    assert found.verdict == "fail"
    assert "DB instance stopped" in found.observed
