"""Amazon ECR: layers as files, images by the digest of their manifest, and what the registry refuses.

Extends moto's Repository by `layer_file(digest)`, where those who pull an image find its layers and its config, and
moto's Image by `scan` (lab.image_scan) and `last_recorded_pull_time`.
"""

import copy
import hashlib
import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from moto.ecr.exceptions import ImageAlreadyExistsException, UploadNotFoundException
from moto.ecr.models import ECRBackend, Image, Repository, ecr_backends
from moto.ecr.responses import ECRResponse
from moto.s3.models import s3_backends

from lab import image_scan
from lab.extend import AWSError, Method, around, operation
from lab.image import digest_of
from lab.lab import Lab

SMALLEST_PART_BYTES = 5 * 1024 * 1024
TOKEN_HOURS = 12
PAGE_SIZE = 100
# The account and the bucket behind ECR: AWS keeps layers in a bucket of its own in each region.
STORAGE_ACCOUNT = "000000000000"
STORAGE_BUCKET = "prod-{region}-starport-layer-bucket"


class ElasticContainerRegistry:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def install(self) -> None:
        folder = self.lab.folder("registry")
        Repository.layer_file = lambda self, digest: folder / self.name / digest.replace(":", "-")
        ECRBackend.put_image = put_image
        Image.get_image_digest = lambda self: digest_of(self.image_manifest.encode())
        Image.get_image_size_in_bytes = lambda self: sum(blob["size"] for blob in blobs_of(self.image_manifest))
        Image.image_scan_status = property(lambda self: self.scan and self.scan.status())
        Image.image_scan_findings_summary = property(lambda self: self.scan and self.scan.summary())
        _install_layers()
        _install_answers()
        image_scan.install(self.lab.clock)

    def tick(self) -> None:
        for repository in repositories():
            for image in repository.images:
                if image.scan:
                    image.scan.advance(repository, image)

    def status(self) -> dict[str, Any]:
        return {one.name: {tag: i.image_digest for i in one.images for tag in i.image_tags} for one in repositories()}

    def reset(self) -> None:
        """Layers are named by their content: those that stay are overwritten by the same bytes."""


def repositories() -> list[Any]:
    return [one for _, _, backend in ecr_backends.iter_backends() for one in backend.repositories.values()]


def blobs_of(manifest: str) -> list[dict[str, Any]]:
    parsed = json.loads(manifest)
    return [*parsed.get("layers", []), *([parsed["config"]] if "config" in parsed else [])]


def put_image(
    self: Any,
    repository_name: str,
    image_manifest: str,
    image_tag: str | None,
    media_type: str | None = None,
    digest: str | None = None,
) -> Any:
    """Push a manifest, or give an image that is there one more tag."""
    repository = self._get_repository(repository_name)
    parsed = _parse_manifest(image_manifest)
    media_type = media_type or parsed.get("mediaType")
    if not media_type:
        raise AWSError("InvalidParameterException", "image manifest mediatype not provided in manifest or parameter")
    actual = digest_of(image_manifest.encode())
    if digest and digest != actual:
        raise AWSError("ImageDigestDoesNotMatchException", f"The image digest '{digest}' does not match '{actual}'")
    _require_layers(repository, image_manifest)
    image = next((one for one in repository.images if one.image_digest == actual), None)
    _require_free_tag(repository, image, image_tag)
    if image is None:
        image = Image(self.account_id, None, image_manifest, repository_name, media_type, registry_id=self.account_id)
        image.scan = image.last_recorded_pull_time = None
        repository.images.append(image)
        image_scan.start_on_push(self, repository, image)
    _move_tag(repository, image, image_tag)
    return image


def _parse_manifest(text: str) -> dict[str, Any]:
    try:
        parsed: dict[str, Any] = json.loads(text)
    except ValueError:
        words = "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'"
        raise AWSError("InvalidParameterException", words) from None
    return parsed


def _require_layers(repository: Any, manifest: str) -> None:
    missing = [blob["digest"] for blob in blobs_of(manifest) if blob["digest"] not in repository.layers]
    if missing:
        words = f"Layers with digests '[{', '.join(missing)}]' required for pushing image into repository with name"
        where = f"'{repository.name}' in the registry with id '{repository.registry_id}' do not exist"
        raise AWSError("LayersNotFoundException", f"{words} {where}")


def _require_free_tag(repository: Any, image: Any, tag: str | None) -> None:
    holder = next((one for one in repository.images if tag in one.image_tags), None)
    if image and (holder is image or tag is None):
        raise ImageAlreadyExistsException(repository.name, repository.registry_id, image.image_digest, tag or "null")
    if holder and _is_immutable(repository, tag or ""):
        words = f"The image tag '{tag}' already exists in the '{repository.name}' repository"
        raise AWSError(
            "ImageTagAlreadyExistsException", f"{words} and cannot be overwritten because the repository is immutable."
        )


def _is_immutable(repository: Any, tag: str) -> bool:
    filters = repository.image_tag_mutability_exclusion_filters or []
    excluded = any(image_scan.matches_wildcard(one["filter"], tag) for one in filters)
    immutable: bool = repository.is_tag_immutable()
    return immutable != excluded


def _move_tag(repository: Any, image: Any, tag: str | None) -> None:
    """The image that loses its last tag stays, untagged."""
    if tag is None:
        return
    for one in repository.images:
        one.remove_tag(tag)
        if not one.image_tags:
            one.image_tag = None
    image.update_tag(tag)


def _install_layers() -> None:
    @around(ECRBackend, "complete_layer_upload")
    def complete_layer_upload(
        original: Method, self: Any, name: str, upload_id: str, digests: list[str], registry_id: str | None = None
    ) -> dict[str, Any]:
        repository = self._get_repository(name, registry_id)
        upload = repository.uploads.get(upload_id)
        if upload is None:
            raise UploadNotFoundException(upload_id, name, repository.registry_id)
        content = bytes(upload.layer_parts)
        _require_whole(repository, content, digests)
        file: Path = repository.layer_file(digest_of(content))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        answer: dict[str, Any] = original(self, name, upload_id, digests, registry_id=registry_id)
        return answer

    @operation(ECRResponse, "GetDownloadUrlForLayer")
    def get_download_url_for_layer(self: Any) -> dict[str, Any]:
        repository = self.ecr_backend._get_repository(self._get_param("repositoryName"), self._get_param("registryId"))
        digest = self._get_param("layerDigest")
        if not any(blob["digest"] == digest for image in repository.images for blob in blobs_of(image.image_manifest)):
            words = f"Layers with digests '[{digest}]' could not be found in the repository with name"
            raise AWSError("LayersNotFoundException", f"{words} '{repository.name}'")
        content = repository.layer_file(digest).read_bytes()
        return {"downloadUrl": _share(self, digest, content), "layerDigest": digest}


def _require_whole(repository: Any, content: bytes, digests: list[str]) -> None:
    if not content:
        raise AWSError("EmptyUploadException", "The specified layer upload does not contain any layer parts.")
    actual = digest_of(content)
    if digests and actual not in digests:
        words = f"Layer digests '[{', '.join(digests)}]' do not match the uploaded layer '{actual}'"
        raise AWSError("InvalidLayerException", words)
    if actual in repository.layers:
        words = f"The layer with digest '{actual}' already exists in the repository with name '{repository.name}'"
        raise AWSError("LayerAlreadyExistsException", f"{words} in registry with id '{repository.registry_id}'")


def _share(self: Any, digest: str, content: bytes) -> str:
    """Where the layer can be fetched without credentials. The signature is for show: this S3 checks none."""
    backend = s3_backends[STORAGE_ACCOUNT][self.partition]
    bucket = STORAGE_BUCKET.format(region=self.region)
    if bucket not in backend.buckets:
        backend.create_bucket(bucket, self.region)
    backend.put_object(bucket, digest.replace(":", "-"), content)
    endpoint = self.parsed_url._replace(path="", params="", query="", fragment="").geturl()
    expiry = f"X-Amz-Expires=3600&X-Amz-Signature={hashlib.sha256(uuid.uuid4().bytes).hexdigest()}"
    return f"{endpoint}/{bucket}/{digest.replace(':', '-')}?X-Amz-Algorithm=AWS4-HMAC-SHA256&{expiry}"


def _install_answers() -> None:
    @operation(ECRResponse, "DescribeImages")
    def describe_images(self: Any) -> dict[str, Any]:
        backend, ids = self.ecr_backend, self._get_param("imageIds")
        found = backend.describe_images(self._get_param("repositoryName"), self._get_param("registryId"), ids)
        images = [one for one in found if _has_status(one, self._get_param("filter", {}).get("tagStatus", "ANY"))]
        start, size = int(self._get_param("nextToken") or 0), int(self._get_param("maxResults") or PAGE_SIZE)
        page: dict[str, Any] = {"imageDetails": [_detail(one) for one in images[start : start + size]]}
        if start + size < len(images):
            page["nextToken"] = str(start + size)
        return page

    @operation(ECRResponse, "GetAuthorizationToken")
    def get_authorization_token(self: Any) -> dict[str, Any]:
        answer = original_token(self).result
        for token in answer["authorizationData"]:
            token["expiresAt"] = datetime.now(UTC) + timedelta(hours=TOKEN_HOURS)
        return dict(answer)

    @around(ECRBackend, "batch_get_image")
    def batch_get_image(original: Method, self: Any, *args: Any, **kwargs: Any) -> Any:
        answer = original(self, *args, **kwargs)
        for failure, wanted in zip(answer["failures"], _unfound(answer, args), strict=False):
            failure["imageId"] = wanted
        return answer


original_token = ECRResponse.get_authorization_token


def _unfound(answer: dict[str, Any], args: tuple[Any, ...]) -> list[dict[str, str]]:
    found = {one.image_digest for one in answer["images"]} | {t for one in answer["images"] for t in one.image_tags}
    return [one for one in args[-1] if not found & set(one.values())]


def _has_status(image: Any, wanted: str) -> bool:
    return wanted == "ANY" or (wanted == "TAGGED") == bool(image.image_tags)


def _detail(image: Any) -> Any:
    """AWS leaves out an empty list of tags."""
    shown = copy.copy(image)
    if not shown.image_tags:
        del shown.image_tags
    return shown
