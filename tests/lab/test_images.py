"""Images are built from a Dockerfile, pushed through ECR's API alone, kept by digest, and scanned."""

import gzip
import hashlib
import io
import json
import tarfile
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from lab.dockerfile import DockerfileError
from lab.image import build
from tests.lab.alb import eventually, fresh_clients
from tests.lab.registry import plain_app, push_by_command, pushed

QUICK = {"Delay": 0.1, "MaxAttempts": 100}  # type: ignore[var-annotated]


@pytest.fixture(scope="module")
def clients(lab: dict[str, Any]) -> Callable[..., Any]:
    return fresh_clients(lab)


@pytest.fixture(scope="module")
def ecr(clients: Callable[..., Any]) -> Any:
    return clients("ecr")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return plain_app(tmp_path / "app")


def repository(ecr: Any, mutability: str = "IMMUTABLE", scan: bool = False) -> str:
    name = f"app-{uuid.uuid4().hex[:8]}"
    ecr.create_repository(
        repositoryName=name, imageTagMutability=mutability, imageScanningConfiguration={"scanOnPush": scan}
    )
    return name


def upload(ecr: Any, name: str, content: bytes) -> str:
    upload_id = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
    ecr.upload_layer_part(
        repositoryName=name, uploadId=upload_id, partFirstByte=0, partLastByte=len(content) - 1, layerPartBlob=content
    )
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    done = ecr.complete_layer_upload(repositoryName=name, uploadId=upload_id, layerDigests=[digest])
    layer: str = done["layerDigest"]
    return layer


def refused(call: Callable[..., Any], **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def files_of(folder: Path, **options: Any) -> list[str]:
    """The paths in the layers of an image built from `folder`."""
    image = build(folder, **{"dockerfile": folder / "Dockerfile", "target": None, "build_args": {}, **options})
    names = []
    for layer in image.layers:
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(layer.content))) as tar:
            names += [entry.name for entry in tar if entry.isfile()]
    return names


def config_of(folder: Path, target: str | None = None, **build_args: str) -> dict[str, Any]:
    image = build(folder, dockerfile=folder / "Dockerfile", target=target, build_args=build_args)
    config: dict[str, Any] = json.loads(image.config.content)["config"]
    return config


def test_pushing_the_same_files_twice_gives_one_image_with_one_digest(
    lab: dict[str, Any], ecr: Any, app: Path, tmp_path: Path
) -> None:
    name = repository(ecr)
    done = push_by_command(lab, app, name, "1.0.0", VERSION="1.0.0")
    assert "RUN pip install flask" in done.stderr, "what is skipped is said"
    first = done.stdout.splitlines()[-1]
    (app / "__pycache__").mkdir()
    (app / "__pycache__" / "server.pyc").write_bytes(b"compiled")
    elsewhere = plain_app(tmp_path / "elsewhere")
    again = push_by_command(lab, elsewhere, name, "1.0.0", VERSION="1.0.0")
    assert again.stdout.splitlines()[-1] == first
    (image,) = ecr.describe_images(repositoryName=name)["imageDetails"]
    uri, _, digest = first.partition("@")
    assert uri == ecr.describe_repositories(repositoryNames=[name])["repositories"][0]["repositoryUri"]
    assert (image["imageDigest"], image["imageTags"]) == (digest, ["1.0.0"])


def test_a_digest_is_the_sha256_of_the_manifest_and_names_config_and_layers_that_are_there(ecr: Any, app: Path) -> None:
    name = repository(ecr)
    digest = pushed(ecr, app, name, "1.0.0").partition("@")[2]
    (image,) = ecr.batch_get_image(repositoryName=name, imageIds=[{"imageDigest": digest}])["images"]
    assert f"sha256:{hashlib.sha256(image['imageManifest'].encode()).hexdigest()}" == digest
    manifest = json.loads(image["imageManifest"])
    blobs = [manifest["config"], *manifest["layers"]]
    for blob in blobs:
        url = ecr.get_download_url_for_layer(repositoryName=name, layerDigest=blob["digest"])["downloadUrl"]
        with urllib.request.urlopen(url) as answer:
            assert f"sha256:{hashlib.sha256(answer.read()).hexdigest()}" == blob["digest"]
    (detail,) = ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": "1.0.0"}])["imageDetails"]
    assert detail["imageSizeInBytes"] == sum(blob["size"] for blob in blobs)


def test_an_immutable_tag_stays_with_its_image(lab: dict[str, Any], ecr: Any, app: Path) -> None:
    name = repository(ecr)
    first = pushed(ecr, app, name, "1.0.0", VERSION="1.0.0")
    again = push_by_command(lab, app, name, "1.0.0", VERSION="1.0.1")
    assert again.returncode == 1
    assert "ImageTagAlreadyExistsException" in again.stderr
    assert f"The image tag '1.0.0' already exists in the '{name}' repository and cannot be overwritten" in again.stderr
    (image,) = ecr.describe_images(repositoryName=name)["imageDetails"]
    assert image["imageDigest"] == first.partition("@")[2]


def test_a_mutable_tag_moves_and_leaves_the_old_image_untagged(ecr: Any, app: Path) -> None:
    name = repository(ecr, "MUTABLE")
    old = pushed(ecr, app, name, "latest", VERSION="1").partition("@")[2]
    new = pushed(ecr, app, name, "latest", VERSION="2").partition("@")[2]
    found = {
        one["imageDigest"]: one.get("imageTags") for one in ecr.describe_images(repositoryName=name)["imageDetails"]
    }
    assert found == {old: None, new: ["latest"]}
    untagged = ecr.describe_images(repositoryName=name, filter={"tagStatus": "UNTAGGED"})["imageDetails"]
    assert [one["imageDigest"] for one in untagged] == [old]


def test_put_image_refuses_what_is_there_already_and_gives_a_second_tag(ecr: Any, app: Path) -> None:
    name = repository(ecr)
    pushed(ecr, app, name, "1.0.0")
    manifest = ecr.batch_get_image(repositoryName=name, imageIds=[{"imageTag": "1.0.0"}])["images"][0]["imageManifest"]
    same = {"repositoryName": name, "imageManifest": manifest}
    assert refused(ecr.put_image, **same, imageTag="1.0.0")[0] == "ImageAlreadyExistsException"
    assert refused(ecr.put_image, **same)[0] == "ImageAlreadyExistsException"
    assert refused(ecr.put_image, **same, imageTag="x", imageDigest=f"sha256:{'0' * 64}")[0] == (
        "ImageDigestDoesNotMatchException"
    )
    assert ecr.put_image(**same, imageTag="stable")["image"]["imageId"]["imageTag"] == "stable"
    (image,) = ecr.describe_images(repositoryName=name)["imageDetails"]
    assert sorted(image["imageTags"]) == ["1.0.0", "stable"]


def test_a_manifest_without_its_layers_is_refused(ecr: Any) -> None:
    name = repository(ecr)
    missing = f"sha256:{'a' * 64}"
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"digest": upload(ecr, name, b"{}"), "size": 2},
            "layers": [{"digest": missing, "size": 1}],
        }
    )
    code, message = refused(ecr.put_image, repositoryName=name, imageManifest=manifest, imageTag="1")
    assert code == "LayersNotFoundException"
    assert missing in message
    assert ecr.describe_images(repositoryName=name)["imageDetails"] == []


def test_a_layer_must_be_what_its_digest_says_and_is_uploaded_once(ecr: Any) -> None:
    name = repository(ecr)
    digest = upload(ecr, name, b"a layer")
    found = ecr.batch_check_layer_availability(repositoryName=name, layerDigests=[digest, f"sha256:{'b' * 64}"])
    assert [one["layerDigest"] for one in found["layers"]] == [digest]
    assert [one["failureCode"] for one in found["failures"]] == ["MissingLayerDigest"]
    with pytest.raises(ecr.exceptions.LayerAlreadyExistsException):
        upload(ecr, name, b"a layer")
    upload_id = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
    complete = {"repositoryName": name, "uploadId": upload_id, "layerDigests": [digest]}
    assert refused(ecr.complete_layer_upload, **complete)[0] == "EmptyUploadException"
    ecr.upload_layer_part(
        repositoryName=name, uploadId=upload_id, partFirstByte=0, partLastByte=4, layerPartBlob=b"other"
    )
    assert refused(ecr.complete_layer_upload, **complete)[0] == "InvalidLayerException"


def test_an_image_that_is_not_there_is_not_found(ecr: Any) -> None:
    name = repository(ecr)
    for image_id in ({"imageTag": "9"}, {"imageDigest": f"sha256:{'c' * 64}"}):
        assert refused(ecr.describe_images, repositoryName=name, imageIds=[image_id])[0] == "ImageNotFoundException"
        failures = ecr.batch_get_image(repositoryName=name, imageIds=[image_id])["failures"]
        assert [(one["failureCode"], one["imageId"]) for one in failures] == [("ImageNotFound", image_id)]


def test_a_push_to_no_repository_says_so(lab: dict[str, Any], app: Path, ecr: Any) -> None:
    done = push_by_command(lab, app, "nowhere", "1")
    assert done.returncode == 1
    assert "RepositoryNotFoundException" in done.stderr


def test_a_scan_on_push_goes_its_way_and_finds_nothing_in_a_clean_image(ecr: Any, app: Path) -> None:
    name = repository(ecr, scan=True)
    pushed(ecr, app, name, "1.0.0")
    asked = {"repositoryName": name, "imageId": {"imageTag": "1.0.0"}}
    assert ecr.describe_image_scan_findings(**asked)["imageScanStatus"]["status"] in ("PENDING", "IN_PROGRESS")
    ecr.get_waiter("image_scan_complete").wait(**asked, WaiterConfig=QUICK)
    assert ecr.describe_image_scan_findings(**asked)["imageScanFindings"]["findings"] == []
    assert refused(ecr.start_image_scan, **asked)[0] == "LimitExceededException"


def test_findings_come_from_the_image_and_are_counted(ecr: Any, app: Path) -> None:
    name = repository(ecr, scan=True)
    labels = {"FINDINGS": "HIGH:CVE-2026-0002,CRITICAL:CVE-2026-0001"}
    digest = pushed(ecr, app, name, "1.0.0", **labels).partition("@")[2]
    asked = {"repositoryName": name, "imageId": {"imageDigest": digest}}
    ecr.get_waiter("image_scan_complete").wait(**asked, WaiterConfig=QUICK)
    found = ecr.describe_image_scan_findings(**asked)["imageScanFindings"]
    assert [(one["severity"], one["name"]) for one in found["findings"]] == [
        ("CRITICAL", "CVE-2026-0001"),
        ("HIGH", "CVE-2026-0002"),
    ]
    (detail,) = ecr.describe_images(repositoryName=name)["imageDetails"]
    assert detail["imageScanFindingsSummary"]["findingSeverityCounts"] == {"CRITICAL": 1, "HIGH": 1}


def test_an_image_is_scanned_only_when_somebody_asks_and_a_scan_can_fail(ecr: Any, app: Path) -> None:
    name = repository(ecr)
    pushed(ecr, app, name, "1.0.0", SCAN="FAILED")
    asked = {"repositoryName": name, "imageId": {"imageTag": "1.0.0"}}
    assert refused(ecr.describe_image_scan_findings, **asked)[0] == "ScanNotFoundException"
    assert ecr.start_image_scan(**asked)["imageScanStatus"]["status"] == "IN_PROGRESS"
    with pytest.raises(WaiterError):
        ecr.get_waiter("image_scan_complete").wait(**asked, WaiterConfig=QUICK)
    status = eventually(lambda: ecr.describe_image_scan_findings(**asked)["imageScanStatus"])
    assert status["status"] == "FAILED"
    assert status["description"].startswith("UnsupportedImageError")


def test_a_stage_inherits_from_the_stages_below_it_and_from_no_other(app: Path) -> None:
    config = config_of(app, "app", VERSION="2.0.0")
    assert config["Env"] == ["VERSION=2.0.0", "PYTHONUNBUFFERED=1"]
    assert (config["WorkingDir"], config["Cmd"]) == ("/srv/app", ["python", "/srv/app/server.py"])
    assert list(config["ExposedPorts"]) == ["5000/tcp"]
    worker = config_of(app, "worker")
    assert (worker["WorkingDir"], worker["Env"], worker["Labels"]) == ("/srv/app", [], {})
    assert files_of(app, target="worker") == []
    assert config_of(app)["Cmd"] == worker["Cmd"], "without a target the last stage is built"


def test_copy_leaves_out_what_dockerignore_names(tmp_path: Path) -> None:
    for name in ("keep/a.py", "keep/deep/b.py", "keep/deep/c.pyc", "secret/key", "notes.md", "keep/__pycache__/a.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "Dockerfile").write_text("FROM x\nCOPY . /srv\nCOPY keep/a.py notes* /other/\n")
    (tmp_path / ".dockerignore").write_text("*\n!keep\n!notes.md\n**/*.pyc\n")
    assert files_of(tmp_path) == [
        "srv/keep/a.py",
        "srv/keep/deep/b.py",
        "srv/notes.md",
        "other/a.py",
        "other/notes.md",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FROM x\nCMD python server.py", "no shell"),
        ("FROM x\nCOPY nothing.py .", "not found"),
        ("FROM x\nCOPY ../other .", "cannot leave the build context"),
        ("FROM x\nADD http://example.com/a /a", "does not build: ADD"),
        ("RUN true", "no build stage"),
    ],
)
def test_a_dockerfile_that_the_lab_cannot_build_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "Dockerfile").write_text(text)
    with pytest.raises(DockerfileError, match=words):
        files_of(tmp_path)
