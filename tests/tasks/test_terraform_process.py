"""Where the provider comes from, and how a Terraform process is ended."""

import os
import stat
import threading
import time
from pathlib import Path

import pytest

from tasks import terraform_process
from tasks.terraform_process import PROVIDER, TerraformProcess, find_provider_mirror, provider_settings


@pytest.fixture(autouse=True)
def _bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which the provider lies nowhere."""
    for name in ("TERRAFORM_PROVIDER_MIRROR", "TF_CLI_CONFIG_FILE", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path / "share"))
    monkeypatch.setattr(terraform_process, "CONVENTIONAL_MIRRORS", (f"{tmp_path}/opt/*",))


def put_provider(mirror: Path) -> Path:
    (mirror / PROVIDER / "5.100.0").mkdir(parents=True)
    return mirror


def test_a_setting_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_provider(tmp_path / "opt" / "plugins")
    monkeypatch.setenv("TERRAFORM_PROVIDER_MIRROR", "/chosen")
    assert find_provider_mirror() == Path("/chosen")


@pytest.mark.parametrize(
    "implied", ["home/.terraform.d/plugins", "home/.local/share/terraform/plugins", "share/terraform/plugins"]
)
def test_terraforms_own_mirrors_are_left_to_terraform(tmp_path: Path, implied: str) -> None:
    put_provider(tmp_path / "opt" / "plugins")
    put_provider(tmp_path / implied)
    assert find_provider_mirror() is None


def test_an_operators_cli_configuration_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_provider(tmp_path / "opt" / "plugins")
    (tmp_path / "terraform.rc").touch()
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(tmp_path / "terraform.rc"))
    assert provider_settings(tmp_path) == {}


def test_a_conventional_mirror_is_found_even_when_the_configuration_names_a_missing_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = put_provider(tmp_path / "opt" / "plugins")
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(tmp_path / "missing.rc"))
    assert str(mirror) in Path(provider_settings(tmp_path)["TF_CLI_CONFIG_FILE"]).read_text()


def test_without_any_mirror_the_public_registry_is_asked(tmp_path: Path) -> None:
    assert provider_settings(tmp_path) == {}


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A 'terraform' that notes each signal and its environment, and takes a moment to end, as the real one does."""
    script = tmp_path / "bin" / "terraform"
    script.parent.mkdir()
    script.write_text(
        "#!/bin/sh\n"
        "trap 'echo INT >> signals; sleep 0.3; exit 1' INT\n"
        "env > environment\n"
        'echo \'{"@level":"info","@message":"begun","type":"apply_start"}\'\n'
        'echo "not json"\n'
        '[ "$1" = quick ] && exit 0\n'
        "for i in $(seq 200); do sleep 0.1; done\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    return tmp_path


def test_a_timeout_sends_exactly_one_signal(stand_in: Path) -> None:
    outcome = TerraformProcess(stand_in).run("apply", timeout_seconds=0.5)
    assert outcome.code == 1
    assert (stand_in / "signals").read_text().split() == ["INT"]


def test_an_exception_on_the_way_ends_the_process_gently(stand_in: Path) -> None:
    def stop(_event: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        TerraformProcess(stand_in).run("apply", on_event=stop)
    assert (stand_in / "signals").read_text().split() == ["INT"]


def test_events_come_live_and_apart_from_text(stand_in: Path) -> None:
    seen: list[float] = []
    began = time.monotonic()
    process = TerraformProcess(stand_in)
    runner = threading.Thread(
        target=lambda: process.run("apply", on_event=lambda _: seen.append(time.monotonic()), timeout_seconds=1.5)
    )
    runner.start()
    runner.join()
    assert seen
    assert seen[0] - began < 1
    quick = process.run("quick")
    assert (quick.code, quick.text) == (0, "not json\n")


def test_what_an_operators_shell_exported_does_not_reach_terraform(
    stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TF_CLI_ARGS_plan", "TF_WORKSPACE", "TF_VAR_image", "TF_LOG"):
        monkeypatch.setenv(name, "surprise")
    TerraformProcess(stand_in, {"TF_VAR_db_password": "given"}).run("quick")
    environment = (stand_in / "environment").read_text()
    assert "surprise" not in environment
    assert "TF_VAR_db_password=given" in environment


def test_the_real_terraform_is_not_killed_by_a_signal_to_our_own_group(stand_in: Path) -> None:
    """Control-C in a terminal reaches the whole group; Terraform must get its one signal from us alone."""
    pids: list[int] = []
    runner = threading.Thread(
        target=lambda: TerraformProcess(stand_in).run("apply", on_start=pids.append, timeout_seconds=1.0)
    )
    runner.start()
    while not pids:
        time.sleep(0.01)
    assert os.getpgid(pids[0]) != os.getpgid(0)
    runner.join()
