"""moto's EC2 instances with AWS's states: what a call asks for is begun at once, and true when the work is done.

Extends moto's Instance by `address` (its own loopback address, also its PrivateIpAddress), `console` (the lines of its
boot), `running_since` and `terminated_at` (time.monotonic(), or None), `wants_reboot`, `cpu_utilization` (percent of
its virtual CPUs in the last minute, or None), and `cut_off` (a network ACL lets nothing pass to its subnet).
"""

import copy
import time
from datetime import UTC, datetime
from typing import Any

from moto.core.types import Base64EncodedString
from moto.ec2.models import EC2Backend
from moto.ec2.models.instances import Instance, InstanceState, StateReason
from moto.ec2.responses.general import General
from moto.ec2.utils import filter_iam_instance_profiles

from lab.amis import resolve
from lab.clock import Clock
from lab.extend import AWSError, Method, around, operation
from lab.lost_zones import cut_off_subnets
from lab.network import Network

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
STATUS_CHECK_SECONDS = 60.0
BY_USER = "Client.UserInitiatedShutdown"


def install(network: Network, clock: Clock) -> None:
    @around(Instance, "__init__")
    def init(original: Method, self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.console, self.wants_reboot, self.cut_off = [], False, False
        self.running_since = self.terminated_at = self.cpu_utilization = None
        _move_to_address(self, network.address("instance"))
        enter(self, "pending")

    Instance.finish_termination = Instance.terminate
    Instance.terminate = terminate
    Instance.stop = stop
    Instance.start = start
    Instance.reboot = reboot
    status = property(lambda self: _status(self, clock))
    Instance.instance_status = Instance.system_status = status
    _install_launch()
    operation(General, "GetConsoleOutput")(get_console_output)


def note_cut_off(backend: Any) -> None:
    subnets = cut_off_subnets(backend)
    for reservation in backend.reservations.values():
        for instance in reservation.instances:
            instance.cut_off = instance.subnet_id in subnets


def _move_to_address(instance: Any, address: str) -> None:
    instance.address = address
    if instance.nics:
        interface = instance.nics[0]
        interface.private_ip_address = address
        for one in interface.private_ip_addresses:
            if one.get("Primary"):
                one["PrivateIpAddress"] = address


def enter(instance: Any, state: str) -> Any:
    """Change the state. Returns the one before."""
    before = copy.copy(instance._state)
    instance._state = InstanceState(state, CODES[state])
    return before


def terminate(self: Any) -> Any:
    if self.state in ("shutting-down", "terminated"):
        return copy.copy(self._state)
    _give_reason(self)
    return enter(self, "shutting-down")


def stop(self: Any) -> Any:
    if self.state in ("stopping", "stopped"):
        return copy.copy(self._state)
    _require(self, "running", "stopped")
    _give_reason(self)
    return enter(self, "stopping")


def start(self: Any) -> Any:
    if self.state in ("pending", "running"):
        return copy.copy(self._state)
    _require(self, "stopped", "started")
    self._reason, self.state_reason, self.running_since = "", StateReason(), None
    return enter(self, "pending")


def reboot(self: Any) -> None:
    _require(self, "running", "rebooted")
    self.wants_reboot = True


def _require(instance: Any, state: str, done: str) -> None:
    if instance.state != state:
        words = f"The instance '{instance.id}' is not in a state from which it can be {done}."
        raise AWSError("IncorrectInstanceState", words)


def _give_reason(instance: Any) -> None:
    """Auto Scaling, too, ends instances through the EC2 API: AWS then says "User initiated" as for anybody."""
    instance._reason = f"User initiated ({datetime.now(UTC):%Y-%m-%d %H:%M:%S} GMT)"
    instance.state_reason = StateReason(f"{BY_USER}: User initiated shutdown", BY_USER)


def finish_termination(instance: Any) -> None:
    reason = instance._reason
    instance.finish_termination()
    instance._reason, instance.terminated_at = reason, time.monotonic()


def _status(instance: Any, clock: Clock) -> dict[str, Any]:
    if instance.state != "running" or instance.running_since is None:
        return {"Status": "not-applicable"}
    checked = time.monotonic() >= instance.running_since + clock.seconds(STATUS_CHECK_SECONDS)
    details = [{"Name": "reachability", "Status": "passed" if checked else "initializing"}]
    return {"Details": details, "Status": "ok" if checked else "initializing"}


def _install_launch() -> None:
    @around(EC2Backend, "run_instances")
    def run_instances(original: Method, self: Any, image_id: str | None, *args: Any, **kwargs: Any) -> Any:
        token = kwargs.get("client_token")
        launched = self.__dict__.setdefault("launched_by_token", {})
        if token in launched:
            return launched[token]
        profile: dict[str, Any] = {}
        if wanted := kwargs.get("launch_template"):
            data = self._get_template_from_args(wanted).data
            profile = _profile(self, data, kwargs)
            _take_from_template(data, kwargs)
            image_id = image_id or data.get("ImageId")
        image_id = resolve(self, image_id)
        _require_registered(self, image_id)
        reservation = original(self, image_id, *args, **kwargs)
        for instance in reservation.instances if profile else ():
            self.associate_iam_instance_profile(instance.id, **profile)
        if token not in (None, "ABCDE"):  # moto's stand-in for no token
            launched[token] = reservation
        return reservation


def _require_registered(backend: Any, image_id: str | None) -> None:
    if image_id in backend.deleted_amis:
        words = f"The image ID '[{image_id}]' is no longer available: it was deregistered."
        raise AWSError("InvalidAMIID.Unavailable", words)


def _profile(backend: Any, data: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """The template's instance profile as moto takes it, unless the request names one; refused when there is none."""
    wanted = data.get("IamInstanceProfile")
    if not wanted or asked.get("iam_instance_profile_name") or asked.get("iam_instance_profile_arn"):
        return {}
    found = {"iam_instance_profile_name": wanted.get("Name"), "iam_instance_profile_arn": wanted.get("Arn")}
    filter_iam_instance_profiles(backend.account_id, partition=backend.partition, **found)
    return found


def _take_from_template(data: dict[str, Any], wanted: dict[str, Any]) -> None:
    """What moto forgets of a launch template; the request's own words win."""
    if not wanted.get("subnet_id") and not wanted.get("nics"):
        wanted["nics"] = copy.deepcopy(data.get("NetworkInterfaces") or [])
    if devices := data.get("BlockDeviceMappings"):  # else moto adds its own disk to them
        wanted.setdefault("block_device_mappings", copy.deepcopy(devices))
    wanted["placement"] = wanted.get("placement") or (data.get("Placement") or {}).get("AvailabilityZone")
    wanted["ebs_optimized"] = wanted.get("ebs_optimized") or data.get("EbsOptimized", False)
    ending = "instance_initiated_shutdown_behavior"
    wanted[ending] = wanted.get(ending) or data.get("InstanceInitiatedShutdownBehavior")
    wanted["metadata_options"] = wanted.get("metadata_options") or data.get("MetadataOptions") or {}
    if (data.get("Monitoring") or {}).get("Enabled"):
        wanted["monitoring_state"] = "enabled"
    tags = wanted["tags"] = dict(wanted.get("tags") or {})
    for one in data.get("TagSpecifications") or []:
        if one["ResourceType"] == "volume":
            tags["volume"] = {**{tag["Key"]: tag["Value"] for tag in one["Tags"]}, **tags.get("volume", {})}


def get_console_output(self: Any) -> dict[str, Any]:
    instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
    text = "".join(f"{line}\r\n" for line in instance.console)
    return {
        "InstanceId": instance.id,
        "Timestamp": datetime.now(UTC),
        "Output": Base64EncodedString.from_raw_string(text),
    }
