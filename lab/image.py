"""OCI images from a folder and its Dockerfile: the same files always give the same bytes, and so the same digest."""

import fnmatch
import gzip
import hashlib
import io
import json
import re
import tarfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from lab.dockerfile import Copy, DockerfileError, Stage, build_stage

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
# The time of every file: an image that is built again tomorrow is the same image.
EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True)
class Blob:
    """Bytes and the name that they give themselves."""

    media_type: str
    content: bytes

    @cached_property
    def digest(self) -> str:
        return digest_of(self.content)

    def describe(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.content)}


@dataclass(frozen=True)
class Image:
    config: Blob
    layers: tuple[Blob, ...]
    skipped: tuple[str, ...]

    @cached_property
    def manifest(self) -> Blob:
        described = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": self.config.describe(),
            "layers": [layer.describe() for layer in self.layers],
        }
        return Blob(MANIFEST_TYPE, _json(described))


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def build(folder: Path, *, dockerfile: Path, target: str | None, build_args: dict[str, str]) -> Image:
    """What `docker build` makes of a folder, but for what its base image and its RUN lines would add."""
    stage = build_stage(dockerfile.read_text(), target, build_args)
    context = Context(folder)
    archives = [_archive(context.select(copy)) for copy in stage.copies]
    layers = tuple(Blob(LAYER_TYPE, gzip.compress(one, mtime=0)) for one in archives)
    return Image(_config(stage, [digest_of(one) for one in archives]), layers, stage.skipped)


def _config(stage: Stage, diff_ids: list[str]) -> Blob:
    described = {
        "created": EPOCH,
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Env": [f"{name}={value}" for name, value in stage.environment.items()],
            "Entrypoint": list(stage.entrypoint),
            "Cmd": list(stage.command),
            "WorkingDir": stage.directory,
            "Labels": stage.labels,
            "ExposedPorts": {port: {} for port in stage.ports},
        },
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    return Blob(CONFIG_TYPE, _json(described))


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


class Context:
    """The files that a build can see: the folder without what .dockerignore names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ignore = folder / ".dockerignore"
        lines = ignore.read_text().splitlines() if ignore.exists() else []
        patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        self._rules = [(p.startswith("!"), _pattern(p.removeprefix("!"))) for p in patterns]

    def _is_seen(self, path: str) -> bool:
        if "__pycache__" in path.split("/"):
            return False
        seen = True
        for again, pattern in self._rules:
            if pattern.fullmatch(path):
                seen = again
        return seen

    def files(self, source: Path) -> list[Path]:
        found = source.rglob("*") if source.is_dir() else [source]
        seen = (one for one in found if one.is_file() and self._is_seen(one.relative_to(self.folder).as_posix()))
        return sorted(seen)

    def select(self, copy: Copy) -> dict[str, Path]:
        """Which file goes where. A folder is copied as its contents, as COPY does."""
        chosen: dict[str, Path] = {}
        for source in copy.sources:
            for match in self._matches(source):
                for file in self.files(match):
                    chosen[_destination(copy, match, file)] = file
        return chosen

    def _matches(self, source: str) -> list[Path]:
        pattern = source.strip("/").removeprefix("./") or "."
        if ".." in PurePosixPath(pattern).parts:
            raise DockerfileError(f"COPY cannot leave the build context: {source}")
        found = [self.folder] if pattern == "." else sorted(self.folder.glob(pattern))
        if not any(self.files(one) or one.is_dir() for one in found):
            raise DockerfileError(f'"{source}" not found in {self.folder}')
        return found


def _destination(copy: Copy, match: Path, file: Path) -> str:
    if match.is_dir():
        return f"{copy.destination.rstrip('/')}/{file.relative_to(match).as_posix()}"
    return f"{copy.destination}{file.name}" if copy.destination.endswith("/") else copy.destination


def _pattern(text: str) -> re.Pattern[str]:
    """A .dockerignore line; a folder's name means all below it."""
    *parents, last = text.strip("/").split("/")
    before = "".join("(?:.*/)?" if part == "**" else f"{_part(part)}/" for part in parents)
    return re.compile(before + (".*" if last == "**" else f"{_part(last)}(?:/.*)?"))


def _part(text: str) -> str:
    return fnmatch.translate(text).removeprefix("(?s:").removesuffix(r")\Z").replace(".*", "[^/]*")


def _archive(files: dict[str, Path]) -> bytes:
    """A tar of `files` by their path in the image, with no trace of who packed it and when."""
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in _folders(files):
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for name, file in sorted(files.items()):
            content = file.read_bytes()
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.size, entry.mode = len(content), 0o755 if file.stat().st_mode & 0o100 else 0o644
            tar.addfile(entry, io.BytesIO(content))
    return memory.getvalue()


def _folders(files: dict[str, Path]) -> list[str]:
    return sorted({str(parent) for name in files for parent in PurePosixPath(name).parents if str(parent) != "/"})
