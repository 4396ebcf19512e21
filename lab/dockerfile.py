"""The subset of Dockerfiles that the lab builds: what ends up in an image's files and configuration.

FROM of an outside image, RUN, USER, SHELL, HEALTHCHECK and the like are skipped: the lab's virtualenv stands for the
base image and for what RUN installs.
"""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

CONTINUED = re.compile(r"\\[ \t]*\n")
VARIABLE = re.compile(r"\\\$|\$(?:(\w+)|\{(\w+)(?:(:[-+])([^}]*))?\})")
SKIPPED = frozenset(("RUN", "USER", "SHELL", "HEALTHCHECK", "VOLUME", "STOPSIGNAL", "ONBUILD", "MAINTAINER"))


class DockerfileError(ValueError):
    """What the lab cannot build."""


@dataclass(frozen=True)
class Instruction:
    name: str
    value: str

    def __str__(self) -> str:
        return f"{self.name} {self.value}"


@dataclass(frozen=True)
class Copy:
    sources: tuple[str, ...]
    destination: str


@dataclass(frozen=True)
class Stage:
    """What an image is made of, before any byte is read."""

    environment: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    directory: str = "/"
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    copies: tuple[Copy, ...] = ()
    skipped: tuple[str, ...] = ()


def parse(text: str) -> list[Instruction]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    logical = CONTINUED.sub(" ", "\n".join(lines) + "\n").splitlines()
    found = [line.strip().partition(" ") for line in logical if line.strip()]
    return [Instruction(name.upper(), value.strip()) for name, _, value in found]


def build_stage(text: str, target: str | None, build_args: dict[str, str]) -> Stage:
    """The stage called `target`, or the last one, with all that it inherits."""
    stages: dict[str, Stage] = {}
    instructions = parse(text)
    given = _Arguments(build_args)
    for number, (start, body) in enumerate(_stages(instructions, given)):
        base, name = _read_from(start, given)
        stage = stages.get(base) or Stage(skipped=() if base == "scratch" else (f"FROM {base}",))
        stages[name or str(number)] = _run(stage, body, given.in_stage())
        if (name or str(number)) == target:
            break
    if not stages:
        raise DockerfileError("no build stage: the Dockerfile has no FROM")
    if target and target not in stages:
        raise DockerfileError(f"target stage {target!r} could not be found")
    return stages[target] if target else list(stages.values())[-1]


class _Arguments:
    """ARG: a build argument exists only where it is declared; those before the first FROM are for FROM lines."""

    def __init__(self, given: dict[str, str], known: dict[str, str] | None = None) -> None:
        self.given = given
        self.known: dict[str, str] = {}
        self.outside = known or {}

    def in_stage(self) -> "_Arguments":
        return _Arguments(self.given, self.known)

    def declare(self, text: str, environment: dict[str, str]) -> None:
        for part in shlex.split(text):
            name, has_default, default = part.partition("=")
            value = self.given.get(name, expand(default, environment) if has_default else self.outside.get(name))
            if value is not None:
                self.known[name] = value


def _stages(instructions: list[Instruction], given: _Arguments) -> Iterator[tuple[Instruction, list[Instruction]]]:
    body: list[Instruction] | None = None
    start: Instruction | None = None
    for one in instructions:
        if one.name == "FROM":
            if start and body is not None:
                yield start, body
            start, body = one, []
        elif body is not None:
            body.append(one)
        elif one.name == "ARG":
            given.declare(one.value, given.known)
        else:
            raise DockerfileError(f"no build stage in current context: {one}")
    if start and body is not None:
        yield start, body


def _read_from(instruction: Instruction, given: _Arguments) -> tuple[str, str | None]:
    words = [word for word in expand(instruction.value, given.known).split() if not word.startswith("--")]
    match words:
        case [base]:
            return base, None
        case [base, keyword, name] if keyword.upper() == "AS":
            return base, name
    raise DockerfileError(f"cannot read: {instruction}")


def _run(stage: Stage, body: list[Instruction], arguments: _Arguments) -> Stage:
    for one in body:
        known = {**arguments.known, **stage.environment}
        if one.name == "ARG":
            arguments.declare(one.value, known)
        else:
            stage = _apply(stage, one, known)
    own = {one.name for one in body}
    return replace(stage, command=()) if "ENTRYPOINT" in own and "CMD" not in own else stage


def _apply(stage: Stage, one: Instruction, known: dict[str, str]) -> Stage:
    match one.name:
        case "ENV":
            return replace(stage, environment={**stage.environment, **_pairs(one, known)})
        case "LABEL":
            return replace(stage, labels={**stage.labels, **_pairs(one, known)})
        case "EXPOSE":
            ports = tuple(p if "/" in p else f"{p}/tcp" for p in expand(one.value, known).split())
            return replace(stage, ports=(*stage.ports, *ports))
        case "WORKDIR":
            return replace(stage, directory=absolute(stage.directory, expand(one.value, known)))
        case "CMD":
            return replace(stage, command=_exec_form(one))
        case "ENTRYPOINT":
            return replace(stage, entrypoint=_exec_form(one))
        case "COPY" if "--from=" in one.value:
            return replace(stage, skipped=(*stage.skipped, str(one)))
        case "COPY":
            return replace(stage, copies=(*stage.copies, _copy(stage, one, known)))
    if one.name in SKIPPED:
        return replace(stage, skipped=(*stage.skipped, str(one)))
    raise DockerfileError(f"the lab does not build: {one}")


def _copy(stage: Stage, one: Instruction, known: dict[str, str]) -> Copy:
    text = expand(one.value, known)
    while text.startswith("--"):  # --chown, --chmod, --link: the lab's containers run as its own user
        text = text.partition(" ")[2].lstrip()
    words = json.loads(text) if text.startswith("[") else shlex.split(text)
    if len(words) < 2:
        raise DockerfileError(f"COPY needs a source and a destination: {one}")
    *sources, destination = words
    if len(sources) > 1 and not destination.endswith("/") and destination not in (".", ".."):
        raise DockerfileError(f"When using COPY with more than one source file, the destination must end with /: {one}")
    end = "/" if destination.endswith("/") or destination in (".", "./") else ""
    return Copy(tuple(sources), absolute(stage.directory, destination).rstrip("/") + end)


def _pairs(one: Instruction, known: dict[str, str]) -> dict[str, str]:
    """`A=1 B="two words"`, or the old `A two words`."""
    words = shlex.split(expand(one.value, known))
    if "=" not in words[0]:
        name, _, value = one.value.partition(" ")
        return {name: expand(value.strip(), known)}
    return dict(word.split("=", 1) for word in words)


def _exec_form(one: Instruction) -> tuple[str, ...]:
    try:
        words = json.loads(one.value)
    except ValueError:
        raise DockerfileError(f'the lab has no shell in its containers, write ["...", "..."]: {one}') from None
    return tuple(str(word) for word in words)


def absolute(directory: str, path: str) -> str:
    """`path` as seen from `directory` inside the image."""
    parts: list[str] = []
    for part in (path if path.startswith("/") else f"{directory}/{path}").split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def expand(text: str, known: dict[str, str]) -> str:
    """Substitute $NAME, ${NAME}, ${NAME:-default} and ${NAME:+instead}; an unknown name is empty."""

    def value(found: re.Match[str]) -> str:
        if found.group(0) == r"\$":
            return "$"
        name = found.group(1) or found.group(2)
        match found.group(3):
            case ":-":
                return known.get(name) or found.group(4)
            case ":+":
                return found.group(4) if known.get(name) else ""
        return known.get(name, "")

    return VARIABLE.sub(value, text)
