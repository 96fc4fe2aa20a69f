"""A real Orthanc for tests: on this machine alone, in a folder of its own, gone afterwards."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
LOGIN = ("boxray", "a long password")


def missing() -> str | None:
    """Why there is none."""
    if shutil.which("Orthanc") is None or not PLUGIN.exists():
        return "no Orthanc with its DICOMweb plugin: Debian's packages orthanc and orthanc-dicomweb"
    return None


@contextmanager
def orthanc(folder: Path) -> Iterator[str]:
    """Its address."""
    http, dicom = _free_port(), _free_port()
    configuration = {
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": http,
        "DicomPort": dicom,
        "HttpBindAddresses": ["127.0.0.1"],
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": dict([LOGIN]),
        "DicomServerEnabled": False,
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(["Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{http}"
        _wait_for(url, server)
        yield url
    finally:
        server.terminate()
        server.wait(60)


def _wait_for(url: str, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(300):
        assert server.poll() is None, "Orthanc ended"
        try:
            requests.get(f"{url}/system", auth=LOGIN, timeout=5).raise_for_status()
        except requests.RequestException:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("Orthanc does not answer")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
