"""The kinds of temporary thing that a run makes: how each is found, looked at again, and removed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from tasks import aws
from tasks.errors import PreconditionFailed
from tasks.waiting import wait_until

UNUSED_SECONDS = 300  # until the last instance that a security group is used by has ended
RUN_ID, FLOW, EXPIRES_AT = "runbook:run-id", "runbook:flow", "runbook:expires-at"
MARKS = (RUN_ID, FLOW, EXPIRES_AT)
MARKED = [{"Name": "tag-key", "Values": list(MARKS)}]
# EC2 shows a terminated instance for another hour.
EXISTING = [{"Name": "instance-state-name", "Values": ["pending", "running", "shutting-down", "stopping", "stopped"]}]


@dataclass(frozen=True)
class Thing:
    """`protection`: why AWS would not remove it, and how that is lifted; empty when it would."""

    kind: str
    id: str
    tags: Mapping[str, str]
    created: datetime | None
    status: str = ""
    protection: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


@dataclass(frozen=True)
class Kind:
    """`find` gives all that may be marked, or the one of that id; `remove` asks AWS, and doesn't mind a second time."""

    find: Callable[[str | None], Iterable[Thing]]
    remove: Callable[[Thing], None]


def _find_db_instances(one: str | None) -> Iterable[Thing]:
    asked = {"DBInstanceIdentifier": one} if one else {}
    for db in _pages("rds", "describe_db_instances", "DBInstances[]", "DBInstanceNotFound", asked):
        name = db["DBInstanceIdentifier"]
        protection = (
            "it has deletion protection. If it really is temporary: aws rds modify-db-instance"
            f" --db-instance-identifier {name} --no-deletion-protection --apply-immediately"
        )
        yield Thing(
            "RDS instance",
            name,
            tags_of(db.get("TagList")),
            db.get("InstanceCreateTime"),
            db["DBInstanceStatus"],
            protection if db.get("DeletionProtection") else "",
        )


def _delete_db_instance(thing: Thing) -> None:
    """Without a final snapshot and its backups: what it held is a copy (D10 is about the original)."""
    if thing.status != "deleting":
        aws.client("rds").delete_db_instance(
            DBInstanceIdentifier=thing.id, SkipFinalSnapshot=True, DeleteAutomatedBackups=True
        )


def _find_db_snapshots(one: str | None) -> Iterable[Thing]:
    asked = {"SnapshotType": "manual", **({"DBSnapshotIdentifier": one} if one else {})}
    for found in _pages("rds", "describe_db_snapshots", "DBSnapshots[]", "DBSnapshotNotFound", asked):
        yield Thing(
            "RDS snapshot",
            found["DBSnapshotIdentifier"],
            tags_of(found.get("TagList")),
            found.get("SnapshotCreateTime"),
            found["Status"],
        )


def _delete_db_snapshot(thing: Thing) -> None:
    if thing.status == "creating":
        raise PreconditionFailed(f"{thing} is 'creating', expected 'available'. Sweep again once it is")
    if thing.status != "deleting":
        aws.client("rds").delete_db_snapshot(DBSnapshotIdentifier=thing.id)


def _find_instances(one: str | None) -> Iterable[Thing]:
    asked = {"Filters": [*EXISTING, *([{"Name": "instance-id", "Values": [one]}] if one else MARKED)]}
    for instance in _pages("ec2", "describe_instances", "Reservations[].Instances[]", "", asked):
        name = instance["InstanceId"]
        yield Thing(
            "EC2 instance",
            name,
            tags_of(instance.get("Tags")),
            instance["LaunchTime"],
            instance["State"]["Name"],
            _termination_protection(name),
        )


def _termination_protection(instance_id: str) -> str:
    asked = {"InstanceId": instance_id, "Attribute": "disableApiTermination"}
    if not aws.client("ec2").describe_instance_attribute(**asked)["DisableApiTermination"]["Value"]:
        return ""
    return (
        "it has termination protection. If it really is temporary: aws ec2 modify-instance-attribute"
        f" --instance-id {instance_id} --no-disable-api-termination"
    )


def _terminate_instance(thing: Thing) -> None:
    aws.client("ec2").terminate_instances(InstanceIds=[thing.id])


def _find_secrets(one: str | None) -> Iterable[Thing]:
    """ListSecrets may be five minutes behind: each secret that it names is looked at."""
    if one is None:
        asked = {"Filters": [{"Key": "tag-key", "Values": list(MARKS)}]}
        names = [found["Name"] for found in _pages("secretsmanager", "list_secrets", "SecretList[]", "", asked)]
        for name in names:
            yield from _find_secrets(name)
        return
    secrets = aws.client("secretsmanager")
    try:
        found = secrets.describe_secret(SecretId=one)
    except secrets.exceptions.ResourceNotFoundException:
        return
    if "DeletedDate" not in found:
        yield Thing("secret", found["Name"], tags_of(found.get("Tags")), found.get("CreatedDate"))


def _delete_secret(thing: Thing) -> None:
    aws.client("secretsmanager").delete_secret(SecretId=thing.id, ForceDeleteWithoutRecovery=True)


def _find_security_groups(one: str | None) -> Iterable[Thing]:
    asked = {"Filters": [{"Name": "group-id", "Values": [one]}] if one else MARKED}
    for group in _pages("ec2", "describe_security_groups", "SecurityGroups[]", "", asked):
        yield Thing("security group", group["GroupId"], tags_of(group.get("Tags")), None)


def _delete_security_group(thing: Thing) -> None:
    """Waits for what uses it, which was asked to go before."""
    wait_until(
        str(thing),
        lambda: _try_to_delete(thing),
        lambda used: not used,
        timeout_seconds=UNUSED_SECONDS,
        expected="nothing to use it",
    )


def _try_to_delete(group: Thing) -> str:
    """What is in the way."""
    try:
        aws.client("ec2").delete_security_group(GroupId=group.id)
    except ClientError as error:
        if error.response["Error"]["Code"] == "DependencyViolation":
            return error.response["Error"]["Message"]
        if error.response["Error"]["Code"] != "InvalidGroup.NotFound":
            raise
    return ""


def _find_mute_rules(one: str | None) -> Iterable[Thing]:
    """One that has expired mutes nothing any more; it is only in the way."""
    cloudwatch = aws.client("cloudwatch")
    rules = _pages("cloudwatch", "list_alarm_mute_rules", "AlarmMuteRuleSummaries[]", "", {})
    for rule in rules:
        arn, name = rule["AlarmMuteRuleArn"], rule["AlarmMuteRuleArn"].rpartition(":")[2]
        if one in (None, name):
            tags = tags_of(cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"])
            if one or set(MARKS) & set(tags):
                yield Thing("alarm mute rule", name, tags, rule.get("LastUpdatedTimestamp"), rule["Status"])


def _delete_mute_rule(thing: Thing) -> None:
    aws.client("cloudwatch").delete_alarm_mute_rule(AlarmMuteRuleName=thing.id)


def _pages(service: str, operation: str, path: str, missing: str, asked: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Everything at `path` of all pages; nothing when AWS answers `missing`."""
    try:
        yield from aws.client(service).get_paginator(operation).paginate(**asked).search(path)
    except ClientError as error:
        if error.response["Error"]["Code"] != missing:
            raise


def tags_of(listed: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """AWS's list of tags by their keys."""
    return {tag["Key"]: tag["Value"] for tag in listed or ()}


# In the order of their removal: a security group goes after what uses it.
KINDS = {
    "RDS instance": Kind(_find_db_instances, _delete_db_instance),
    "RDS snapshot": Kind(_find_db_snapshots, _delete_db_snapshot),
    "EC2 instance": Kind(_find_instances, _terminate_instance),
    "alarm mute rule": Kind(_find_mute_rules, _delete_mute_rule),
    "secret": Kind(_find_secrets, _delete_secret),
    "security group": Kind(_find_security_groups, _delete_security_group),
}
