"""EC2 launch templates: numbered versions that are never renumbered, inherited parameters, idempotent creation."""

import copy
import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from moto.core.types import Base64EncodedString
from moto.ec2.exceptions import (
    InvalidLaunchTemplateIdNotFound,
    InvalidLaunchTemplateNameAlreadyExistsError,
    InvalidLaunchTemplateNameNotFoundWithNameError,
    InvalidLaunchTemplateVersionNotFound,
    MissingParameterError,
)
from moto.ec2.models.launch_templates import LaunchTemplate, LaunchTemplateVersion
from moto.ec2.responses.launch_templates import LaunchTemplates
from moto.ec2.utils import parse_user_data

from lab.extend import AWSError, Method, around, operation

MAX_DESCRIPTION_LENGTH = 255
MAX_VERSIONS = 10_000
PAGE_SIZE = 200


def install() -> None:
    _install_versions()
    for name, answer in {
        "CreateLaunchTemplate": create_launch_template,
        "CreateLaunchTemplateVersion": create_launch_template_version,
        "DeleteLaunchTemplate": delete_launch_template,
        "DeleteLaunchTemplateVersions": delete_launch_template_versions,
        "DescribeLaunchTemplates": describe_launch_templates,
        "DescribeLaunchTemplateVersions": describe_launch_template_versions,
        "ModifyLaunchTemplate": modify_launch_template,
    }.items():
        operation(LaunchTemplates, name)(answer)
    _install_idempotency()


def _install_versions() -> None:
    """moto finds versions by their place in a list, which is wrong after the first deletion."""

    @around(LaunchTemplateVersion, "__init__")
    def init(original: Method, self: Any, template: Any, number: int, data: dict[str, Any], description: Any) -> None:
        if data.get("UserData") is not None and not isinstance(data["UserData"], Base64EncodedString):
            data = {**data, "UserData": parse_user_data(data["UserData"])}
        original(self, template, number, data, description)

    LaunchTemplate.create_version = _create_version
    LaunchTemplate.get_version = _get_version
    LaunchTemplate.default_version = lambda self: _get_version(self, self.default_version_number)
    LaunchTemplate.latest_version = lambda self: self.versions[-1]


def _create_version(self: Any, data: dict[str, Any], description: str | None) -> Any:
    self.highest_number = getattr(self, "highest_number", 0) + 1
    version = LaunchTemplateVersion(self, self.highest_number, data, description)
    self.versions.append(version)
    return version


def _get_version(self: Any, number: Any) -> Any:
    wanted = str(number)
    if wanted.lower() == "$latest":
        return self.versions[-1]
    if wanted.lower() == "$default":
        wanted = str(self.default_version_number)
    for version in self.versions:
        if str(version.number) == wanted:
            return version
    raise InvalidLaunchTemplateVersionNotFound(template_id=self.id, version=number)


def _install_idempotency() -> None:
    """A create call that is sent again with its client token answers what the first one did."""
    for name in ("create_launch_template", "create_launch_template_version", "modify_launch_template"):

        @around(LaunchTemplates, name)
        def once(original: Method, self: Any, name: str = name) -> Any:
            token = self._get_param("ClientToken")
            if not token:
                return original(self)
            seen = self.ec2_backend.__dict__.setdefault("launch_template_answers", {})
            request = {k: v for k, v in self.data.items() if k != "ClientToken"}
            digest = hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()
            if (name, token) not in seen:
                seen[name, token] = digest, original(self)
            known, answer = seen[name, token]
            if known != digest:
                words = "Client token already used before but the request parameters do not match"
                raise AWSError("IdempotentParameterMismatch", words)
            return answer


def create_launch_template(self: Any) -> dict[str, Any]:
    name, description = self._get_param("LaunchTemplateName"), _description(self)
    data = _data(self)
    self.error_on_dryrun()
    if name in self.ec2_backend.launch_template_name_to_ids:
        raise InvalidLaunchTemplateNameAlreadyExistsError
    template = self.ec2_backend.create_launch_template(name, description, data, self._parse_tag_specification())
    return {"LaunchTemplate": _describe_template(self, template)}


def create_launch_template_version(self: Any) -> dict[str, Any]:
    template, description = _template(self), _description(self)
    data = {**_inherited(template, self._get_param("SourceVersion")), **_data(self)}
    self.error_on_dryrun()
    if len(template.versions) >= MAX_VERSIONS:
        raise AWSError("VersionLimitExceeded", f"The launch template {template.id} has {MAX_VERSIONS} versions.")
    return {"LaunchTemplateVersion": _describe_version(self, template.create_version(data, description))}


def _inherited(template: Any, source: str | None) -> dict[str, Any]:
    """All of the source version but its snapshots, as AWS documents."""
    if source is None:
        return {}
    data: dict[str, Any] = copy.deepcopy(template.get_version(source).data)
    for device in data.get("BlockDeviceMappings") or []:
        device.get("Ebs", {}).pop("SnapshotId", None)
    return data


def _data(self: Any) -> dict[str, Any]:
    data: dict[str, Any] | None = self._get_param("LaunchTemplateData")
    if not data:
        raise MissingParameterError("LaunchTemplateData")
    return dict(data)


def _description(self: Any) -> str | None:
    description: str | None = self._get_param("VersionDescription")
    if description and len(description) > MAX_DESCRIPTION_LENGTH:
        words = f"Value ({description}) for parameter VersionDescription is invalid. It must have at most"
        raise AWSError("InvalidParameterValue", f"{words} {MAX_DESCRIPTION_LENGTH} characters.")
    return description


def delete_launch_template(self: Any) -> dict[str, Any]:
    template = _template(self)
    self.error_on_dryrun()
    self.ec2_backend.delete_launch_template(template.name, None)
    return {"LaunchTemplate": _describe_template(self, template)}


def delete_launch_template_versions(self: Any) -> dict[str, Any]:
    template = _template(self)
    self.error_on_dryrun()
    deleted, kept = [], []
    for number in self._get_param("Versions", []):
        item: dict[str, Any] = {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name}
        item["VersionNumber"] = int(number) if str(number).isdecimal() else None
        if error := _refuse_deletion(template, number):
            kept.append({**item, "ResponseError": error})
        else:
            template.versions.remove(template.get_version(number))
            deleted.append(item)
    return {
        "SuccessfullyDeletedLaunchTemplateVersions": deleted,
        "UnsuccessfullyDeletedLaunchTemplateVersions": kept,
    }


def _refuse_deletion(template: Any, number: str) -> dict[str, str] | None:
    if str(number) not in {str(version.number) for version in template.versions}:
        words = f"The launch template version {number} does not exist for the launch template {template.id}."
        return {"Code": "launchTemplateVersionDoesNotExist", "Message": words}
    if str(number) == str(template.default_version_number):
        words = f"Cannot delete version {number} of the launch template {template.id}: it is the default version."
        return {"Code": "unexpectedError", "Message": words}
    return None


def modify_launch_template(self: Any) -> dict[str, Any]:
    template = _template(self)
    version = template.get_version(self._get_param("DefaultVersion"))
    self.error_on_dryrun()
    template.default_version_number = version.number
    return {"LaunchTemplate": _describe_template(self, template)}


def describe_launch_templates(self: Any) -> dict[str, Any]:
    backend = self.ec2_backend
    found = [backend.get_launch_template(one) for one in self._get_param("LaunchTemplateIds", [])]
    found += [backend.get_launch_template_by_name(one) for one in self._get_param("LaunchTemplateNames", [])]
    matching = backend.describe_launch_templates(filters=self._filters_from_querystring())
    self.error_on_dryrun()
    templates = [one for one in matching if not found or one in found]
    return _page(self, "LaunchTemplates", templates, _describe_template)


def describe_launch_template_versions(self: Any) -> dict[str, Any]:
    self.error_on_dryrun()
    wanted = self._get_param("Versions", [])
    if self._get_param("LaunchTemplateId") or self._get_param("LaunchTemplateName"):
        versions = list(_versions_of(self, _template(self), wanted))
    elif wanted and set(wanted) <= {"$Latest", "$Default"}:
        templates = self.ec2_backend.launch_templates.values()
        versions = [template.get_version(alias) for template in templates for alias in wanted]
    else:
        # moto words this refusal
        self.ec2_backend.describe_launch_template_versions(None, None, wanted, None, None, PAGE_SIZE)
        versions = []
    return _page(self, "LaunchTemplateVersions", versions, _describe_version)


def _versions_of(self: Any, template: Any, wanted: list[str]) -> Iterator[Any]:
    """Those asked for by name, or all between the two bounds, newest first."""
    if wanted:
        yield from (template.get_version(number) for number in wanted)
        return
    first, last = int(self._get_param("MinVersion") or 0), int(self._get_param("MaxVersion") or template.highest_number)
    yield from (version for version in reversed(template.versions) if first <= version.number <= last)


def _page(self: Any, name: str, found: list[Any], describe: Callable[[Any, Any], dict[str, Any]]) -> dict[str, Any]:
    start, size = int(self._get_param("NextToken") or 0), int(self._get_param("MaxResults") or PAGE_SIZE)
    answer: dict[str, Any] = {name: [describe(self, one) for one in found[start : start + size]]}
    if start + size < len(found):
        answer["NextToken"] = str(start + size)
    return answer


def _template(self: Any) -> Any:
    backend = self.ec2_backend
    template_id, name = self._get_param("LaunchTemplateId"), self._get_param("LaunchTemplateName")
    if template_id and name:
        words = "You must specify either the launch template ID or the launch template name, but not both."
        raise AWSError("InvalidParameterCombination", words)
    if template_id:
        if template_id not in backend.launch_templates:
            raise InvalidLaunchTemplateIdNotFound(template_id)
        return backend.launch_templates[template_id]
    if not name:
        raise MissingParameterError("launch template ID or launch template name")
    if name not in backend.launch_template_name_to_ids:
        raise InvalidLaunchTemplateNameNotFoundWithNameError(name)
    return backend.get_launch_template_by_name(name)


def _describe_template(self: Any, template: Any) -> dict[str, Any]:
    return {
        "CreateTime": template.create_time,
        "CreatedBy": f"arn:{self.partition}:iam::{self.current_account}:root",
        "DefaultVersionNumber": template.default_version_number,
        "LatestVersionNumber": template.latest_version_number,
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "Tags": template.get_tags(),
    }


def _describe_version(self: Any, version: Any) -> dict[str, Any]:
    template = version.template
    return {
        "CreateTime": version.create_time,
        "CreatedBy": f"arn:{self.partition}:iam::{self.current_account}:root",
        "DefaultVersion": template.is_default(version),
        "LaunchTemplateData": version.data,
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "VersionDescription": version.description,
        "VersionNumber": version.number,
    }
