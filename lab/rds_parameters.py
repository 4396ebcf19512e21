"""The parameters of PostgreSQL 15 on RDS: which exist, which values they take, and what they mean to a real server."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from lab.extend import AWSError
from lab.postgres_binaries import find_binaries
from lab.rds_catalog import GIB, memory_bytes, virtual_cpus
from lab.rds_formulas import VARIABLES, FormulaError, evaluate, is_formula

BLOCK_BYTES = 8192
LARGEST_DEFAULT_BUFFERS = GIB // BLOCK_BYTES
DATA_TYPES = {"BOOLEAN": "boolean", "INTEGER": "integer", "REAL": "float", "STRING": "string", "ENUM": "string"}
# RDS's own defaults, where they differ from PostgreSQL's.
SYSTEM_VALUES = {
    "autovacuum_analyze_scale_factor": "0.05",
    "autovacuum_max_workers": "GREATEST({DBInstanceClassMemory/64371566592},3)",
    "autovacuum_naptime": "15",
    "autovacuum_vacuum_scale_factor": "0.1",
    "effective_cache_size": "{DBInstanceClassMemory/16384}",
    "idle_in_transaction_session_timeout": "86400000",
    "log_autovacuum_min_duration": "10000",
    "maintenance_work_mem": "GREATEST({DBInstanceClassMemory*1024/63963136},65536)",
    "max_connections": "LEAST({DBInstanceClassMemory/9531392},5000)",
    "password_encryption": "scram-sha-256",
    "rds.force_ssl": "1",
    "rds.log_retention_period": "4320",
    "rds.logical_replication": "0",
    "shared_buffers": "{DBInstanceClassMemory/32768}",
    "shared_preload_libraries": "pg_stat_statements",
    "track_activity_query_size": "4096",
    "track_io_timing": "1",
}
ENUM_VALUES = {
    "client_min_messages": "debug5,debug4,debug3,debug2,debug1,log,notice,warning,error",
    "default_transaction_isolation": "serializable,repeatable read,read committed,read uncommitted",
    "log_error_verbosity": "terse,default,verbose",
    "log_min_error_statement": "debug5,debug4,debug3,debug2,debug1,info,notice,warning,error,log,fatal,panic",
    "log_min_messages": "debug5,debug4,debug3,debug2,debug1,info,notice,warning,error,log,fatal,panic",
    "log_statement": "none,ddl,mod,all",
    "password_encryption": "md5,scram-sha-256",
    "plan_cache_mode": "auto,force_generic_plan,force_custom_plan",
    "synchronous_commit": "local,remote_write,remote_apply,on,off",
    "track_functions": "none,pl,all",
    "wal_compression": "pglz,lz4,zstd,on,off",
}
ALLOWED_VALUES = {"max_connections": "6-262143"}
LIBRARIES = "auto_explain,orafce,pgaudit,pglogical,pg_bigm,pg_cron,pg_hint_plan,pg_prewarm,pg_similarity,pg_stat_statements,pg_tle,pg_transport,plprofiler"  # noqa: E501
RESERVED = ("archive_", "krb_", "recovery_", "restore_", "ssl", "unix_socket_", "primary_", "promote_")
FIXED = {
    *("allow_system_table_mods", "bonjour", "bonjour_name", "cluster_name", "data_directory", "data_directory_mode"),
    *("data_sync_retry", "event_source", "external_pid_file", "fsync", "full_page_writes", "hba_file", "ident_file"),
    *("listen_addresses", "log_directory", "log_file_mode", "log_filename", "log_line_prefix", "log_timezone"),
    *("logging_collector", "port", "restart_after_crash", "superuser_reserved_connections", "syslog_facility"),
    *("wal_level", "zero_damaged_pages", "ignore_system_indexes", "dynamic_library_path", "local_preload_libraries"),
}


@dataclass(frozen=True)
class Parameter:
    name: str
    description: str
    data_type: str
    apply_type: str = "dynamic"
    allowed_values: str | None = None
    modifiable: bool = True

    @property
    def static(self) -> bool:
        return self.apply_type == "static"


OWN = (
    Parameter("rds.force_ssl", "Force SSL connections.", "boolean", "dynamic", "0,1"),
    Parameter("rds.logical_replication", "Enables logical decoding.", "boolean", "static", "0,1"),
    Parameter("rds.log_retention_period", "Minutes for which logs are kept.", "integer", "dynamic", "1440-10080"),
    Parameter("rds.restrict_password_commands", "Restricts password commands.", "boolean", "static", "0,1"),
    Parameter("rds.extensions", "Extensions provided by RDS.", "string", "static", None, False),
)


@cache
def parameters() -> dict[str, Parameter]:
    """Every parameter, as the PostgreSQL of this machine describes its own, and RDS's additions."""
    command = [find_binaries()["postgres"], "--describe-config"]
    described = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    own = [_parameter(*line.split("\t")) for line in described.splitlines()]
    return {parameter.name: parameter for parameter in sorted([*own, *OWN], key=lambda each: each.name)}


def _parameter(name: str, context: str, group: str, kind: str, *facts: str) -> Parameter:
    _, low, high, description = facts[:4]
    allowed = {"BOOLEAN": "0,1", "INTEGER": f"{low}-{high}", "REAL": f"{low}-{high}"}.get(kind)
    if name == "shared_preload_libraries":
        allowed = LIBRARIES
    allowed = ALLOWED_VALUES.get(name) or ENUM_VALUES.get(name) or allowed
    apply_type = "static" if context == "postmaster" else "dynamic"
    modifiable = name not in FIXED and not name.startswith(RESERVED)
    return Parameter(name.lower(), description or group, DATA_TYPES[kind], apply_type, allowed, modifiable)


def require_parameter(name: str) -> Parameter:
    found = parameters().get(name)
    if found is None:
        raise AWSError("InvalidParameterValue", f"Could not find parameter with name: {name}")
    if not found.modifiable:
        raise AWSError("InvalidParameterValue", f"The parameter {name} cannot be modified.")
    return found


def require_value(parameter: Parameter, value: str) -> None:
    if not _is_allowed(parameter, value):
        raise AWSError(
            "InvalidParameterValue",
            f"Invalid parameter value: {value} for: {parameter.name} allowed values are: {parameter.allowed_values}",
        )


def _is_allowed(parameter: Parameter, value: str) -> bool:
    if parameter.allowed_values is None:
        return True
    if parameter.data_type in ("integer", "float"):
        return _is_formula(value) if is_formula(value) else _is_within(parameter.allowed_values, value)
    chosen = value.split(",") if parameter.name == "shared_preload_libraries" else [value]
    return all(each.strip() in ("", *parameter.allowed_values.split(",")) for each in chosen)


def _is_within(allowed: str, value: str) -> bool:
    low, _, high = allowed.rpartition("-")
    try:
        return float(low) <= float(value) <= float(high)
    except ValueError:
        return False


def _is_formula(value: str) -> bool:
    try:
        evaluate(value, dict.fromkeys(VARIABLES, GIB))
    except FormulaError:
        return False
    return True


def settings(chosen: Mapping[str, str], instance_class: str, port: int = 5432) -> dict[str, str]:
    """What `chosen` (a parameter group's values) over RDS's defaults means in a real server's configuration."""
    variables = {
        "DBInstanceClassMemory": memory_bytes(instance_class),
        "DBInstanceVCPU": virtual_cpus(instance_class),
        "EndPointPort": port,
        "TrueIfReplica": 0,
        "AllocatedStorage": GIB,
    }
    merged = {**SYSTEM_VALUES, **chosen}
    real = {name: str(_number(value, variables)) for name, value in merged.items() if not name.startswith("rds.")}
    if "shared_buffers" not in chosen:
        # An untouched default never fails for lack of this machine's memory.
        real["shared_buffers"] = str(min(int(real["shared_buffers"]), LARGEST_DEFAULT_BUFFERS))
    binaries = find_binaries()
    libraries = [each.strip() for each in real["shared_preload_libraries"].split(",")]
    real["shared_preload_libraries"] = ",".join(each for each in libraries if binaries.has_library(each))
    if merged["rds.logical_replication"] == "1":
        real["wal_level"] = "logical"
    return real


def _number(value: str, variables: Mapping[str, int]) -> int | str:
    return evaluate(value, variables) if is_formula(value) else value
