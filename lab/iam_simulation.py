"""IAM's SimulatePrincipalPolicy: what the policies of a user, group or role say of each action on each resource.

Conditions are not met, as on AWS where the caller gives no context, and their keys are reported as missing.
"""

import json
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from moto.iam.models import Policy, User

from lab.extend import AWSError

Statement = dict[str, Any]
ENTITIES = ("user", "group", "role")
PAGE_SIZE = 100


def simulate_principal_policy(response: Any) -> dict[str, Any]:
    entity = find_entity(response.backend, response._get_param("PolicySourceArn"))
    statements = list(statements_of(response.backend, entity))
    boundary = boundary_of(response.backend, entity)
    resources = response._get_param("ResourceArns") or ["*"]
    asked = [(action, resource) for action in response._get_param("ActionNames") for resource in resources]
    start, size = int(response._get_param("Marker") or 0), int(response._get_param("MaxItems") or PAGE_SIZE)
    results = [result(statements, boundary, *one) for one in asked[start : start + size]]
    more = {"Marker": str(start + size)} if start + size < len(asked) else {}
    return {"EvaluationResults": results, "IsTruncated": bool(more), **more}


def find_entity(backend: Any, arn: str) -> Any:
    kind, _, path = arn.split(":", 5)[-1].partition("/")
    if not arn.startswith("arn:aws:iam:") or kind not in ENTITIES:
        raise AWSError("InvalidInput", f"Invalid Entity Arn: {arn} does not clearly define entity type and name.")
    name = path.rpartition("/")[2]
    return getattr(backend, f"get_{kind}")(name)


def statements_of(backend: Any, entity: Any) -> Iterator[Statement]:
    for document in [*entity.policies.values(), *map(_document, entity.managed_policies.values())]:
        yield from _statements(document)
    if isinstance(entity, User):
        for group in backend.get_groups_for_user(entity.name):
            yield from statements_of(backend, group)


def boundary_of(backend: Any, entity: Any) -> list[Statement] | None:
    """None where there is no permissions boundary."""
    arn = getattr(entity, "permissions_boundary_arn", None)
    return _statements(_document(backend.get_policy(arn))) if arn else None


def result(statements: list[Statement], boundary: list[Statement] | None, action: str, resource: str) -> dict[str, Any]:
    about = [one for one in statements if concerns(one, action, resource)]
    missing = {key for one in about for keys in one.get("Condition", {}).values() for key in keys}
    decision = decide(about)
    told: dict[str, Any] = {"EvalActionName": action, "EvalResourceName": resource}
    if boundary is not None:
        inside = decide(one for one in boundary if concerns(one, action, resource)) == "allowed"
        told["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": inside}
        decision = decision if inside or decision == "explicitDeny" else "implicitDeny"
    return {**told, "EvalDecision": decision, "MissingContextValues": sorted(missing)}


def decide(about: Iterable[Statement]) -> str:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html"""
    effects = {one["Effect"] for one in about if not one.get("Condition")}
    return "explicitDeny" if "Deny" in effects else "allowed" if "Allow" in effects else "implicitDeny"


def concerns(statement: Statement, action: str, resource: str) -> bool:
    return _matches(statement, "Action", action, str.lower) and _matches(statement, "Resource", resource, str)


def _matches(statement: Statement, element: str, value: str, fold: Any) -> bool:
    """IAM knows * and ?, and no sets of characters."""
    named = statement[element if element in statement else f"Not{element}"]
    patterns = [named] if isinstance(named, str) else named
    found = any(fnmatchcase(fold(value), fold(one).replace("[", "[[]")) for one in patterns)
    return found == (element in statement)


def _document(policy: Policy) -> str:
    (text,) = (one.document for one in policy.versions if one.is_default)
    return str(text)


def _statements(document: str) -> list[Statement]:
    found = json.loads(document)["Statement"]
    return [found] if isinstance(found, dict) else list(found)
