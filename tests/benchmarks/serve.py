"""How the REST door bears many clients at once: latency, throughput, and whether memory grows.

Run by `make bench BENCH=serve`; the server is a process of its own (`boxray serve rest --many`), the clients are
threads here that send the bundled examples over and over and come again as soon as they were answered. It is no test.
Smaller and shorter: BENCH_CLIENTS=8 BENCH_SECONDS=30.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, sleep

import httpx

from boxray.cli.demo import examples

CLIENTS = int(os.environ.get("BENCH_CLIENTS", "32"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "300"))
DICOM = {"content-type": "application/dicom"}


class Clients:
    """Threads that ask, and what they were answered."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ends_at = perf_counter() + SECONDS
        self._films = [path.read_bytes() for path in examples()]
        self.seconds: list[float] = []
        self.codes: Counter[str] = Counter()

    def run(self) -> None:
        threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _ask(self, number: int) -> None:
        with httpx.Client(base_url=self._url, timeout=120, trust_env=False) as door:
            while perf_counter() < self._ends_at:
                number += 1
                started = perf_counter()
                answer = door.post("/v1/readings", content=self._films[number % len(self._films)], headers=DICOM)
                if answer.status_code == httpx.codes.OK:
                    self.seconds.append(perf_counter() - started)
                    self.codes["200"] += 1
                    continue
                self.codes[f"{answer.status_code} {answer.json()['code']}"] += 1
                if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                    sleep(int(answer.headers["retry-after"]))


def memory_mb(pid: int) -> float:
    """Of one process, resident."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    command = [sys.executable, "-m", "boxray.cli.main", "serve", "rest", "--many", "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None, "it is a pipe"
        said = next(match for line in server.stderr if (match := re.search(r"reads at (\S+)", line)))
        clients = Clients(said[1])
        work = threading.Thread(target=clients.run)
        started = perf_counter()
        work.start()
        memory = []
        while work.is_alive():
            memory.append(memory_mb(server.pid))
            work.join(SECONDS / 10)
        lasted = perf_counter() - started
    finally:
        server.terminate()
        server.wait(120)
    print(f"{CLIENTS} clients, {lasted:.0f} s: {len(clients.seconds) / lasted:.2f} readings a second")
    print("answers:", dict(clients.codes))
    if len(clients.seconds) > 1:
        p95 = quantiles(clients.seconds, n=20)[-1]
        print(f"latency of a reading: median {median(clients.seconds):.2f} s, p95 {p95:.2f} s")
    print("memory of the server, MB:", " ".join(f"{each:.0f}" for each in memory))


if __name__ == "__main__":
    main()
