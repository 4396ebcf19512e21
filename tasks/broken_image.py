"""A release that can't run, made of the one that does: the same layers, and a command that ends at once."""

import hashlib
import json
from typing import TYPE_CHECKING, Any

import httpx

from tasks import aws
from tasks.environment import PROJECT
from tasks.kinds import action

if TYPE_CHECKING:
    from types_boto3_ecr import ECRClient

LABEL = "runbook.drill"


@action
def push_broken_image(digest: str, tag: str) -> str:
    """Push it under this tag; the digest. A second call pushes the very same image, which is there.

    Source: OCI image specification, "config"; Amazon ECR takes that blob as a layer.
    """
    ecr = _ecr()
    manifest, media_type = _read_manifest(digest)
    config = _read_config(manifest["config"]["digest"])
    config["config"] |= {
        "Entrypoint": ["false"],
        "Cmd": [],
        "Labels": {**(config["config"].get("Labels") or {}), LABEL: tag},
    }
    blob = json.dumps(config, sort_keys=True).encode()
    manifest["config"] |= {"digest": _upload(blob), "size": len(blob)}
    text = json.dumps(manifest, sort_keys=True)
    try:
        ecr.put_image(repositoryName=PROJECT, imageManifest=text, imageManifestMediaType=media_type, imageTag=tag)
    except ecr.exceptions.ImageAlreadyExistsException:
        pass
    (pushed,) = ecr.describe_images(repositoryName=PROJECT, imageIds=[{"imageTag": tag}])["imageDetails"]
    return pushed["imageDigest"]


@action
def delete_image(tag: str) -> None:
    """What is not there is fine: BatchDeleteImage reports it as a failure and raises nothing."""
    _ecr().batch_delete_image(repositoryName=PROJECT, imageIds=[{"imageTag": tag}])


def _read_manifest(digest: str) -> tuple[dict[str, Any], str]:
    (found,) = _ecr().batch_get_image(repositoryName=PROJECT, imageIds=[{"imageDigest": digest}])["images"]
    manifest = json.loads(found["imageManifest"])
    return manifest, found.get("imageManifestMediaType") or manifest["mediaType"]


def _read_config(digest: str) -> dict[str, Any]:
    url = _ecr().get_download_url_for_layer(repositoryName=PROJECT, layerDigest=digest)["downloadUrl"]
    config: dict[str, Any] = httpx.get(url).raise_for_status().json()
    return config


def _upload(blob: bytes) -> str:
    ecr, digest = _ecr(), f"sha256:{hashlib.sha256(blob).hexdigest()}"
    upload = ecr.initiate_layer_upload(repositoryName=PROJECT)["uploadId"]
    ecr.upload_layer_part(
        repositoryName=PROJECT, uploadId=upload, partFirstByte=0, partLastByte=len(blob) - 1, layerPartBlob=blob
    )
    try:
        ecr.complete_layer_upload(repositoryName=PROJECT, uploadId=upload, layerDigests=[digest])
    except ecr.exceptions.LayerAlreadyExistsException:
        pass
    return digest


def _ecr() -> "ECRClient":
    client: ECRClient = aws.client("ecr")
    return client
