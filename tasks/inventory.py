"""Which of the resources that a plan would make exist already, by the name or the tags that the code gives them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tasks.errors import PreconditionFailed
from tasks.inventory_network import NETWORK
from tasks.inventory_services import SERVICES
from tasks.inventory_storage import STORAGE
from tasks.terraform_plan import Creation

Values = Mapping[str, Any]
FINDERS: Mapping[str, Callable[[Values], Iterable[str]]] = {**NETWORK, **SERVICES, **STORAGE}

# Made over what is there, by the provider's own doing, and never imported: a VPC's default group is adopted by
# "creating" it; a secret's version would be imported with its password in the plan.
MADE_OVER = frozenset({"aws_default_security_group", "aws_secretsmanager_secret_version"})


def find_existing(creations: Iterable[Creation]) -> dict[str, str]:
    """The import id of each address that exists.

    Raises:
        PreconditionFailed: more than one thing answers to an address, or nobody knows how to look for its type.
    """
    found = ((one.address, _find(one)) for one in creations if one.type not in MADE_OVER)
    return {address: one for address, one in found if one is not None}


def _find(wanted: Creation) -> str | None:
    if wanted.type not in FINDERS:
        raise PreconditionFailed(
            f"nothing knows how to look for {wanted.address}, expected each type of the Terraform code to have its"
            f" finder: write one for {wanted.type} in tasks/inventory_*.py, else one that exists would be made twice"
        )
    ids = sorted(set(FINDERS[wanted.type](wanted.values)))
    if len(ids) > 1:
        raise PreconditionFailed(
            f"{wanted.address} can be any of {', '.join(ids)}, expected at most one to carry its name. Look which one"
            " is in use, and take the name from the others"
        )
    return ids[0] if ids else None
