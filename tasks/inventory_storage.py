"""What exists of databases, buckets, secrets and keys: import ids by type; and what only waits to be deleted."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from tasks import aws
from tasks.environment import PROJECT
from tasks.inventory_answer import find
from tasks.kinds import action, probe
from tasks.report import say
from tasks.secretsmanager import secret_name

Values = Mapping[str, Any]
PENDING_DELETION = "PendingDeletion"


@probe
def list_dying(environment: str) -> tuple[str, ...]:
    """ARNs of the environment's secret and keys that were deleted and can still be had back."""
    secret = find("secretsmanager", "describe_secret", SecretId=secret_name(environment))
    arns = [secret["ARN"]] if secret.get("DeletedDate") else []
    return (*arns, *(arn for arn in _tagged_keys(environment) if _key_state(arn) == PENDING_DELETION))


@action
def revive(arn: str) -> None:
    """Take the deletion of a secret or key back: its name is taken as long as it waits, and what it closes is lost
    with it."""
    if ":secretsmanager:" in arn:
        aws.client("secretsmanager").restore_secret(SecretId=arn)
    elif _key_state(arn) == PENDING_DELETION:
        key = aws.client("kms").cancel_key_deletion(KeyId=arn.rpartition("/")[2])["KeyId"]
        aws.client("kms").enable_key(KeyId=key.rpartition("/")[2])
    say(f"its deletion was taken back: {arn}")


def _replicas(instance: str) -> list[str]:
    """ARNs of its automated backups' replicas, by the identifier or the ARN of the instance."""
    found = find("rds", "describe_db_instances", DBInstanceIdentifier=instance).get("DBInstances", [])
    listed = (one.get("DBInstanceAutomatedBackupsReplications", []) for one in found)
    return [one["DBInstanceAutomatedBackupsArn"] for each in listed for one in each]


def _regions(environment: str) -> set[str | None]:
    """Where an environment's keys are: at home, and where its backups are replicated to."""
    return {None, *(arn.split(":")[3] for arn in _replicas(f"{PROJECT}-{environment}-db"))}


def _tagged_keys(environment: str, region: str | None = None) -> list[str]:
    asked = {"ManagedBy": "terraform", "Project": PROJECT, "Environment": environment}
    tags = [{"Key": name, "Values": [value]} for name, value in asked.items()]
    paginator = aws.client("resourcegroupstaggingapi", region).get_paginator("get_resources")
    pages = paginator.paginate(TagFilters=tags, ResourceTypeFilters=["kms:key"])
    return list(pages.search("ResourceTagMappingList[].ResourceARN"))


def _key_state(arn: str) -> str | None:
    state: str | None = find("kms", "describe_key", KeyId=arn).get("KeyMetadata", {}).get("KeyState")
    return state


def _keys(values: Values) -> Iterable[str]:
    """A key has no name: the environment's own that is alive and has this description."""
    environment = values["tags_all"]["Environment"]
    for region in _regions(environment):
        for arn in _tagged_keys(environment, region):
            key = find("kms", "describe_key", region, KeyId=arn).get("KeyMetadata", {})
            if key.get("KeyState") == "Enabled" and key["Description"] == values["description"]:
                yield key["KeyId"]


def _aliases(values: Values) -> Iterable[str]:
    regions = _regions(values["name"].removeprefix(f"alias/{PROJECT}-").partition("-")[0])
    pages = (aws.client("kms", region).get_paginator("list_aliases").paginate() for region in regions)
    return [name for page in pages for name in page.search("Aliases[].AliasName") if name == values["name"]]


def _replications(values: Values) -> Iterable[str]:
    """The ARN is known when the database is in the state."""
    return _replicas(arn) if (arn := values.get("source_db_instance_arn")) else []


def _secrets(values: Values) -> Iterable[str]:
    found = find("secretsmanager", "describe_secret", SecretId=values["name"])
    return [found["ARN"]] if found and not found.get("DeletedDate") else []


def _named(attribute: str, operation: str, argument: str, values: Values) -> Iterable[str]:
    """RDS's own name of it is its import id."""
    name = values[attribute]
    return [name] if find("rds", operation, **{argument: name}) else []


def _of_bucket(operation: str, part: str, values: Values) -> Iterable[str]:
    """A bucket, or one of its settings where the answer has that `part`; the bucket's name is the import id of all."""
    bucket = values.get("bucket")
    return [bucket] if bucket and part in find("s3", operation, Bucket=bucket) else []


STORAGE: Mapping[str, Callable[[Values], Iterable[str]]] = {
    "aws_db_instance": partial(_named, "identifier", "describe_db_instances", "DBInstanceIdentifier"),
    "aws_db_instance_automated_backups_replication": _replications,
    "aws_db_subnet_group": partial(_named, "name", "describe_db_subnet_groups", "DBSubnetGroupName"),
    "aws_db_parameter_group": partial(_named, "name", "describe_db_parameter_groups", "DBParameterGroupName"),
    "aws_secretsmanager_secret": _secrets,
    "aws_kms_key": _keys,
    "aws_kms_alias": _aliases,
    "aws_s3_bucket": partial(_of_bucket, "head_bucket", "ResponseMetadata"),
    "aws_s3_bucket_versioning": partial(_of_bucket, "get_bucket_versioning", "Status"),
    "aws_s3_bucket_public_access_block": partial(
        _of_bucket, "get_public_access_block", "PublicAccessBlockConfiguration"
    ),
    "aws_s3_bucket_lifecycle_configuration": partial(_of_bucket, "get_bucket_lifecycle_configuration", "Rules"),
    "aws_s3_bucket_policy": partial(_of_bucket, "get_bucket_policy", "Policy"),
    "aws_s3_bucket_server_side_encryption_configuration": partial(
        _of_bucket, "get_bucket_encryption", "ServerSideEncryptionConfiguration"
    ),
}
