"""What `docker pull` does on an instance: find the image in ECR's state, verify every byte, unpack it."""

import gzip
import io
import json
import shutil
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.ecr.models import ecr_backends

from lab.docker_run import DockerError, ImageReference
from lab.image import digest_of

DAEMON = "docker: Error response from daemon:"


@dataclass(frozen=True)
class Pulled:
    """An image by its digest, as files that are still to be verified."""

    reference: ImageReference
    digest: str
    config: tuple[str, Path]
    layers: tuple[tuple[str, Path], ...]


@dataclass(frozen=True)
class ImageConfig:
    environment: dict[str, str]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    directory: str
    ports: tuple[int, ...]


def find_image(reference: ImageReference) -> Pulled:
    """Ask ECR for the manifest. The lab's lock is held."""
    backend = ecr_backends[reference.account][reference.region]
    repository = backend.repositories.get(reference.repository)
    if repository is None:
        words = f"The repository with name '{reference.repository}' does not exist in the registry with id"
        url = reference.text.partition("@")[0]
        raise DockerError(f"{DAEMON} repository {url} not found: name unknown: {words} '{reference.account}'.")
    image = _choose(repository, reference)
    if image is None:
        words = "manifest unknown: Requested image not found"
        raise DockerError(f"{DAEMON} manifest for {reference.text} not found: {words}.")
    image.last_recorded_pull_time = datetime.now(UTC)
    manifest = json.loads(image.image_manifest)
    if "config" not in manifest:
        raise DockerError(f"{DAEMON} unsupported manifest media type {image.image_manifest_media_type}.")
    digests = [layer["digest"] for layer in manifest["layers"]]
    return Pulled(
        reference,
        image.image_digest,
        (manifest["config"]["digest"], repository.layer_file(manifest["config"]["digest"])),
        tuple((digest, repository.layer_file(digest)) for digest in digests),
    )


def _choose(repository: Any, reference: ImageReference) -> Any:
    for image in repository.images:
        if image.image_digest == reference.digest or reference.tag in image.image_tags:
            return image
    return None


def unpack(pulled: Pulled, rootfs: Path) -> ImageConfig:
    shutil.rmtree(rootfs, ignore_errors=True)
    rootfs.mkdir(parents=True)
    for digest, file in pulled.layers:
        content = _verified(digest, file)
        try:
            _extract(content, rootfs)
        except (tarfile.TarError, OSError, EOFError) as error:
            raise DockerError(f"docker: failed to register layer: {error}.") from error
    config = _read_config(_verified(*pulled.config))
    (rootfs / config.directory.lstrip("/")).mkdir(parents=True, exist_ok=True)
    return config


def _extract(content: bytes, rootfs: Path) -> None:
    raw = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        tar.extractall(rootfs, filter="data")


def _verified(digest: str, file: Path) -> bytes:
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise DockerError(f"{DAEMON} unknown blob: {digest}.") from None
    if digest_of(content) != digest:
        raise DockerError(f"{DAEMON} filesystem layer verification failed for digest {digest}.")
    return content


def _read_config(content: bytes) -> ImageConfig:
    config = json.loads(content).get("config") or {}
    return ImageConfig(
        dict(pair.split("=", 1) for pair in config.get("Env") or []),
        tuple(config.get("Entrypoint") or ()),
        tuple(config.get("Cmd") or ()),
        config.get("WorkingDir") or "/",
        tuple(int(port.partition("/")[0]) for port in config.get("ExposedPorts") or {}),
    )
