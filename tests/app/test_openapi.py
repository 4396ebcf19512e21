import re
import subprocess
import sys
from pathlib import Path

from flask.testing import FlaskClient

from tests.app.serving import Service

SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"


def test_every_route_is_documented_and_every_documented_route_exists(client: FlaskClient) -> None:
    documented = {
        (path, method.upper())
        for path, operations in client.get("/openapi.json").get_json()["paths"].items()
        for method in operations
        if method != "parameters"
    }
    existing = {
        (re.sub(r"<\w+:(\w+)>", r"{\1}", rule.rule), method)
        for rule in client.application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD"}
    }
    assert documented == existing


def test_the_document_names_each_view(client: FlaskClient) -> None:
    views = {endpoint.split(".")[-1] for endpoint in client.application.view_functions}
    paths = client.get("/openapi.json").get_json()["paths"]
    named = {entry["operationId"] for path in paths.values() for name, entry in path.items() if name != "parameters"}
    assert named == views


def test_the_service_does_what_the_document_says_whatever_it_is_sent(service: Service, tmp_path: Path) -> None:
    checked = subprocess.run(
        [
            SCHEMATHESIS,
            "run",
            f"{service.url}/openapi.json",
            "--checks=all",
            "--max-examples=30",
            "--seed=1",
            "--no-color",
        ],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout
    assert "No issues found" in checked.stdout
    assert not [line for line in service.requests() if line["status"] == 500]
