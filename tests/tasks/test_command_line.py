"""What a text on the command line becomes: JSON where the parameter can take it; and which texts are refused."""

import sys
from typing import Any

import pytest

from flows.deploy_application import deploy_application
from flows.mark_crashed import mark_crashed
from flows.refresh_instances import refresh_instances
from flows.rollback_infrastructure import rollback_infrastructure
from flows.run_command import run_command
from flows.run_drill import run_drill
from tasks.command_line import EXIT_WRONG_USE, read_value, run


@pytest.mark.parametrize(
    ("flow", "name", "text", "value"),
    [
        (rollback_infrastructure, "commit", "1234567", "1234567"),
        (rollback_infrastructure, "commit", "12e4567", "12e4567"),
        (rollback_infrastructure, "commit", "null", None),
        (
            rollback_infrastructure,
            "allow_loss",
            '["module.rds.aws_db_instance.main"]',
            ["module.rds.aws_db_instance.main"],
        ),
        (deploy_application, "batch_percentage", "50", 50),
        (deploy_application, "image", "sha256:0", "sha256:0"),
    ],
)
def test_a_text_is_read_as_the_parameter_wants_it(flow: Any, name: str, text: str, value: object) -> None:
    assert read_value(text, flow.parameters.properties[name]) == value


@pytest.mark.parametrize(
    ("flow", "given", "named"),
    [
        (deploy_application, ["--environment", "staging", "--image", "sha256:0"], "environment"),
        (
            deploy_application,
            ["--environment", "dev", "--image", "sha256:0", "--bake-minutes", "121"],
            "bake_minutes",
        ),
        (
            deploy_application,
            ["--environment", "dev", "--image", "sha256:0", "--approved-plan", "yes"],
            "approved_plan",
        ),
        (refresh_instances, ["--environment", "dev", "--request", "INC 42!"], "request"),
        (run_command, ["--environment", "dev", "--commands", "[]"], "commands"),
        (run_drill, ["--scenario", "earthquake"], "scenario"),
        (mark_crashed, ["--run", "yesterday"], "run"),
    ],
)
def test_a_wrong_value_is_refused_by_the_fields_name_before_anything_begins(
    flow: Any, given: list[str], named: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["flow", *given])
    with pytest.raises(SystemExit) as ended:
        run(flow)
    assert ended.value.code == EXIT_WRONG_USE
    said = capsys.readouterr().err
    assert named in said
    assert "Nothing was changed" in said
