"""A linter for runbooks: `python -m docs.runbook.lint FILE.md` says which commands would fail, or do harm.

Exit codes: 0 nothing found, 1 something found, 2 wrong use.
"""

import sys
from pathlib import Path

from docs.runbook import databases, infrastructure, looking, replacing
from docs.runbook.rules import RULES, Finding, Runbook

TOPICS = (databases, infrastructure, looking, replacing)  # each enters its rules when it is imported


def lint(text: str) -> list[Finding]:
    runbook = Runbook(text)
    found = [finding for rule in RULES for finding in rule.check(runbook)]
    return sorted(found, key=lambda finding: (finding.line, finding.defect))


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or not Path(arguments[0]).is_file():
        sys.stderr.write(f"{__doc__}\nexpected one Markdown file, got: {' '.join(arguments) or 'nothing'}\n")
        return 2
    found = lint(Path(arguments[0]).read_text())
    for finding in found:
        print(f"{arguments[0]} {finding}")  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
