"""Drift as data: which attributes of which resource somebody changed behind Terraform's back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.terraform_plan import SECRET, acts, differences, holds_secret

# What names a resource in the parameters of the calls that change it.
NAMES = ("id", "arn", "name", "identifier", "bucket", "group_name", "function_name", "alarm_name")


@dataclass(frozen=True)
class Value:
    """One attribute: what the code says, and what is there."""

    name: str
    wanted: Any
    found: Any


@dataclass(frozen=True)
class Drift:
    """`is_ours`: the code was changed and not applied; nobody touched the resource.

    `names` are what calls of AWS's API may know the resource by. A resource that is gone has no values.
    """

    address: str
    values: tuple[Value, ...]
    names: frozenset[str]
    is_gone: bool
    is_ours: bool

    def __str__(self) -> str:
        changed = ", ".join(f"{v.name} is {v.found!r}, expected {v.wanted!r}" for v in self.values)
        return f"{self.address}: {'is gone' if self.is_gone else changed or 'differs'}"


def read_drift(document: Mapping[str, Any]) -> tuple[Drift, ...]:
    """From a plan in `terraform show -json`'s format: what the next apply would change, and whether it was moved.

    What Terraform saw move without wanting to move it back (a timestamp, AWS's own defaults) is no drift: the code
    says nothing about it.
    """
    moved = {one["address"]: one["change"] for one in document.get("resource_drift", [])}
    found = (c for c in document.get("resource_changes", []) if c["mode"] == "managed" and acts(c))
    return tuple(_read(one, moved.get(one["address"])) for one in found)


def _read(found: Mapping[str, Any], moved: Mapping[str, Any] | None) -> Drift:
    change = found["change"]
    remembered = (moved or {}).get("before") or change.get("before") or {}
    names = frozenset(remembered[name] for name in NAMES if isinstance(remembered.get(name), str))
    if moved and moved["actions"] == ["delete"]:
        return Drift(found["address"], (), names, is_gone=True, is_ours=False)
    values = tuple(_values(change))
    now = (moved or {}).get("after") or {}
    touched = tuple(one for one in values if moved and remembered.get(one.name) != now.get(one.name))
    return Drift(found["address"], touched or values, names, is_gone=False, is_ours=not touched)


def _values(change: Mapping[str, Any]) -> Iterator[Value]:
    before = change.get("before") or {}
    for name, wanted in sorted(differences(change).items()):
        hidden = wanted == SECRET or holds_secret(change.get("before_sensitive"), name)
        yield Value(name, SECRET, SECRET) if hidden else Value(name, wanted, before.get(name))
