"""What RDS refuses before it begins: the checks of CreateDBInstance, ModifyDBInstance and DeleteDBInstance."""

import re
import string
from collections.abc import Mapping
from typing import Any

from lab.extend import AWSError
from lab.rds_catalog import ENGINE, FAMILY, require_class, require_storage, require_version

RESERVED_USERS = {"admin", "rdsadmin", "rdsrepladmin", "rdstopmgr", "rds_superuser", "rds_password", "user", "public"}
PASSWORD_LENGTH = range(8, 129)
FORBIDDEN_IN_PASSWORD = '/@" '  # noqa: S105 - the characters, not a password
PORTS = range(1150, 65536)
RETENTION_DAYS = range(36)


def refuse(code: str, message: str) -> None:
    raise AWSError(code, message)


def require_creatable(asked: Mapping[str, Any]) -> None:
    """Raise what AWS answers to a CreateDBInstance that it won't carry out."""
    if asked.get("engine") != ENGINE or asked.get("db_cluster_identifier"):
        refuse("InvalidParameterValue", f"Invalid DB engine: this lab offers {ENGINE} instances only")
    version = require_version(asked.get("engine_version"))
    require_class(asked.get("db_instance_class"), version)
    storage_type = asked.get("storage_type") or ("io1" if asked.get("iops") else "gp2")
    if asked.get("allocated_storage") is None:
        refuse("InvalidParameterValue", "The parameter AllocatedStorage must be provided.")
    require_storage(asked["allocated_storage"], storage_type)
    _require_master(asked)
    _require_database_name(asked.get("db_name"))
    if asked.get("multi_az") and asked.get("availability_zone"):
        refuse(
            "InvalidParameterCombination",
            "Requesting a specific availability zone is not valid for Multi-AZ instances.",
        )
    require_retention(asked.get("backup_retention_period"))
    require_port(asked.get("port"))


def _require_master(asked: Mapping[str, Any]) -> None:
    name = asked.get("master_username")
    if not name:
        refuse("InvalidParameterValue", "The parameter MasterUsername must be provided and must not be blank.")
    elif name.lower() in RESERVED_USERS or name.lower().startswith(("pg_", "rds_")):
        refuse(
            "InvalidParameterValue",
            f"MasterUsername {name} cannot be used as it is a reserved word used by the engine",
        )
    elif not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,62}", name):
        refuse("InvalidParameterValue", f"The parameter MasterUsername is not a valid identifier: {name}")
    managed, password = asked.get("manage_master_user_password"), asked.get("master_user_password")
    if managed and password:
        refuse(
            "InvalidParameterCombination",
            "You can't specify MasterUserPassword for an instance with ManageMasterUserPassword enabled.",
        )
    if not managed:
        require_password(password)


def require_password(password: str | None) -> None:
    if not password:
        refuse("InvalidParameterValue", "The parameter MasterUserPassword must be provided and must not be blank.")
    elif len(password) not in PASSWORD_LENGTH:
        bound = "shorter than 8" if len(password) < PASSWORD_LENGTH.start else "longer than 128"
        refuse(
            "InvalidParameterValue",
            f"The parameter MasterUserPassword is not a valid password because it is {bound} characters.",
        )
    elif any(each not in string.printable or each in FORBIDDEN_IN_PASSWORD for each in password):
        refuse(
            "InvalidParameterValue",
            "The parameter MasterUserPassword is not a valid password. Only printable ASCII characters besides "
            "'/', '@', '\"', ' ' may be used.",
        )


def _require_database_name(name: str | None) -> None:
    if name is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", name):
        refuse("InvalidParameterValue", "DBName must begin with a letter and contain only alphanumeric characters.")


def require_retention(days: int | None) -> None:
    if days is not None and days not in RETENTION_DAYS:
        refuse(
            "InvalidParameterValue",
            f"Invalid backup retention period: {days}. Must be between 0 and {RETENTION_DAYS[-1]}.",
        )


def require_port(port: int | None) -> None:
    if port is not None and port not in PORTS:
        refuse("InvalidParameterValue", f"Invalid port number: {port}. Must be between 1150 and 65535.")


def require_family(group: Any) -> None:
    if group.family != FAMILY:
        refuse(
            "InvalidParameterCombination",
            f"The parameter group {group.name} with DBParameterGroupFamily {group.family} can't be used for this "
            f"instance. Please use a parameter group with DBParameterGroupFamily {FAMILY}.",
        )


def require_deletable(db: Any, asked: Mapping[str, Any]) -> None:
    """Deletion protection, and the rules of the final snapshot."""
    final, skip = asked.get("final_db_snapshot_identifier"), bool(asked.get("skip_final_snapshot"))
    if db.status == "deleting":
        refuse("InvalidDBInstanceState", f"Instance {db.db_instance_identifier} is already being deleted.")
    if db.deletion_protection:
        refuse(
            "InvalidParameterCombination",
            "Cannot delete protected DB Instance, please disable deletion protection and try again.",
        )
    if skip and final:
        refuse(
            "InvalidParameterCombination",
            "FinalDBSnapshotIdentifier can not be specified when SkipFinalSnapshot is enabled.",
        )
    if not skip and not final:
        refuse(
            "InvalidParameterCombination",
            "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.",
        )
    if final and db.status not in ("available", "stopped"):
        refuse(
            "InvalidDBInstanceState",
            f"Cannot create a snapshot because the database instance {db.db_instance_identifier} is not currently "
            "in the available state.",
        )
