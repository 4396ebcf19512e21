"""A Terraform plan as data: what would change, its hash, and the policy that refuses to lose what can't be rebuilt."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.errors import PreconditionFailed

# Resources whose loss loses data, addresses or history. A plan destroys or replaces them only when it names them.
STATEFUL = frozenset(
    {
        "aws_acm_certificate",
        "aws_cloudwatch_log_group",
        "aws_db_instance",
        "aws_db_subnet_group",
        "aws_dynamodb_table",
        "aws_ecr_repository",
        "aws_eip",
        "aws_kms_key",
        "aws_lb",
        "aws_s3_bucket",
        "aws_secretsmanager_secret",
        "aws_vpc",
    }
)
# Resources that are paid for by the hour or the month, whether they are used or not.
BILLED = frozenset(
    {
        "aws_autoscaling_group",
        "aws_db_instance",
        "aws_db_instance_automated_backups_replication",
        "aws_eip",
        "aws_kms_key",
        "aws_lb",
        "aws_nat_gateway",
        "aws_secretsmanager_secret",
        "aws_vpc_endpoint",
    }
)
HASH_DIGITS = 12
SECRET = "(sensitive)"  # noqa: S105 - what is shown instead of one


@dataclass(frozen=True)
class Change:
    """What happens to one resource: create, update, delete or replace, and which attributes are the cause."""

    address: str
    type: str
    action: str
    attributes: tuple[str, ...]
    reason: str | None

    @property
    def loses(self) -> bool:
        return self.action in ("delete", "replace") and self.type in STATEFUL

    def __str__(self) -> str:
        return f"{self.action} {self.address}" + (f" ({', '.join(self.attributes)})" if self.attributes else "")


@dataclass(frozen=True)
class Creation:
    """A resource that is not in the state, and the values that the plan knows of it; never a sensitive one."""

    address: str
    type: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """Exactly what was shown and approved. Two plans with the same hash do the same."""

    changes: tuple[Change, ...]
    hash: str
    creations: tuple[Creation, ...] = field(default=(), repr=False)

    @property
    def is_empty(self) -> bool:
        return not self.changes

    def creation(self, address: str) -> Creation:
        return next(one for one in self.creations if one.address == address)

    def counts(self) -> str:
        by_action = Counter(change.action for change in self.changes)
        return ", ".join(f"{n} to {action}" for action, n in sorted(by_action.items())) or "nothing to change"

    def billed(self) -> str:
        """What is paid for and would come, go or change; how much it costs is for the cost review to say."""
        found = [str(change) for change in self.changes if change.type in BILLED]
        return "; ".join(found) or "no resource that is paid for by the hour comes, goes or changes"

    def table(self) -> str:
        """Markdown for the one who approves: losses first, creations last."""
        order = {"delete": 0, "replace": 1, "update": 2, "import": 3, "create": 4}
        rows = sorted(self.changes, key=lambda change: (order.get(change.action, 2), change.address))
        lines = [f"| {c.action} | `{c.address}` | {', '.join(c.attributes)} |" for c in rows]
        return "\n".join(["| action | resource | because of |", "|---|---|---|", *lines])


def read_plan(document: dict[str, Any]) -> Plan:
    """The plan in `terraform show -json`'s format 1.x. Values that Terraform marks sensitive are never kept."""
    found = [c for c in document.get("resource_changes", []) if c["mode"] == "managed" and acts(c)]
    outputs = {
        name: change["actions"]
        for name, change in document.get("output_changes", {}).items()
        if change["actions"] != ["no-op"]
    }
    canonical = json.dumps([[_essence(c) for c in found], outputs], sort_keys=True, default=str)
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:HASH_DIGITS]
    creations = tuple(_creation(c) for c in found if c["change"]["actions"] == ["create"])
    return Plan(tuple(_change(c) for c in found), digest, creations)


def require_no_loss(plan: Plan, allowed: Iterable[str]) -> None:
    """Refuse to destroy or replace anything stateful that is not named by its address.

    Raises:
        PreconditionFailed: with each address and the attribute that forces the loss. Nothing was changed.
    """
    named = set(allowed)
    refused = [change for change in plan.changes if change.loses and change.address not in named]
    if refused:
        lost = "; ".join(str(change) for change in refused)
        raise PreconditionFailed(
            f"the plan would lose {len(refused)} stateful resources: {lost}. Expected none."
            " Change the cause, or name each address in allow_loss when this is what you want."
        )
    if unknown := named - {change.address for change in plan.changes if change.loses}:
        raise PreconditionFailed(
            f"allow_loss names {', '.join(sorted(unknown))}, which this plan does not lose: read the plan again"
        )


def require_additions_only(plan: Plan) -> None:
    """
    Raises:
        PreconditionFailed: the plan destroys or replaces anything, stateful or not. Nothing was changed.
    """
    if refused := [change for change in plan.changes if {"delete", "replace"} & {change.action}]:
        raise PreconditionFailed(
            f"the plan would destroy or replace {'; '.join(map(str, refused))}. Expected that a recovery only makes,"
            " adopts and updates. Mend the cause; deploy_infrastructure can do what this must not"
        )


def acts(change: dict[str, Any]) -> bool:
    return change["change"]["actions"] not in (["no-op"], ["read"]) or bool(change["change"].get("importing"))


def _action(actions: list[str], *, is_import: bool) -> str:
    action = "replace" if len(actions) > 1 else actions[0]
    return "import" if is_import and action == "no-op" else action


def _creation(found: dict[str, Any]) -> Creation:
    values, secret = found["change"].get("after") or {}, found["change"].get("after_sensitive") or {}
    return Creation(found["address"], found["type"], {k: v for k, v in values.items() if secret.get(k) is not True})


def _change(found: dict[str, Any]) -> Change:
    change = found["change"]
    forced = tuple(".".join(map(str, path)) for path in change.get("replace_paths", []))
    updated = tuple(sorted(differences(change))) if change["actions"] == ["update"] else ()
    return Change(
        found["address"],
        found["type"],
        _action(change["actions"], is_import=bool(change.get("importing"))),
        forced or updated,
        found.get("action_reason"),
    )


def differences(change: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that change and the value each will have; computed ones that only move are left out."""
    before, after = change.get("before") or {}, change.get("after") or {}
    secret = change.get("after_sensitive")
    unknown = change.get("after_unknown") or {}
    names = {name for name in {**before, **after} if before.get(name) != after.get(name) and not unknown.get(name)}
    names |= {name for name, value in unknown.items() if value and before.get(name) is None}
    return {name: SECRET if holds_secret(secret, name) else after.get(name) for name in names}


def holds_secret(marks: Any, name: str) -> bool:
    """Whether Terraform marks this attribute, or anything in it, sensitive."""
    return _has_mark(marks.get(name)) if isinstance(marks, dict) else bool(marks)


def _has_mark(mark: Any) -> bool:
    inner = mark.values() if isinstance(mark, dict) else mark if isinstance(mark, list) else ()
    return mark is True or any(_has_mark(one) for one in inner)


def _essence(found: dict[str, Any]) -> list[Any]:
    change = found["change"]
    imported = [change["importing"]] if change.get("importing") else []
    return [found["address"], change["actions"], change.get("replace_paths", []), differences(change), *imported]
