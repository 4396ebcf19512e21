"""Patch Manager and Inventory, from facts: an instance lacks what Amazon Linux releases after its own image fix.

Nothing on a disk is looked at. An instance whose SSM Agent is not online has neither patches nor inventory.
"""

from datetime import UTC, datetime
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ssm.responses import SimpleSystemManagerResponse
from moto.utilities.utils import load_resource

from lab.amis import newer_releases, releases
from lab.extend import AWSError, operation
from lab.ssm_agents import describe as describe_agent
from lab.ssm_agents import online, tags
from lab.ssm_pages import page

# Which package a CVE is in: AWS tells that in advisories, here it follows from the CVE's number.
PACKAGES = ("kernel", "openssl-libs", "glibc", "curl-minimal", "python3", "systemd", "sqlite-libs", "expat")
BASE_VERSION = "1.0"
ARCHITECTURE = "x86_64"
PATCH_GROUP_TAGS = ("PatchGroup", "Patch Group")
BASELINE = "AMAZON_LINUX_2023"


def install() -> None:
    for name, function in {
        "DescribeInstancePatchStates": describe_instance_patch_states,
        "DescribeInstancePatches": describe_instance_patches,
        "ListInventoryEntries": list_inventory_entries,
    }.items():
        operation(SimpleSystemManagerResponse, name)(function)


def package_of(cve: str) -> str:
    return PACKAGES[int(cve.rpartition("-")[2]) % len(PACKAGES)]


def patches(backend: Any, instance: Any) -> list[dict[str, Any]]:
    """One patch for each package of each release: installed with the image, or missing."""
    ec2 = ec2_backends[backend.account_id][backend.region_name]
    newer = newer_releases(ec2, instance.image_id)
    return [
        _describe_patch(release, package, release in newer, instance)
        for release in releases(ec2)
        for package in sorted({package_of(one) for one in release.fixes})
    ]


def _describe_patch(release: Any, package: str, is_missing: bool, instance: Any) -> dict[str, Any]:
    patch = {
        "Title": f"{package}.{ARCHITECTURE}:{version(package, [release])}-{release.name}",
        "KBId": f"{package}.{ARCHITECTURE}",
        "Classification": "Security",
        "Severity": "Important",
        "State": "Missing" if is_missing else "Installed",
        "InstalledTime": datetime.fromtimestamp(0, UTC) if is_missing else instance.agent_since,
    }
    if is_missing:
        patch["CVEIds"] = ",".join(one for one in release.fixes if package_of(one) == package)
    return patch


def version(package: str, installed: list[Any]) -> str:
    """The version that the last of these releases brought."""
    bringing = [one for one in installed if any(package_of(cve) == package for cve in one.fixes)]
    return bringing[-1].name if bringing else BASE_VERSION


def describe_instance_patch_states(self: Any) -> dict[str, Any]:
    backend = self.ssm_backend
    found = [online(backend, one) for one in self._get_param("InstanceIds")]
    states = [_describe_state(backend, one) for one in found if one is not None]
    return page(self, "InstancePatchStates", states, 100)


def _describe_state(backend: Any, instance: Any) -> dict[str, Any]:
    states = [one["State"] for one in patches(backend, instance)]
    baseline = load_resource("ssm/resources/default_baselines.json")[backend.region_name][BASELINE]
    return {
        "InstanceId": instance.id,
        "PatchGroup": next((tags(instance)[one] for one in PATCH_GROUP_TAGS if one in tags(instance)), ""),
        "BaselineId": baseline.rpartition("/")[2],
        "InstalledCount": states.count("Installed"),
        "InstalledOtherCount": len(PACKAGES),
        "InstalledPendingRebootCount": 0,
        "InstalledRejectedCount": 0,
        "MissingCount": states.count("Missing"),
        "FailedCount": 0,
        "NotApplicableCount": 0,
        "CriticalNonCompliantCount": 0,
        "SecurityNonCompliantCount": states.count("Missing"),
        "OtherNonCompliantCount": 0,
        "OperationStartTime": instance.agent_seen,
        "OperationEndTime": instance.agent_seen,
        "Operation": "Scan",
    }


def describe_instance_patches(self: Any) -> dict[str, Any]:
    instance = online(self.ssm_backend, self._get_param("InstanceId"))
    found = patches(self.ssm_backend, instance) if instance is not None else []
    wanted = [(one["Key"], one["Values"]) for one in self._get_param("Filters") or []]
    kept = [one for one in found if all(_matches(one, key, values) for key, values in wanted)]
    return page(self, "Patches", kept, 100)


def _matches(patch: dict[str, Any], key: str, values: list[str]) -> bool:
    if key not in ("Classification", "KBId", "Severity", "State"):
        raise AWSError("InvalidFilter", f"The filter '{key}' isn't valid: Classification, KBId, Severity, State.")
    return patch[key] in values


def list_inventory_entries(self: Any) -> dict[str, Any]:
    instance_id, kind = self._get_param("InstanceId"), self._get_param("TypeName")
    instance = online(self.ssm_backend, instance_id)
    if kind not in ("AWS:Application", "AWS:InstanceInformation"):
        raise AWSError("InvalidTypeNameException", f"The lab has no inventory of type {kind}: it has AWS:Application.")
    answer = {"TypeName": kind, "InstanceId": instance_id, "SchemaVersion": "1.1"}
    if instance is None:
        return {**answer, "Entries": []}
    entries = applications(self.ssm_backend, instance) if kind == "AWS:Application" else [_information(instance)]
    taken = f"{instance.agent_seen:%Y-%m-%dT%H:%M:%SZ}"
    return {**answer, "CaptureTime": taken, **page(self, "Entries", entries, 50)}


def applications(backend: Any, instance: Any) -> list[dict[str, str]]:
    """The packages on the instance, in the versions of its image."""
    ec2 = ec2_backends[backend.account_id][backend.region_name]
    newer = newer_releases(ec2, instance.image_id)
    installed = [one for one in releases(ec2) if one not in newer]
    return [
        {
            "Name": package,
            "Version": version(package, installed),
            "Release": "1.amzn2023",
            "Epoch": "0",
            "Architecture": ARCHITECTURE,
            "Publisher": "Amazon Linux",
            "ApplicationType": "Unspecified",
            "PackageId": f"{package}-{version(package, installed)}-1.amzn2023.src.rpm",
            "InstalledTime": f"{instance.agent_since:%Y-%m-%dT%H:%M:%SZ}",
        }
        for package in PACKAGES
    ]


def _information(instance: Any) -> dict[str, str]:
    wanted = ("AgentVersion", "ComputerName", "IPAddress", "InstanceId", "PlatformName", "PlatformType", "ResourceType")
    described = describe_agent(instance)
    return {name: str(described[name]) for name in (*wanted, "PlatformVersion")}
