"""What an export may touch: the bucket, the role that it assumes and the key that it encrypts with."""

import json
from typing import Any

from moto.iam.access_control import PermissionResult
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.s3.models import s3_backends

from lab.lab import ACCOUNT, REGION
from lab.s3 import applying

PARTITION = "aws"
PRINCIPAL = "export.rds.amazonaws.com"
# What RDS documents that the role must allow, on the bucket and on its objects.
ON_BUCKET = ("s3:GetBucketLocation", "s3:ListBucket")
ON_OBJECTS = ("s3:DeleteObject", "s3:GetObject", "s3:PutObject")


def find_bucket(name: str) -> Any:
    """moto's bucket of this name in this region, or None."""
    bucket = s3_backends[ACCOUNT][PARTITION].buckets.get(name)
    return bucket if bucket is not None and bucket.region_name == REGION else None


def find_role(arn: str) -> Any:
    roles = iam_backends[ACCOUNT][PARTITION].roles.values()
    return next((role for role in roles if role.arn == arn), None)


def is_key_usable(key_id: str, region: str = REGION) -> bool:
    backend = kms_backends[ACCOUNT][region]
    key = backend.keys.get(backend.any_id_to_key_id(key_id))
    return key is not None and bool(key.enabled) and key.key_state == "Enabled"


def may_be_assumed(role: Any) -> bool:
    statements = json.loads(role.assume_role_policy_document)["Statement"]
    return any(_trusts(each) for each in (statements if isinstance(statements, list) else [statements]))


def missing_action(role: Any, bucket: Any, key: str) -> str | None:
    """The first action of an export below `key` that the role's policies or the bucket's do not allow."""
    arn = f"arn:{PARTITION}:s3:::{bucket.name}"
    wanted = [(action, arn) for action in ON_BUCKET] + [(action, f"{arn}/{key}") for action in ON_OBJECTS]
    return next((action for action, resource in wanted if not _allows(role, bucket, action, resource)), None)


def _trusts(statement: dict[str, Any]) -> bool:
    principal = statement.get("Principal", {})
    services = principal.get("Service", []) if isinstance(principal, dict) else []
    return (
        statement["Effect"] == "Allow"
        and "sts:AssumeRole" in _listed(statement["Action"])
        and PRINCIPAL in _listed(services)
    )


def _allows(role: Any, bucket: Any, action: str, resource: str) -> bool:
    policies = [*role.policies.values(), *(each.document for each in role.managed_policies.values())]
    verdicts = [applying(document).is_action_permitted(action, resource) for document in policies]
    verdicts.append(bucket.get_permission(action, resource))
    return PermissionResult.DENIED not in verdicts and PermissionResult.PERMITTED in verdicts


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
