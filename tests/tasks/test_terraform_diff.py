"""A change of the Terraform code that is recommended is one that git applies and Terraform accepts as written."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tasks import terraform_diff
from tasks.recommendations_compute import MAIN, SCHEDULE
from tasks.recommendations_egress import ENDPOINTS
from tasks.terraform_diff import add_to, set_variable

ROOT = Path(__file__).parents[2]
TFVARS = "terraform/environments/dev/terraform.tfvars"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "terraform", tmp_path / "terraform", ignore=shutil.ignore_patterns(".terraform"))
    return tmp_path


def apply(copy: Path, diff: str) -> None:
    subprocess.run(["git", "apply", "-"], input=f"{diff}\n", text=True, cwd=copy, check=True)
    subprocess.run(["terraform", "fmt", "-check", "-recursive", "terraform"], cwd=copy, check=True)


def test_a_size_is_changed_where_it_is_set(copy: Path) -> None:
    apply(copy, set_variable("dev", "db_instance_class", '"db.t3.micro"', '"db.t4g.micro"'))
    before, after = ((root / TFVARS).read_text() for root in (ROOT, copy))
    assert after == before.replace('"db.t3.micro"', '"db.t4g.micro"') != before


@pytest.mark.parametrize("text", [SCHEDULE, ENDPOINTS], ids=["nights", "endpoints"])
def test_more_is_added_at_the_end(copy: Path, text: str) -> None:
    apply(copy, add_to(MAIN, text))
    assert (copy / MAIN).read_text() == f"{(ROOT / MAIN).read_text()}\n{text}\n"


def test_where_the_code_is_other_than_what_runs_no_diff_is_made_up() -> None:
    said = set_variable("dev", "instance_type", '"m5.large"', '"m6g.large"')
    assert said == f'in {TFVARS}: instance_type = "m6g.large", where "m5.large" was seen to run'


def test_a_worker_without_the_code_says_it_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terraform_diff, "ROOT", tmp_path)
    assert add_to(MAIN, "more") == f"at the end of {MAIN}:\nmore"
    assert "where" in set_variable("dev", "instance_type", '"t3.micro"', '"t4g.micro"')
