"""What a text on the command line becomes: JSON where the parameter can take it."""

from typing import Any

import pytest

from flows.deploy_application import deploy_application
from flows.rollback_infrastructure import rollback_infrastructure
from tasks.command_line import read_value


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
