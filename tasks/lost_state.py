"""What a recovery knows of its environment: the state as it is, an older version of it, or nothing but what exists."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tasks import aws, state_versions
from tasks.errors import PreconditionFailed
from tasks.kinds import action
from tasks.state_versions import Restore, StateVersion
from tasks.terraform_lock import StateAddress, wait_for_orphan

Way = Literal["keep", "backup", "inventory"]


@dataclass(frozen=True)
class Record:
    """`version` is what it stands on, `restore` how that becomes the current one, `lost` what has to make room."""

    version: StateVersion | None = None
    restore: Restore | None = None
    lost: StateVersion | None = None

    @property
    def is_sound(self) -> bool:
        return self.version is not None and self.restore is None

    def __str__(self) -> str:
        if self.restore:
            return str(self.restore)
        if self.version:
            return f"the state {self.version} is sound and stays"
        return f"a new state is made of what exists{f', in the place of {self.lost}' if self.lost else ''}"


def plan_record(versions: Sequence[StateVersion], way: Way) -> Record:
    """A sound state is kept whatever was asked: the way is for one that is not.

    Raises:
        PreconditionFailed: the state is lost and that way does not bring it back. Nothing was changed.
    """
    current = next((one for one in versions if one.is_current), None)
    if current and current.is_readable:
        return Record(current)
    good = next((one for one in versions if one.is_readable), None)
    newest = next((one for one in versions if one.is_readable and one.resources), good)
    if way == "inventory":
        return Record(lost=current if current and current.problem != state_versions.DELETED else None)
    if way == "backup" and newest:
        return Record(newest, state_versions.plan_restore(versions, newest.id))
    seen = f"{current.id} ({current.problem})" if current else "not there and has no versions"
    way_out = f"--state backup (version {newest})" if newest else "--state inventory, which looks what exists"
    raise PreconditionFailed(
        f"the Terraform state is {seen}, expected one that can be read{' or was' if way == 'backup' else ''}."
        f" Nothing was changed. What helps: {way_out}"
    )


@action
def set_aside(state: StateAddress, lost: StateVersion) -> None:
    """Delete a state that can't be read, so that Terraform begins a new one; the bucket keeps it as a version."""
    wait_for_orphan(state)
    current = next(v for v in state_versions.list_versions.fn(state) if v.is_current)
    if current.id == lost.id:
        state_versions.forget_checksum(state)
        aws.client("s3").delete_object(Bucket=state.bucket, Key=state.key)
