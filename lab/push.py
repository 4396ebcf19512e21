"""Build an image and push it, through Amazon ECR's API alone: what `docker build` and `docker push` would do."""

import argparse
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from lab.dockerfile import DockerfileError
from lab.image import Blob, Image, build


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="the build context")
    parser.add_argument("--repository", required=True, help="name of the ECR repository, which must exist")
    parser.add_argument("--tag", required=True)
    parser.add_argument("--file", type=Path, help="the Dockerfile (default: FOLDER/Dockerfile)")
    parser.add_argument("--target", help="the stage to build (default: the last one)")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE", help="value of an ARG")


def build_and_push(options: argparse.Namespace) -> int:
    """Print what is skipped on stderr, and `repository@sha256:...` as the last line on stdout."""
    build_args = dict(pair.partition("=")[::2] for pair in options.build_arg)
    dockerfile = options.file or options.folder / "Dockerfile"
    try:
        image = build(options.folder, dockerfile=dockerfile, target=options.target, build_args=build_args)
    except (DockerfileError, OSError) as error:
        sys.exit(f"cannot build {options.folder}: {error}")
    for line in image.skipped:
        print(f"skipped, the lab's virtualenv stands for it: {line}", file=sys.stderr)  # noqa: T201
    try:
        uri = push(boto3.client("ecr"), options.repository, options.tag, image)
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"cannot push {options.repository}:{options.tag}: {error}")
    print(f"{uri}@{image.manifest.digest}")  # noqa: T201
    return 0


def push(ecr: Any, repository: str, tag: str, image: Image) -> str:
    """Upload the layers that the registry lacks, then the manifest. Returns the repository's URI."""
    described = ecr.describe_repositories(repositoryNames=[repository])["repositories"][0]
    blobs = {blob.digest: blob for blob in (*image.layers, image.config)}
    asked = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=list(blobs))
    present = {one["layerDigest"] for one in asked["layers"] if one["layerAvailability"] == "AVAILABLE"}
    for digest in blobs.keys() - present:
        _upload(ecr, repository, blobs[digest])
    try:
        ecr.put_image(
            repositoryName=repository,
            imageManifest=image.manifest.content.decode(),
            imageManifestMediaType=image.manifest.media_type,
            imageTag=tag,
        )
    except ecr.exceptions.ImageAlreadyExistsException:
        pass  # this very image under this very tag: what was asked for is there
    uri: str = described["repositoryUri"]
    return uri


def _upload(ecr: Any, repository: str, blob: Blob) -> None:
    upload = ecr.initiate_layer_upload(repositoryName=repository)
    size = upload["partSize"]
    for first in range(0, len(blob.content), size):
        part = blob.content[first : first + size]
        ecr.upload_layer_part(
            repositoryName=repository,
            uploadId=upload["uploadId"],
            partFirstByte=first,
            partLastByte=first + len(part) - 1,
            layerPartBlob=part,
        )
    ecr.complete_layer_upload(repositoryName=repository, uploadId=upload["uploadId"], layerDigests=[blob.digest])
