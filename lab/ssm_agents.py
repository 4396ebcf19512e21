"""The SSM Agent on each EC2 instance: online a while after the boot, lost when the instance stops, gone with it.

Extends moto's Instance by `agent_since`, `agent_seen` (datetimes of the registration and the last ping, or None) and
`agent_online`.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Instance
from moto.ssm.responses import SimpleSystemManagerResponse

from lab.clock import Clock
from lab.extend import AWSError, Method, around, operation
from lab.ssm_pages import page

# From "running" until the agent has registered. AWS names no number; half a minute is what one sees.
AGENT_SECONDS = 30.0
AGENT_VERSION = "3.3.1611.0"
GONE = ("shutting-down", "terminated")


def install() -> None:
    @around(Instance, "__init__")
    def init(original: Method, self: Any, *args: Any, **kwargs: Any) -> None:
        self.agent_since, self.agent_seen, self.agent_online = None, None, False
        original(self, *args, **kwargs)

    operation(SimpleSystemManagerResponse, "DescribeInstanceInformation")(describe_instance_information)


def instances(backend: Any) -> Iterator[Any]:
    """The EC2 instances of the account and region of moto's SSM backend."""
    for reservation in ec2_backends[backend.account_id][backend.region_name].reservations.values():
        yield from reservation.instances


def ping(instance: Any, clock: Clock, has_agent: bool) -> None:
    """One step of the agent's life."""
    began = instance.running_since if is_running(instance) and has_agent else None
    instance.agent_online = began is not None and time.monotonic() >= began + clock.seconds(AGENT_SECONDS)
    if instance.agent_online:
        instance.agent_seen = datetime.now(UTC)
        instance.agent_since = instance.agent_since or instance.agent_seen


def is_running(instance: Any) -> bool:
    return instance.state == "running" and instance.running_since is not None


def is_managed(instance: Any) -> bool:
    return instance.agent_since is not None and instance.state not in GONE


def is_online(instance: Any) -> bool:
    return is_managed(instance) and is_running(instance) and instance.agent_online


def managed(backend: Any) -> dict[str, Any]:
    """The managed nodes by id: instances whose agent has registered, and that are not terminated."""
    return {one.id: one for one in instances(backend) if is_managed(one)}


def online(backend: Any, instance_id: str) -> Any:
    """The managed node when its agent answers, else None."""
    found = managed(backend).get(instance_id)
    return found if found is not None and is_online(found) else None


def tags(instance: Any) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in instance.get_tags()}


def describe_instance_information(self: Any) -> dict[str, Any]:
    wanted = [(one["Key"], one["Values"]) for one in self._get_param("Filters") or []]
    wanted += [(one["key"], one["valueSet"]) for one in self._get_param("InstanceInformationFilterList") or []]
    found = managed(self.ssm_backend).values()
    kept = [describe(one) for one in found if all(_matches(one, key, values) for key, values in wanted)]
    return page(self, "InstanceInformationList", kept, 50)


def describe(instance: Any) -> dict[str, Any]:
    return {
        "InstanceId": instance.id,
        "PingStatus": "Online" if is_online(instance) else "ConnectionLost",
        "LastPingDateTime": instance.agent_seen,
        "AgentVersion": AGENT_VERSION,
        "IsLatestVersion": True,
        "PlatformType": "Linux",
        "PlatformName": "Amazon Linux",
        "PlatformVersion": "2023",
        "ResourceType": "EC2Instance",
        "IPAddress": instance.address,
        "ComputerName": instance.private_dns_name,
        "RegistrationDate": instance.agent_since,
        "SourceId": instance.id,
        "SourceType": "AWS::EC2::Instance",
    }


def _matches(instance: Any, key: str, values: list[str]) -> bool:
    described, own = describe(instance), tags(instance)
    plain = {"InstanceIds": "InstanceId", "PlatformTypes": "PlatformType", "SourceIds": "SourceId"}
    field = plain.get(key, key.removesuffix("s") if key == "SourceTypes" else key)
    if key.startswith("tag:"):
        return own.get(key.removeprefix("tag:")) in values
    if key == "tag-key":
        return any(one in own for one in values)
    if field not in described:
        raise AWSError("InvalidFilterKey", f"The specified filter key '{key}' isn't valid.")
    return described[field] in values
