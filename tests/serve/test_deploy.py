"""The container's files: what can be held without building them."""

import inspect
import json
import os
import re
import shutil
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from boxray.cli.main import main
from boxray.core.errors import CODES
from boxray.imaging.child import Limits
from boxray.imaging.limits import MAX_FILE_BYTES, MAX_PIXELS
from boxray.serve import server
from boxray.serve.app import quiet_environment
from boxray.serve.cases import Cases
from boxray.serve.problems import REQUEST_CODES, status_of
from boxray.serve.rest.body import MOST_FILES, Receiving
from boxray.serve.service import Capacity
from serve.rest_room import Room
from serve.test_nginx import NGINX

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "docs" / "deploy"
TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def steps():
    """Instruction and its words, in order; continued lines are one."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(" ".join(line.split()).split(" ", 1)) for line in lines]


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def last_stage(steps):
    begins = max(number for number, (word, _) in enumerate(steps) if word == "FROM")
    return steps[begins:]


def values(steps, word):
    return [value for each, value in steps if each == word]


def test_every_image_has_a_version_and_none_is_the_latest(steps, compose):
    images = [each.partition("=")[2] for each in values(steps, "ARG")]
    images += [each["image"] for each in compose["services"].values()]

    assert all(re.search(r":\d+\.\d+\.\d+", image) for image in images), images
    assert all(each.startswith("${PYTHON_IMAGE}") for each in values(steps, "FROM"))


def test_the_image_ends_as_nobody_special_with_a_healthcheck_and_an_exec_entrypoint(steps):
    stage = last_stage(steps)
    user = values(stage, "USER")[-1]
    after = [word for word, _ in stage[stage.index(("USER", user)) :]]

    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    assert "RUN" not in after
    assert "COPY" not in after
    assert "/health/ready" in values(stage, "HEALTHCHECK")[0]
    assert isinstance(json.loads(values(stage, "ENTRYPOINT")[0]), list)
    assert values(steps, "ADD") == []


def test_what_is_installed_is_the_base_and_dicom_at_tested_versions_without_torch(steps):
    (install,) = [each for each in values(steps, "RUN") if "pip install" in each]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = project["dependencies"] + project["optional-dependencies"]["pacs"]

    assert install.endswith('--constraint constraints.txt ".[pacs]"')
    assert not [each for each in base if re.match(r"torch|ultralytics|nvidia|onnxruntime-gpu", each)]


def test_every_library_that_is_asked_for_has_one_tested_version_e8():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(each for extra in project["optional-dependencies"].values() for each in extra)]
    names = {re.match(r"[A-Za-z0-9._-]+", each)[0].lower().replace("_", "-") for each in asked} - {"boxray"}
    pinned = re.findall(r"^([A-Za-z0-9._-]+)==[\w.+!-]+", (ROOT / "constraints.txt").read_text(), re.MULTILINE)

    assert names - {each.lower().replace("_", "-") for each in pinned} == set()
    assert len(pinned) == len(set(pinned))


def ignored(path):
    """Whether the image's context leaves a path out; the last rule that fits it or a folder above it decides."""
    out = False
    for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines():
        rule, keeps = line.strip().removeprefix("!"), line.startswith("!")
        if not rule or rule.startswith("#"):
            continue
        above = [str(path), *map(str, path.parents)]
        fits = any(fnmatch(each, rule) or fnmatch(each, rule.removeprefix("**/")) for each in above if each != ".")
        out = (not keeps) if fits else out
    return out


def test_the_wheel_holds_every_file_of_the_package_that_is_kept():
    """The viewer's scripts, texts and schemas are read at run time, and nobody misses them in a checkout."""
    wheel = pytest.importorskip(
        "hatchling.builders.wheel", reason="hatchling is not installed: pip builds with its own"
    )
    kept = subprocess.run(["git", "ls-files", "src"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    if not kept:
        pytest.skip("no git checkout")

    taken = {each.distribution_path for each in wheel.WheelBuilder(str(ROOT)).recurse_included_files()}

    assert "boxray/serve/viewer/film.js" in taken
    assert {path.removeprefix("src/") for path in kept.splitlines()} - taken == set()


def test_what_is_copied_is_there_and_so_is_all_that_the_wheel_takes_along(steps):
    copied = [name for each in values(steps, "COPY") if "--from" not in each for name in each.split()[:-1]]
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [Path(name) for name in (*copied, *wheel["force-include"], *wheel["packages"])]
    weights = [path for name in ("detection/weights", "classification/weights") for path in ROOT.glob(f"{name}/*.onnx")]
    gate = ROOT / "classification" / "gate" / "chest-gate.safetensors"

    assert all((ROOT / path).exists() for path in needed)
    assert [path for path in needed if ignored(path)] == []
    assert len(weights) >= 2
    assert not any(ignored(path.relative_to(ROOT)) for path in (*weights, gate))
    assert ignored(Path("data/built/real/manifest.parquet"))
    assert ignored(Path("runs/x"))
    assert ignored(Path(".git"))
    assert ignored(Path("detection/weights/yolov8n.safetensors"))


def test_each_service_is_rootless_and_may_neither_write_nor_rise(compose):
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", service["user"]), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert all("noexec" in each and each.startswith("/tmp:size=") for each in service["tmpfs"]), name
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert not {"privileged", "cap_add", "devices", "network_mode", "pid", "env_file"} & service.keys(), name


def test_boxray_has_no_way_out_and_only_the_proxy_a_port_which_is_this_machines_own_by_default(compose):
    boxray, proxy = compose["services"]["boxray"], compose["services"]["proxy"]
    closed = {name for name, network in compose["networks"].items() if network.get("internal")}

    assert set(boxray["networks"]) <= closed
    assert "ports" not in boxray
    assert [port.partition(":-")[2] for port in proxy["ports"]] == ["127.0.0.1:8443}:8443"]


def test_the_token_is_a_secret_and_stands_in_no_environment(compose):
    said = (DEPLOY / "compose.yaml").read_text() + (DEPLOY / "Dockerfile").read_text()

    assert "BOXRAY_TOKEN" not in said
    assert compose["services"]["boxray"]["secrets"] == ["boxray_token"]
    assert all(each["file"].startswith("secrets/") for each in compose["secrets"].values())
    assert "secrets/" in (DEPLOY / ".gitignore").read_text()


def test_every_file_that_compose_names_is_there(compose):
    build = compose["services"]["boxray"]["build"]
    mounted = [each.partition(":")[0] for each in compose["services"]["proxy"]["volumes"]]

    assert (DEPLOY / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()
    assert all((DEPLOY / name).is_file() for name in mounted)
    assert all(each.endswith(":ro") for each in compose["services"]["proxy"]["volumes"])


def test_it_is_given_longer_to_stop_than_it_takes_to_drain(compose):
    drain_s = inspect.signature(server.serve).parameters["drain_s"].default

    assert int(compose["services"]["boxray"]["stop_grace_period"].rstrip("s")) > drain_s + server._LINGER_S


def test_the_image_sets_what_the_app_would_set(steps, monkeypatch):
    for name in ("GRADIO_ANALYTICS_ENABLED", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GRADIO_TEMP_DIR", "/nowhere")
    quiet_environment()
    said = dict(each.split("=", 1) for each in values(last_stage(steps), "ENV")[0].split())

    for name in ("GRADIO_ANALYTICS_ENABLED", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        assert said[name] == os.environ[name]


def test_the_commands_of_image_and_compose_are_commands_of_boxray(steps, compose, tmp_path, monkeypatch):
    token = tmp_path / "token"
    token.write_text(TOKEN)
    asked = []
    monkeypatch.setattr("boxray.cli.serve._service", lambda *models: models)
    monkeypatch.setattr("boxray.serve.app.launch", lambda *_, **where: asked.append(where))
    entry = json.loads(values(last_stage(steps), "ENTRYPOINT")[0])
    for command in (json.loads(values(last_stage(steps), "CMD")[0]), compose["services"]["boxray"]["command"]):
        said = " ".join(command).replace("=", " ").replace("/run/secrets/boxray_token", str(token))
        with pytest.raises(SystemExit) as left:
            main([*entry[1:], *re.sub(r"\$\{[^}]*\}", "films.example", said).split()])
        assert left.value.code == 0

    of_image, of_compose = asked
    assert entry[0] == "boxray"
    assert (of_image["address"], of_image["port"], of_image["token"]) == ("0.0.0.0", 7860, TOKEN)
    assert (of_compose["root_path"], of_compose["hosts"]) == ("/boxray", ["films.example"])


def test_nginx_takes_the_site_as_it_stands_but_for_its_certificate_and_its_peer(tmp_path):
    openssl = shutil.which("openssl")
    if NGINX is None or openssl is None:
        pytest.skip("no nginx or no openssl: install them (Debian: nginx-light openssl)")
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=films.example"]
    subprocess.run([openssl, *made, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    site = (DEPLOY / "nginx-site.conf").read_text()
    for there, here in {
        "/run/secrets/tls_certificate": certificate,
        "/run/secrets/tls_key": key,
        "/etc/nginx/boxray.conf": DEPLOY / "nginx.conf",
        "server boxray:7860": "server 127.0.0.1:7860",
        "listen 8443": "listen 127.0.0.1:8443",
    }.items():
        assert there in site
        site = site.replace(there, str(here))
    config = tmp_path / "nginx.conf"
    config.write_text(f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n{site}\n}}\n")

    command = [NGINX, "-t", "-p", str(tmp_path), "-c", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_what_is_said_of_codes_is_true_and_every_code_of_a_request_or_the_service_is_spoken_of():
    text = (DEPLOY / "README.md").read_text()
    rows = re.findall(r"^\| ((?:`[a-z_.]+`(?:, )?)+) \| (\d{3}) \|", text, re.MULTILINE)
    spoken = {code: int(status) for codes, status in rows for code in re.findall(r"`([a-z_.]+)`", codes)}
    ours = {name for name in CODES if name.startswith("service.")} | set(REQUEST_CODES)

    assert {code: status_of(code)[0] for code in spoken} == spoken
    assert ours <= spoken.keys()


def desks_said() -> str:
    default = {name: each.default for name, each in inspect.signature(Cases).parameters.items()}
    desk, together = (default[name] // 2**20 for name in ("desk_bytes", "all_bytes"))
    minutes = default["keep_s"] / 60
    return f"| {default['desk_cases']} and {desk} MiB a desk, {together} MiB together, {minutes:g} minutes |"


def test_what_is_said_of_limits_and_metrics_is_true():
    text = (DEPLOY / "README.md").read_text()
    room = Room()
    metrics = room.service.metrics.text(room.service.gauges | room.readings.gauges)
    counted = set(re.findall(r"^# TYPE (\w+)", metrics, re.MULTILINE))
    capacity = Capacity()

    assert set(re.findall(r"`(boxray_[a-z_]+)[{`]", text)) == counted
    assert f"| {MAX_FILE_BYTES // 2**20} MiB, {MAX_PIXELS // 10**6} megapixels |" in text
    assert f"| {MOST_FILES} files |" in text
    assert f"| {capacity.places}, {capacity.waiting_bytes // 2**20} MiB |" in text
    assert f"| {capacity.deadline_s:g} s |" in text
    assert f"| {Receiving().most_bytes // 2**20} MiB |" in text
    assert desks_said() in text
    limits = Limits()
    assert f"| {limits.cpu_s} s of CPU, {limits.wall_s:g} s, {limits.memory_bytes / 1e9:g} GB |" in text
