"""The linter finds every known defect of the runbook that this project replaces, and none in the same, corrected."""

from pathlib import Path

import pytest

from docs.runbook.lint import lint, main
from docs.runbook.rules import RULES

ROOT = Path(__file__).parents[2]
RUNBOOK, CORRECTED = ROOT / "tests" / "data" / "runbook.md", ROOT / "tests" / "data" / "corrected.md"
# Where a person found each of them; tests/data/runbook.md is the runbook as it was handed to us.
FOUND = {
    "D01": [1246],
    "D02": [331, 797, 1246, 1366],
    "D03": [394, 1323],
    "D04": [1030, 1070],
    "D05": [1194],
    "D06": [951],
    "D07": [780],
    "D08": [804],
    "D09": [468],
    "D10": [1053],
    "D11": [1306],
    "D12": [1036],
    "D13": [324, 384],
    "D14": [570, 576],
    "D15": [567],
    "D16": [355],
    "D17": [585, 1150],
    "D18": [214],
    "D19": [331, 1246],
    "D20": [206, 648],
    "D21": [769, 1425],
    "D22": [793],
    "D23": [701],
    "D24": [503],
    "D25": [80],
    "D26": [1362],
    "D27": [513],
    "D28": [142],
}


def test_every_known_defect_is_found_where_it_is_and_nothing_else() -> None:
    found: dict[str, list[int]] = {}
    for finding in lint(RUNBOOK.read_text()):
        found.setdefault(finding.defect, []).append(finding.line)
    assert found == FOUND


def test_each_defect_has_one_rule() -> None:
    assert sorted(rule.defect for rule in RULES) == sorted(FOUND)


def test_the_same_corrected_has_nothing_to_find() -> None:
    assert lint(CORRECTED.read_text()) == []


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("aws rds reboot-instance --db-instance-identifier a", "rds has no operation 'reboot-instance'"),
        ("aws rdss describe-db-instances", "there is no service 'rdss'"),
        ("aws rds reboot-db-instance --force-failover", "needs --db-instance-identifier"),
        ("aws rds describe-db-instances --identifier a", "has no option --identifier"),
        ("X=$(aws rds describe-db-instances --query 'DBInstances[*].[Endpoint.Host]')", "has no field Host"),
        (
            "aws elbv2 describe-listeners --query 'Listeners[?Port==`443`].Arn'",
            "has no field Arn",
        ),
    ],
)
def test_a_command_that_the_cli_would_refuse_is_found_by_botocores_models(command: str, fault: str) -> None:
    (finding,) = lint(f"```bash\n{command}\n```\n")
    assert fault in finding.text


@pytest.mark.parametrize(
    ("words", "code"), [([str(RUNBOOK)], 1), ([str(CORRECTED)], 0), (["no-such-file.md"], 2), ([], 2)]
)
def test_its_exit_code_tells(words: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == code
    assert ("line 1246: D01" in capsys.readouterr().out) == (code == 1)
