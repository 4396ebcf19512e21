"""Amazon Linux 2023 over time: a release appears in DescribeImages, and the public parameters point to it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from moto.core.utils import utcnow
from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import Ami, AmiBackend
from moto.ec2.utils import random_ami_id
from moto.ssm.models import Parameter, ssm_backends

from lab.extend import Method, around
from lab.lab import ACCOUNT, REGION

PARAMETERS = "/aws/service/ami-amazon-linux-latest/"
MAIN_PARAMETER = f"{PARAMETERS}al2023-ami-kernel-default-x86_64"
VARIANT = re.compile(rf"{PARAMETERS}al2023-ami-.*-x86_64")
RELEASE = re.compile(r"2023\.\d+\.(\d{8})\.\d+")
CVE = re.compile(r"CVE-\d{4}-\d{4,}")
BETWEEN_RELEASES = timedelta(days=14)
A_SECOND = timedelta(seconds=1)


def install() -> None:
    @around(AmiBackend, "_load_amis")
    def load_amis(original: Method, self: Any) -> None:
        original(self)
        for image in self.amis.values():  # moto takes today for those of which it knows no date
            if found := RELEASE.search(image.name or ""):
                image.creation_date = min(image.creation_date, datetime.fromisoformat(found[1]))


def resolve(backend: Any, image_id: str | None) -> str | None:
    """The image that is meant now by `resolve:ssm:<parameter>`, or the image itself."""
    if not image_id or not image_id.startswith("resolve:ssm:"):
        return image_id
    name = image_id.removeprefix("resolve:ssm:")
    parameter = ssm_backends[backend.account_id][backend.region_name].get_parameter(name)
    return parameter.value if parameter else None


@dataclass(frozen=True)
class Release:
    """One release of Amazon Linux: its images, and what it fixes that no release before it did."""

    name: str
    fixes: tuple[str, ...]
    image_ids: tuple[str, ...]
    published: datetime = field(default_factory=lambda: datetime.now(UTC))


def releases(backend: Any) -> list[Release]:
    """What the lab has published, oldest first. Kept on moto's EC2 backend, so that a reset forgets it."""
    kept: list[Release] = backend.__dict__.setdefault("amazon_linux_releases", [])
    return kept


def publish(fixes: Sequence[str] = ()) -> dict[str, Any]:
    """Publish the next release, every x86_64 variant of it."""
    for one in fixes:
        if not CVE.fullmatch(one):
            raise ValueError(f"'{one}' is not a CVE: expected one like CVE-2026-0001")
    backend, parameters = ec2_backends[ACCOUNT][REGION], ssm_backends[ACCOUNT][REGION]._parameters
    before = _newest(backend, parameters)
    name = _next_name(before.name)
    # AWS tells a CreationDate in seconds: the main variant's is later, so that it is the most recent image of all.
    created = max(utcnow(), before.creation_date + 2 * A_SECOND)
    names = sorted((one for one in parameters if VARIANT.fullmatch(one)), key=lambda one: one == MAIN_PARAMETER)
    old = {one: parameters[one][-1].value for one in names}
    ordered = dict.fromkeys(value for value in old.values() if value != before.id) | {before.id: None}
    new = {one: _make(backend, one, name, created - (one != before.id) * A_SECOND).id for one in ordered}
    for one in names:
        parameters[one].append(_next_version(parameters[one][-1], new[old[one]]))
    releases(backend).append(Release(name, tuple(fixes), tuple(new.values())))
    image = backend.amis[new[before.id]]
    return {"ImageId": image.id, "Name": image.name, "Release": name, "Fixes": list(fixes)}


def _newest(backend: Any, parameters: Any) -> Any:
    image_id = parameters[MAIN_PARAMETER][-1].value
    if image_id not in backend.amis:
        raise ValueError(f"image {image_id} of {MAIN_PARAMETER} was deregistered: the next release has no model")
    return backend.amis[image_id]


def _next_name(image_name: str) -> str:
    found = RELEASE.search(image_name)
    if found is None:
        raise ValueError(f"'{image_name}' is not the name of an Amazon Linux 2023 image")
    day = date.fromisoformat(found[1]) + BETWEEN_RELEASES
    return found[0].replace(found[1], f"{day:%Y%m%d}")


def _make(backend: Any, like: str, name: str, created: datetime) -> Any:
    old = backend.amis[like]
    image = Ami(
        backend,
        random_ami_id(),
        name=RELEASE.sub(name, old.name),
        description=RELEASE.sub(name, old.description),
        owner_id=old.owner_id,
        owner_alias=old.owner_alias,
        public=True,
        virtualization_type=old.virtualization_type,
        architecture=old.architecture,
        creation_date=created,
        platform=old.platform,
        hypervisor=old.hypervisor,
        root_device_type=old.root_device_type,
        root_device_name=old.root_device_name,
        region_name=backend.region_name,
    )
    backend.amis[image.id] = image
    return image


def _next_version(latest: Any, value: str) -> Any:
    return Parameter(
        account_id=latest.account_id,
        name=latest.name,
        value=value,
        parameter_type=latest.parameter_type,
        description=None,
        allowed_pattern=None,
        keyid=None,
        last_modified_date=datetime.now(UTC).timestamp(),
        version=latest.version + 1,
        data_type=latest.data_type,
    )


def newer_releases(backend: Any, image_id: str) -> list[Release]:
    """The releases that an instance of this image lacks. An image that no release made is older than all of them."""
    known = releases(backend)
    own = next((number for number, one in enumerate(known) if image_id in one.image_ids), -1)
    return known[own + 1 :]
