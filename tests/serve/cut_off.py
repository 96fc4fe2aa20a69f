"""The real program with the network cut: run under `unshare --net`, it says as JSON what came of it.

In its own network namespace nothing but a loopback device exists, which is brought up here; then the app is started as
its users start it, with the released weights, and read from.
"""

import fcntl
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import httpx

SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def bring_loopback_up() -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def is_cut_off() -> bool:
    try:
        socket.create_connection(("192.0.2.1", 443), 1).close()
    except OSError:
        return True
    return False


def main(film: Path, log: Path) -> None:
    bring_loopback_up()
    said = {"cut_off": is_cut_off()}
    with log.open("w") as stream:
        command = [sys.executable, "-m", "boxray.cli.main", "serve", "app", "--port", "0"]
        server = subprocess.Popen(command, stdout=stream, stderr=stream, env=os.environ)
    try:
        ends_at = time.monotonic() + 120
        while not (url := re.search(r"reads at (\S+)", log.read_text())):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < ends_at, log.read_text()
            time.sleep(0.2)
        with httpx.Client(base_url=url[1], trust_env=False, timeout=60) as door:
            said["page"] = door.get("/").status_code
            answer = door.post("/v1/readings", content=film.read_bytes(), headers={"content-type": "application/dicom"})
            said["status"] = answer.json()["status"]
            said["picture"] = door.get(answer.headers["location"] + "/overlay.png").status_code
    finally:
        server.terminate()
        said["code"] = server.wait(60)
    print(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
