"""GitHub's side of a workflow, as far as its scripts see it: expressions in `env`, outputs, the order of the jobs."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONS = sorted((ROOT / ".github" / "actions").glob("*/action.yml"))
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
SHELL = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"]  # what `shell: bash` means on a runner


@dataclass(frozen=True)
class Step:
    workflow: str
    job: str
    content: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.workflow}/{self.job}/{self.content.get('name', self.content.get('uses', ''))}"


def list_steps() -> list[Step]:
    """Every step of every workflow and of our own actions."""
    found = [step for path in WORKFLOWS for step in _steps(path)]
    for path in ACTIONS:
        found += [Step("actions", path.parent.name, one) for one in _read(path)["runs"]["steps"]]
    return found


@dataclass
class Run:
    """One workflow's run. `contexts` is what GitHub knows: github, inputs, vars, secrets."""

    workflow: str
    contexts: dict[str, Any]
    environment: Mapping[str, str]
    folder: Path
    said: dict[str, str] = field(default_factory=dict)

    def carry_out(self) -> None:
        """Each script that would run, in order; the first that fails ends it."""
        document = _read(ROOT / ".github" / "workflows" / f"{self.workflow}.yml")
        self.contexts["needs"] = {name: {"outputs": {}} for name in document["jobs"]}
        for name, job in document["jobs"].items():
            if self._means(job.get("if", "")):
                self._job(name, job, document.get("env", {}))

    def _job(self, name: str, job: dict[str, Any], shared: dict[str, Any]) -> None:
        self.contexts["steps"] = {}
        for step in job["steps"]:
            if "run" in step:
                outputs = self._script(name, step, {**shared, **job.get("env", {}), **step.get("env", {})})
                self.contexts["steps"][step.get("id", "")] = {"outputs": outputs}
        given = {output: self._fill(text) for output, text in job.get("outputs", {}).items()}
        self.contexts["needs"][name]["outputs"] = given

    def _script(self, job: str, step: dict[str, Any], variables: dict[str, Any]) -> dict[str, str]:
        output = self.folder / "output"
        output.write_text("")
        own = {"GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md")}
        filled = {name: self._fill(str(text)) for name, text in variables.items()}
        done = subprocess.run(
            [*SHELL, step["run"]],
            cwd=self.folder,
            env={**self.environment, **own, **{name: text for name, text in filled.items() if text}},
            capture_output=True,
            text=True,
            check=False,
        )
        self.said[step["name"]] = done.stdout + done.stderr
        assert done.returncode == 0, f"{self.workflow}/{job}/{step['name']}:\n{done.stdout}{done.stderr}"
        return dict(line.split("=", 1) for line in output.read_text().splitlines())

    def _fill(self, text: str) -> str:
        return EXPRESSION.sub(lambda found: self._value(found[1]), text)

    def _value(self, expression: str) -> str:
        """The first operand of `a || 'b'` that has a value."""
        for operand in (one.strip() for one in expression.split("||")):
            if value := operand[1:-1] if operand.startswith("'") else self._look_up(operand):
                return str(value)
        return ""

    def _look_up(self, dotted: str) -> Any:
        found: Any = self.contexts
        for name in dotted.split("."):
            found = found.get(name, {})
        return found or ""

    def _means(self, condition: str) -> bool:
        """`a == 'b'`; what only asks whether a job before has failed is true here, where none may."""
        left, equals, right = condition.partition("==")
        return not equals or self._value(left.strip()) == self._value(right.strip())


def _steps(path: Path) -> Iterator[Step]:
    for name, job in _read(path)["jobs"].items():
        yield from (Step(path.stem, name, one) for one in job["steps"])


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document
