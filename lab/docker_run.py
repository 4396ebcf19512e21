"""The one `docker run` command in an instance's user data. The lab reads it, and executes nothing else of a script."""

import argparse
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

CONTINUED = re.compile(r"\\[ \t]*\n")
REFERENCE = re.compile(
    r"(?P<registry>(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com)/(?P<repository>[a-z0-9._/-]+)"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64})|:(?P<tag>[\w][\w.-]{0,127}))?"
)
VALUES_IGNORED = (
    ["-v", "--volume"], ["-u", "--user"], ["-w", "--workdir"], ["--network", "--net"], ["-m", "--memory"],
    ["--cpus"], ["-h", "--hostname"], ["-l", "--label"], ["--env-file"], ["--pull"], ["--platform"], ["--mount"],
    ["--ulimit"], ["--health-cmd"], ["--health-interval"], ["--stop-timeout"], ["--log-level"], ["--security-opt"],
    ["--cap-drop"], ["--cap-add"], ["--tmpfs"], ["--memory-swap"], ["--shm-size"], ["--pids-limit"], ["--add-host"],
)  # fmt: skip
FLAGS_IGNORED = (["-d", "--detach"], ["-i"], ["-t"], ["--init"], ["--rm"], ["--read-only"], ["--privileged"])


class DockerError(RuntimeError):
    """What docker would print, and nothing runs."""


@dataclass(frozen=True)
class ImageReference:
    account: str
    region: str
    repository: str
    digest: str | None
    tag: str | None
    text: str

    @classmethod
    def parse(cls, text: str) -> "ImageReference":
        found = REFERENCE.fullmatch(text)
        if found is None:
            raise DockerError(f"docker: invalid reference format: {text!r} (this lab pulls from Amazon ECR only).")
        tag = found["tag"] or (None if found["digest"] else "latest")
        return cls(found["account"], found["region"], found["repository"], found["digest"], tag, text)


@dataclass(frozen=True)
class DockerRun:
    """What a `docker run` asks for."""

    image: ImageReference
    command: tuple[str, ...]
    environment: dict[str, str]
    ports: dict[int, int]  # of the container, by port of the host
    restart_policy: str
    log_driver: str
    log_options: dict[str, str]
    name: str | None = None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise DockerError(f"docker: {message}.")


def _parser() -> _Parser:
    parser = _Parser("docker", add_help=False, allow_abbrev=False)
    parser.add_argument("--restart", default="no")
    parser.add_argument("--name")
    parser.add_argument("-p", "--publish", action="append", default=[])
    parser.add_argument("-e", "--env", action="append", default=[])
    parser.add_argument("--log-driver", default="json-file")
    parser.add_argument("--log-opt", action="append", default=[])
    for names in VALUES_IGNORED:
        parser.add_argument(*names, action="append", dest="ignored")
    for names in FLAGS_IGNORED:
        parser.add_argument(*names, action="store_true", dest="ignored_flag")
    parser.add_argument("image")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    return parser


def find_docker_run(user_data: str, instance_id: str) -> DockerRun | None:
    """None when the script runs no container."""
    known = {"INSTANCE_ID": instance_id}
    for words in _commands(user_data):
        for position in range(len(words) - 1):
            if words[position : position + 2] == ["docker", "run"]:
                return _read([_substitute(word, known) for word in words[position + 2 :]])
    return None


def _commands(user_data: str) -> Iterator[list[str]]:
    for line in CONTINUED.sub(" ", user_data + "\n").splitlines():
        try:
            yield shlex.split(line, comments=True)
        except ValueError:  # half of a quotation that goes on: not the line that is looked for
            continue


def _substitute(word: str, known: dict[str, str]) -> str:
    return re.sub(r"\$(?:(\w+)|\{(\w+)\})", lambda m: known.get(m[1] or m[2], m[0]), word)


def _read(words: list[str]) -> DockerRun:
    options = _parser().parse_args(words)
    return DockerRun(
        ImageReference.parse(options.image),
        tuple(options.command),
        dict(pair.split("=", 1) for pair in options.env if "=" in pair),
        dict(_port(text) for text in options.publish),
        options.restart.partition(":")[0],
        options.log_driver,
        dict(pair.split("=", 1) for pair in options.log_opt if "=" in pair),
        options.name,
    )


def _port(text: str) -> tuple[int, int]:
    """`5000:5000`, `0.0.0.0:80:5000/tcp`."""
    try:
        host, container = text.removesuffix("/tcp").split(":")[-2:]
        return int(host), int(container)
    except ValueError:
        raise DockerError(f"docker: invalid publish opts format (should be name=value but got '{text}').") from None
