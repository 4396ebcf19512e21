"""What botocore's own models say of a command: whether it exists, what it must be given, what it answers."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
import jmespath
from botocore import xform_name
from botocore.exceptions import UnknownServiceError
from botocore.model import OperationModel, ServiceModel, Shape

from docs.runbook.markdown import Command

# Commands that the CLI has beside the service's API.
CLI_OWN = {"configure", "s3"}
CLI_OPERATIONS = {("logs", "tail"), ("ecr", "get-login-password"), ("ssm", "start-session")}
# Options of every command: `aws help`, "Global Options" and "Output".
GLOBAL = {"query", "output", "region", "profile", "no-cli-pager", "endpoint-url", "cli-input-json", "no-paginate"}
PAGING = {"max-items", "page-size", "starting-token"}


def faults(command: Command) -> Iterator[str]:
    """Why the CLI would refuse the command, or its --query would find nothing."""
    if command.service in CLI_OWN or (command.service, command.operation) in CLI_OPERATIONS:
        return
    service = _service(command.service)
    if service is None:
        yield f"there is no service '{command.service}'"
    elif command.operation != "wait":
        operation = _operation(service, command.operation)
        if operation is None:
            yield f"{command.service} has no operation '{command.operation}'"
        else:
            yield from _options(command, operation)
            yield from _query(command, operation)


def wait_seconds(command: Command) -> int | None:
    """After how long `aws SERVICE wait STATE` gives up."""
    if command.operation != "wait" or not command.words:
        return None
    waiters = _session().get_waiter_model(command.service)
    found = {xform_name(name, "-"): name for name in waiters.waiter_names}
    if command.words[0] not in found:
        return None
    waiter = waiters.get_waiter(found[command.words[0]])
    return int(waiter.delay * waiter.max_attempts)


def missing_field(query: str, shape: Shape) -> str | None:
    """The first field of a JMESPath expression that the answer's shape does not have."""
    try:
        tree = jmespath.parser.Parser().parse(query).parsed
    except jmespath.exceptions.JMESPathError:
        return None
    return next(_missing(tree, shape)[1], None)


def _options(command: Command, operation: OperationModel) -> Iterator[str]:
    shape: Any = operation.input_shape
    members = {xform_name(name, "-"): name for name in (shape.members if shape else {})}
    for name in command.options:
        bare = name.removeprefix("no-")
        if name and name not in members and bare not in members and name not in GLOBAL | PAGING:
            yield f"{command.name} has no option --{name}"
    if "cli-input-json" not in command.options:
        for name in shape.required_members if shape else ():
            if xform_name(name, "-") not in command.options:
                yield f"{command.name} needs --{xform_name(name, '-')}"


def _query(command: Command, operation: OperationModel) -> Iterator[str]:
    query = command.options.get("query")
    if query and operation.output_shape and (field := missing_field(query, operation.output_shape)):
        yield f"the answer of {command.name} has no field {field}: the --query gives null"


def _missing(node: dict[str, Any], shape: Any) -> tuple[Any, Iterator[str]]:
    """The shape that a node of the expression leads to (None: unknown), and the fields on the way that don't exist."""
    kind, children = node["type"], node.get("children", [])
    if kind == "field":
        if shape is None or shape.type_name != "structure":
            return None, iter(())
        name = node["value"]
        return (shape.members[name], iter(())) if name in shape.members else (None, iter((name,)))
    if kind == "index" or (kind == "flatten" and not children):
        return (shape.member if getattr(shape, "type_name", "") == "list" else None), iter(())
    if kind in ("subexpression", "index_expression", "projection", "value_projection", "filter_projection", "flatten"):
        return _along(kind, children, shape)
    if kind in ("multi_select_list", "multi_select_dict"):
        return None, (field for child in children for field in _missing(child, shape)[1])
    return (shape, iter(())) if kind in ("identity", "current") else (None, iter(()))


def _along(kind: str, children: list[dict[str, Any]], shape: Any) -> tuple[Any, Iterator[str]]:
    """Left to right; a projection's right side looks at one element of what its left side found."""
    fields: list[str] = []
    for child in children[:2] if kind == "filter_projection" else children:
        shape, found = _missing(child, shape)
        fields += found
        if kind.endswith("projection") and child is children[0] and getattr(shape, "type_name", "") == "list":
            shape = shape.member
    return shape, iter(fields)


@cache
def _session() -> Any:
    return botocore.session.get_session()


@cache
def _service(name: str) -> ServiceModel | None:
    api = {"s3api": "s3"}.get(name, name)
    try:
        return ServiceModel(_session().get_component("data_loader").load_service_model(api, "service-2"), api)
    except UnknownServiceError:
        return None


@cache
def _operations(service: ServiceModel) -> dict[str, str]:
    return {xform_name(name, "-"): name for name in service.operation_names}


def _operation(service: ServiceModel, name: str) -> OperationModel | None:
    found = _operations(service).get(name)
    return service.operation_model(found) if found else None
