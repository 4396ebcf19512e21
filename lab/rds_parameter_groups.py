"""DB parameter groups: created for a family, checked against it, and used by real servers."""

import re
from collections.abc import Callable
from typing import Any

from moto.rds.exceptions import DBParameterGroupNotFoundError
from moto.rds.models import DBParameterGroup, RDSBackend
from moto.rds.responses import RDSResponse

from lab.extend import AWSError, Method, around, operation
from lab.rds_catalog import FAMILY
from lab.rds_pages import page
from lab.rds_parameters import SYSTEM_VALUES, Parameter, parameters, require_parameter, require_value

DEFAULT_GROUP = f"default.{FAMILY}"
MOST_PARAMETERS = 20
FAMILIES = re.compile(r"(aurora-)?postgres(ql)?\d+|(aurora-)?(mysql|mariadb)\d+\.\d+")


def install(users: Callable[[str], list[str]]) -> None:
    """`users` names the DB instances that use a parameter group."""
    operation(RDSResponse, "DescribeDBParameters")(describe_db_parameters)
    operation(RDSResponse, "ModifyDBParameterGroup")(modify_db_parameter_group)
    operation(RDSResponse, "ResetDBParameterGroup")(reset_db_parameter_group)

    @around(RDSBackend, "create_db_parameter_group")
    def create_db_parameter_group(original: Method, self: Any, asked: Any) -> Any:
        family = asked.get("db_parameter_group_family")
        if family and not FAMILIES.fullmatch(family):
            raise AWSError(
                "InvalidParameterValue", f"ParameterGroupFamily {family} is not a valid parameter group family"
            )
        return original(self, asked)

    @around(RDSBackend, "describe_db_parameter_groups")
    def describe_db_parameter_groups(original: Method, self: Any, asked: Any) -> Any:
        ensure_default_group(self)
        found = original(self, asked)
        name = asked.get("db_parameter_group_name")
        if name and not found:
            raise DBParameterGroupNotFoundError(name)
        return found

    @around(RDSBackend, "delete_db_parameter_group")
    def delete_db_parameter_group(original: Method, self: Any, name: str) -> Any:
        if name.startswith("default."):
            raise AWSError("InvalidDBParameterGroupState", "Default DBParameterGroup cannot be deleted")
        if users(name):
            raise AWSError(
                "InvalidDBParameterGroupState",
                f"One or more database instances are still members of this parameter group {name}, so the group "
                "cannot be deleted",
            )
        return original(self, name)


def ensure_default_group(backend: Any) -> None:
    """AWS has a family's default group from the beginning; moto once an instance uses it."""
    if DEFAULT_GROUP not in backend.db_parameter_groups:
        described = f"Default parameter group for {FAMILY}"
        group = DBParameterGroup(backend, DEFAULT_GROUP, described, FAMILY, [])
        backend.db_parameter_groups[DEFAULT_GROUP] = group


def _group(self: Any) -> Any:
    name = self._get_param("DBParameterGroupName")
    return self.backend.describe_db_parameter_groups({"db_parameter_group_name": name})[0]


def describe_db_parameters(self: Any) -> dict[str, Any]:
    group, wanted = _group(self), self._get_param("Source")
    found = [_described(parameter, group.parameters.get(parameter.name)) for parameter in parameters().values()]
    return page(self, "Parameters", [each for each in found if wanted in (None, each["Source"])])


def _described(parameter: Parameter, chosen: dict[str, Any] | None) -> dict[str, Any]:
    system = SYSTEM_VALUES.get(parameter.name)
    facts = {
        "ParameterName": parameter.name,
        "Description": parameter.description,
        "Source": "user" if chosen else "system" if system is not None else "engine-default",
        "ApplyType": parameter.apply_type,
        "DataType": parameter.data_type,
        "IsModifiable": parameter.modifiable,
        "ApplyMethod": chosen["ApplyMethod"] if chosen else "pending-reboot",
        "ParameterValue": chosen["ParameterValue"] if chosen else system,
        "AllowedValues": parameter.allowed_values,
    }
    return {name: value for name, value in facts.items() if value is not None}


def modify_db_parameter_group(self: Any) -> dict[str, Any]:
    group = _changeable(self)
    asked = [each.original_dict() for each in self.params.get("Parameters", [])]
    if len(asked) > MOST_PARAMETERS:
        raise AWSError("InvalidParameterValue", f"At most {MOST_PARAMETERS} parameters can be modified in a request")
    checked = [_checked(each) for each in asked]
    for each in checked:
        group.update_parameters([each])
        group.backend.add_event("DB_PARAMETER_GROUP_CHANGE", group)
        group.backend.events[-1].message = (
            f"Updated parameter {each['ParameterName']} to {each['ParameterValue']} "
            f"with apply method {each['ApplyMethod']}"
        )
    return {"DBParameterGroupName": group.name}


def _checked(asked: dict[str, Any]) -> dict[str, Any]:
    for name in ("ParameterName", "ParameterValue", "ApplyMethod"):
        if name not in asked:
            raise AWSError("InvalidParameterValue", f"The parameter {name} must be provided and must not be blank.")
    parameter = require_parameter(asked["ParameterName"])
    require_value(parameter, asked["ParameterValue"])
    _require_method(parameter, asked["ApplyMethod"])
    return {name: asked[name] for name in ("ParameterName", "ParameterValue", "ApplyMethod")}


def _require_method(parameter: Parameter, method: str) -> None:
    if method not in ("immediate", "pending-reboot"):
        raise AWSError("InvalidParameterValue", f"Invalid apply method: {method}")
    if parameter.static and method == "immediate":
        raise AWSError("InvalidParameterCombination", "cannot use immediate apply method for static parameter")


def reset_db_parameter_group(self: Any) -> dict[str, Any]:
    group = _changeable(self)
    asked = [each.original_dict() for each in self.params.get("Parameters", [])]
    if asked and self._get_bool_param("ResetAllParameters", False):
        raise AWSError("InvalidParameterCombination", "Parameters and ResetAllParameters can't both be specified.")
    for each in asked:
        _require_method(require_parameter(each["ParameterName"]), each.get("ApplyMethod", "pending-reboot"))
    for name in [each["ParameterName"] for each in asked] or list(group.parameters):
        group.parameters.pop(name, None)
    return {"DBParameterGroupName": group.name}


def _changeable(self: Any) -> Any:
    group = _group(self)
    if group.name.startswith("default."):
        raise AWSError("InvalidParameterValue", "Cannot modify a default parameter group.")
    return group
