"""A Terraform state that a drill corrupts or deletes: the bucket keeps what it was as a version, and so can we."""

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from tasks import aws
from tasks.errors import PreconditionFailed
from tasks.kinds import action
from tasks.state_versions import CHANGED_MEANWHILE, StateVersion, list_versions, make_readable, plan_restore
from tasks.terraform_lock import StateAddress

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


@action
def corrupt_state(state: StateAddress, version: StateVersion) -> None:
    """Put the first half of this version in its own place, as a write that was cut off would have; once."""
    if _has_moved(state, version):
        return
    s3 = _s3()
    body = s3.get_object(Bucket=state.bucket, Key=state.key, VersionId=version.id)["Body"].read()
    try:
        s3.put_object(Bucket=state.bucket, Key=state.key, Body=body[: len(body) // 2], IfMatch=version.etag)
    except ClientError as error:
        if error.response["Error"]["Code"] not in CHANGED_MEANWHILE:
            raise
        raise PreconditionFailed(
            f"the state {state.key} was written while the drill looked at it, expected {version} still. Nothing was"
            " changed. Start the drill again"
        ) from error


@action
def delete_state(state: StateAddress, version: StateVersion) -> None:
    """As somebody does who tidies up; its versions stay."""
    if not _has_moved(state, version):
        _s3().delete_object(Bucket=state.bucket, Key=state.key)


@action
def mend_state(state: StateAddress, version_id: str) -> None:
    """What this version records is the state again, unless one that can be read has taken its place."""
    versions = list_versions.fn(state)
    if not next(one for one in versions if one.is_current).is_readable:
        make_readable.fn(state, plan_restore(versions, version_id))


def _has_moved(state: StateAddress, version: StateVersion) -> bool:
    """Whether another attempt of this drill came by.

    Raises:
        PreconditionFailed: somebody else did.
    """
    current = next(one for one in list_versions.fn(state) if one.is_current)
    if current.id != version.id and current.is_readable:
        raise PreconditionFailed(f"the state is {current}, expected {version}: somebody wrote it. Nothing was changed")
    return current.id != version.id


def _s3() -> "S3Client":
    client: S3Client = aws.client("s3")
    return client
