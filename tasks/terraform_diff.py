"""A change of the Terraform code as a diff that `git apply` takes, where the code is as it was expected to be."""

import re
from difflib import unified_diff
from pathlib import Path

ROOT = Path(__file__).parents[1]


def set_variable(environment: str, name: str, now: str, then: str) -> str:
    """A value in an environment's tfvars, as Terraform writes it; a sentence where that file is not here, or other."""
    path = f"terraform/environments/{environment}/terraform.tfvars"
    before = _read(path)
    after = re.sub(rf"^({name}\s*=\s*){re.escape(now)}(?=\s|$)", rf"\g<1>{then}", before, flags=re.MULTILINE)
    if after == before:
        return f"in {path}: {name} = {then}, where {now} was seen to run"
    return _diff(path, before, after)


def add_to(path: str, text: str) -> str:
    """More at the end of a file; as it is, where that file is not here."""
    before = _read(path)
    return _diff(path, before, f"{before}\n{text}\n") if before else f"at the end of {path}:\n{text}"


def _read(path: str) -> str:
    file = ROOT / path
    return file.read_text() if file.exists() else ""


def _diff(path: str, before: str, after: str) -> str:
    old, new = (text.splitlines(keepends=True) for text in (before, after))
    return "".join(unified_diff(old, new, f"a/{path}", f"b/{path}")).rstrip("\n")
