"""What RDS offers: engine versions of PostgreSQL 15, and instance classes with their size."""

import re
from typing import Any

from moto.rds.responses import RDSResponse

from lab.extend import AWSError, operation
from lab.rds_pages import page

ENGINE = "postgres"
FAMILY = "postgres15"
MINOR_VERSIONS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15)
VERSIONS = tuple(f"15.{minor}" for minor in MINOR_VERSIONS)
DEFAULT_VERSION = VERSIONS[-1]
ZONES = ("a", "b", "c")
STORAGE_GIB = {"gp2": (20, 65536), "gp3": (20, 65536), "io1": (100, 65536), "io2": (100, 65536), "standard": (5, 3072)}
GIB = 1024**3

# Class -> (vCPU, GiB of memory), as in the Amazon RDS user guide.
SIZES = {"micro": (2, 1), "small": (2, 2), "medium": (2, 4), "large": (2, 8), "xlarge": (4, 16), "2xlarge": (8, 32)}
LARGE = {"large": (2, 8), "xlarge": (4, 16), "2xlarge": (8, 32), "4xlarge": (16, 64), "8xlarge": (32, 128)}
CLASSES: dict[str, tuple[int, int]] = {
    **{f"db.{family}.{size}": facts for family in ("t3", "t4g") for size, facts in SIZES.items()},
    **{f"db.{family}.{size}": facts for family in ("m5", "m6g", "m6i", "m7g") for size, facts in LARGE.items()},
    **{
        f"db.{family}.{size}": (cpus, 2 * memory)
        for family in ("r5", "r6g", "r6i", "r7g")
        for size, (cpus, memory) in LARGE.items()
    },
}


def memory_bytes(instance_class: str) -> int:
    return CLASSES[instance_class][1] * GIB


def virtual_cpus(instance_class: str) -> int:
    return CLASSES[instance_class][0]


def require_version(version: str | None) -> str:
    """The full version that a request means: none or only the major one mean the default."""
    if version in (None, "", "15"):
        return DEFAULT_VERSION
    if version not in VERSIONS:
        raise AWSError("InvalidParameterCombination", f"Cannot find version {version} for {ENGINE}")
    return version


def require_class(instance_class: str | None, version: str) -> None:
    if instance_class is None:
        raise AWSError("InvalidParameterValue", "The parameter DBInstanceClass must be provided.")
    if not re.fullmatch(r"db\.[a-z0-9]+\.(micro|small|medium|(\d*x)?large)", instance_class):
        raise AWSError("InvalidParameterValue", f"Invalid DB Instance class: {instance_class}")
    if instance_class not in CLASSES:
        raise AWSError(
            "InvalidParameterCombination",
            "RDS does not support creating a DB instance with the following combination: "
            f"DBInstanceClass={instance_class}, Engine={ENGINE}, EngineVersion={version}, "
            "LicenseModel=postgresql-license. For supported combinations of instance class and database engine "
            "version, see the documentation.",
        )


def require_upgrade(current: str, wanted: str) -> None:
    if VERSIONS.index(wanted) < VERSIONS.index(current):
        raise AWSError("InvalidParameterCombination", f"Cannot upgrade {ENGINE} from {current} to {wanted}")


def require_storage(gibibytes: int, storage_type: str) -> None:
    low, high = STORAGE_GIB.get(storage_type, (0, 0))
    if not high:
        raise AWSError("InvalidParameterValue", f"Invalid storage type: {storage_type}")
    if not low <= gibibytes <= high:
        raise AWSError(
            "InvalidParameterValue",
            f"Invalid storage size for engine name {ENGINE} and storage type {storage_type}: {gibibytes}",
        )


def install() -> None:
    operation(RDSResponse, "DescribeDBEngineVersions")(describe_engine_versions)
    operation(RDSResponse, "DescribeOrderableDBInstanceOptions")(describe_orderable_options)


def describe_engine_versions(self: Any) -> dict[str, Any]:
    engine, wanted = self._get_param("Engine"), self._get_param("EngineVersion")
    family = self._get_param("DBParameterGroupFamily")
    found = VERSIONS if engine in (None, ENGINE) and family in (None, FAMILY) else ()
    if wanted:
        found = tuple(version for version in found if wanted in (version, "15"))
    if self._get_bool_param("DefaultOnly", False):
        found = tuple(version for version in found if version == DEFAULT_VERSION)
    return page(self, "DBEngineVersions", [_engine_version(version) for version in found])


def _engine_version(version: str) -> dict[str, Any]:
    later = VERSIONS[VERSIONS.index(version) + 1 :]
    return {
        "Engine": ENGINE,
        "MajorEngineVersion": "15",
        "EngineVersion": version,
        "DBParameterGroupFamily": FAMILY,
        "DBEngineDescription": "PostgreSQL",
        "DBEngineVersionDescription": f"PostgreSQL {version}-R1",
        "ValidUpgradeTarget": [
            {
                "Engine": ENGINE,
                "EngineVersion": target,
                "Description": f"PostgreSQL {target}-R1",
                "AutoUpgrade": target == DEFAULT_VERSION,
                "IsMajorVersionUpgrade": False,
            }
            for target in later
        ],
        "ExportableLogTypes": ["postgresql", "upgrade"],
        "SupportsLogExportsToCloudwatchLogs": True,
        "SupportsReadReplica": True,
        "SupportedFeatureNames": ["s3Import", "s3Export"],
        "Status": "available",
        "SupportsParallelQuery": False,
        "SupportsGlobalDatabases": False,
    }


def describe_orderable_options(self: Any) -> dict[str, Any]:
    if self._get_param("Engine") != ENGINE:
        return {"OrderableDBInstanceOptions": []}
    wanted_version, wanted_class = self._get_param("EngineVersion"), self._get_param("DBInstanceClass")
    options = [
        _orderable(version, instance_class, storage, self.region)
        for version in VERSIONS
        if wanted_version in (None, version)
        for instance_class in CLASSES
        if wanted_class in (None, instance_class)
        for storage in STORAGE_GIB
    ]
    return page(self, "OrderableDBInstanceOptions", options)


def _orderable(version: str, instance_class: str, storage: str, region: str) -> dict[str, Any]:
    low, high = STORAGE_GIB[storage]
    return {
        "Engine": ENGINE,
        "EngineVersion": version,
        "DBInstanceClass": instance_class,
        "LicenseModel": "postgresql-license",
        "AvailabilityZones": [{"Name": f"{region}{zone}"} for zone in ZONES],
        "MultiAZCapable": True,
        "ReadReplicaCapable": True,
        "Vpc": True,
        "SupportsStorageEncryption": True,
        "StorageType": storage,
        "SupportsIops": storage in ("gp3", "io1", "io2"),
        "SupportsEnhancedMonitoring": True,
        "SupportsIAMDatabaseAuthentication": True,
        "SupportsPerformanceInsights": True,
        "MinStorageSize": low,
        "MaxStorageSize": high,
        "SupportsStorageAutoscaling": True,
        "SupportsKerberosAuthentication": True,
        "OutpostCapable": False,
        "SupportedNetworkTypes": ["IPV4", "DUAL"],
        "SupportsGlobalDatabases": False,
    }
