"""L5: the real image on an instance of its own, against real databases that came back well and not so well."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import boto3
import httpx
import pytest

from lab.postgres import Cluster
from tasks import residue
from tasks.errors import PreconditionFailed
from tasks.postgres import Address
from tasks.residue_kinds import RUN_ID
from tasks.restored_application import judge_application, plan_user_data
from tasks.verdict import Verdict
from tests import killing
from tests.flows.conftest import reaching
from tests.restored import ITEMS, VERSION, Databases, Production, new_marks

LAST_HEARTBEAT = "select instance from heartbeats order by sequence desc limit 1"
ITEM_STATE = "select count(*), max(id), sum(price) from items"
COPIES = {
    "good": (),
    "older": (
        "delete from schema_migrations where version = 2",
        "drop view heartbeat_chain",
        "drop table heartbeats",
        "drop function heartbeat_digest",
        "alter table items alter column id restart with 1",
    ),
    "newer": ("insert into schema_migrations (version, name, checksum) values (3, '0003_later', 'x')",),
}


@dataclass
class Judged:
    """A restored database, the marks of the run that judged it, and its verdict."""

    address: Address
    marks: dict[str, str]
    judgement: "Future[Verdict]" = field(default_factory=Future)

    @property
    def verdict(self) -> Verdict:
        return self.judgement.result()


@pytest.fixture(scope="module")
def databases() -> Iterator[Databases]:
    with Cluster.temporary() as cluster:
        made = Databases(cluster)
        made.prepare()
        yield made


@pytest.fixture(scope="module")
def production(lab: dict[str, Any]) -> Iterator[Production]:
    """Built once: what a verification makes is gone when it ends."""
    httpx.post(f"{lab['url']}/lab/reset", timeout=60).raise_for_status()
    with reaching(lab["env"]):
        made = Production(lab, boto3.session.Session().client)
        made.build()
        yield made


@pytest.fixture
def judge(production: Production) -> Callable[..., Verdict]:
    def run(address: Address, marks: dict[str, str] | None = None) -> Verdict:
        return judge_application.fn(production.environment, address, marks or new_marks())

    return run


@pytest.fixture(scope="module")
def judged(production: Production, databases: Databases) -> dict[str, Judged]:
    """Three runs at once, each with an instance and a secret of its own: they mostly wait."""
    runs = {name: Judged(databases.copy(*changes), new_marks()) for name, changes in COPIES.items()}
    with ThreadPoolExecutor(len(runs)) as pool:
        for run in runs.values():
            run.judgement = pool.submit(judge_application.fn, production.environment, run.address, run.marks)
    return runs


def test_the_release_of_production_answers_on_a_good_copy_and_nothing_is_left(
    production: Production, databases: Databases, judged: dict[str, Judged]
) -> None:
    run = judged["good"]
    assert run.verdict.reasons == ()
    assert f"{ITEMS} items" in run.verdict.facts[0]
    assert f"release {VERSION}" in run.verdict.facts[1]
    (instance,) = production.instances(run.marks[RUN_ID])
    assert databases.query(run.address, LAST_HEARTBEAT) == [(instance["InstanceId"],)]
    assert databases.query(run.address, ITEM_STATE) == databases.query(databases.address("good"), ITEM_STATE)
    assert instance["State"]["Name"] == "terminated"
    assert production.residue() == []
    assert "ERROR" not in production.log(instance["InstanceId"]), "it would count as an error of production"


def test_an_older_schema_and_a_sequence_that_did_not_come_back_are_both_told(judged: dict[str, Judged]) -> None:
    """The release brings an older schema up to its own when it starts, and would answer as if nothing were wrong."""
    first, second, *_ = judged["older"].verdict.reasons
    assert "migrated the restored database from schema version 1 to 2" in first
    assert "create answered 500" in second


def test_a_newer_schema_is_refused_in_the_applications_own_words(judged: dict[str, Judged]) -> None:
    (reason,) = judged["newer"].verdict.reasons
    assert "did not become ready" in reason
    assert "schema version is 3, expected 2 to 2" in reason


def test_its_instance_is_one_of_the_application_marked_and_in_no_group(
    production: Production, databases: Databases
) -> None:
    """And whoever kills the run in the middle leaves nothing that a sweep by the marks does not find."""
    address, marks = databases.copy(), new_marks()
    assert killed_with_its_instance(production, address, marks)
    (instance,) = production.instances(marks[RUN_ID])
    assert instance["SubnetId"] in production.subnets
    assert [one["GroupId"] for one in instance["SecurityGroups"]] == [production.security_group]
    assert instance["IamInstanceProfile"]["Arn"].endswith("-ec2")
    tags = {one["Key"]: one["Value"] for one in instance["Tags"]}
    assert marks.items() <= tags.items()
    assert "aws:autoscaling:groupName" not in tags
    asked = {"InstanceId": instance["InstanceId"], "Attribute": "instanceInitiatedShutdownBehavior"}
    ending = production.client("ec2").describe_instance_attribute(**asked)
    assert ending["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    (disk,) = instance["BlockDeviceMappings"]
    name = f"demo-flask-app-dev-verify-{marks[RUN_ID]}"
    assert production.residue() == [instance["InstanceId"], disk["Ebs"]["VolumeId"], name]
    sweep()
    assert production.residue() == []


def test_a_killed_run_that_is_started_again_verifies_and_leaves_nothing(
    production: Production, databases: Databases, judge: Callable[..., Verdict]
) -> None:
    address, marks = databases.copy(), new_marks()
    assert killed_with_its_instance(production, address, marks)
    assert judge(address, marks).reasons == ()
    assert len(production.instances(marks[RUN_ID])) == 2, "the first one had an older password"
    assert production.residue() == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (None, "has no schema of the application"),
        (("truncate items",), "has no row in items"),
        (("delete from schema_migrations",), "has no schema of the application"),
    ],
)
def test_on_an_empty_database_nothing_is_started(
    production: Production, databases: Databases, judge: Callable[..., Verdict], changes: Any, words: str
) -> None:
    marks = new_marks()
    verdict = judge(databases.empty() if changes is None else databases.copy(*changes), marks)
    (reason,) = verdict.reasons
    assert words in reason
    assert production.instances(marks[RUN_ID]) == []
    assert production.residue() == []


def test_a_database_that_does_not_answer_is_not_verified(databases: Databases, judge: Callable[..., Verdict]) -> None:
    verdict = judge(databases.address("gone"))
    assert 'database "gone" does not exist' in verdict.reasons[0]


def test_without_capacity_in_any_subnet_it_is_not_verified_and_nothing_is_left(
    production: Production, databases: Databases, judge: Callable[..., Verdict]
) -> None:
    fault = {"match": "ec2:RunInstances", "kind": "error", "code": "InsufficientInstanceCapacity", "times": 2}
    httpx.post(f"{production.lab['url']}/lab/faults", json=fault).raise_for_status()
    verdict = judge(databases.copy())
    assert f"EC2 has no capacity for demo-flask-app-dev-verify in any of {', '.join(production.subnets)}" in str(
        verdict.reasons
    )
    assert production.residue() == []


@pytest.mark.parametrize("user_data", ["-e DB_SECRET_ARN=arn:other", "arn:own arn:own"])
def test_user_data_that_does_not_name_the_secret_once_starts_nothing(user_data: str) -> None:
    with pytest.raises(PreconditionFailed, match="expected once"):
        plan_user_data(user_data, "arn:own", "arn:restored")


def killed_with_its_instance(production: Production, address: Address, marks: dict[str, str]) -> bool:
    """Kill it in the wait for its instance; whether that is how it ended."""
    content = {**asdict(address), "password": address.password.get_secret_value()}
    parameters = {"environment": asdict(production.environment), "address": content, "tags": marks}
    return killing.run("sleep:0", "tests.judge_restored", parameters, production.lab["env"]) == killing.KILLED


def sweep() -> None:
    for one in residue.find_residue.fn("dev"):
        residue.remove.fn(one)
