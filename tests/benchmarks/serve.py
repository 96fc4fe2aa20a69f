"""How the REST door bears many clients at once: answers, latency, throughput against `boxray read`, memory.

Run by `make bench BENCH=serve` (six minutes; shorter: ARGS="--clients 8 --seconds 30"). The server is a process of its
own (`boxray serve rest`, loopback, a free port), the clients are threads here that send films over and over and come
again as soon as they were answered. Before and after it, `boxray read` reads the same films, as the machine may have
other work: the figure to reach is a share of the mean of both. Exit code 1: one of the promises below was missed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import mean, median, quantiles
from time import perf_counter, sleep
from urllib.parse import urlsplit

import numpy as np

from boxray.cli.demo import examples

LEAST_SHARE = 0.8
"""Of the throughput of `boxray read`."""
MOST_GROWTH = 0.05
"""Of the memory after the first minute, from the first half of what follows to the second."""
ALLOWED = {200, 503}
SETTLED_S = 60.0
BOXRAY = [sys.executable, "-m", "boxray.cli.main"]


@dataclass
class Answers:
    """What the clients were told."""

    seconds: list[float] = field(default_factory=list)
    """Of each reading, from its first byte sent to its last byte received."""
    codes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def ask_until(self, ends_at: float, address: str, films: Sequence[bytes], first: int) -> None:
        """One client: it comes again as soon as it was answered, after a 503 when it was told to."""
        connection = HTTPConnection(address, timeout=180)
        number = first
        while perf_counter() < ends_at:
            number += 1
            started = perf_counter()
            try:
                connection.request("POST", "/v1/readings", films[number % len(films)], _DICOM)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, HTTPException) as error:
                self.faults.append(type(error).__name__)
                connection.close()
                continue
            if answer.status == 200:
                self.seconds.append(perf_counter() - started)
                self.codes["200"] += 1
                continue
            self.codes[f"{answer.status} {json.loads(body)['code']}"] += 1
            if answer.status not in ALLOWED:
                self.faults.append(f"{answer.status}")
            sleep(int(answer.headers.get("retry-after", "1")))
        connection.close()


_DICOM = {"content-type": "application/dicom"}


def main() -> int:
    """Measure, print, judge."""
    asked = _arguments()
    paths = [path for folder in asked.films for path in sorted(folder.rglob("*.dcm"))] or examples()
    paths = _those_read(paths)
    films = [path.read_bytes() for path in paths]
    mb = sum(map(len, films)) / len(films) / 1e6
    print(
        f"{len(films)} films, {mb:.2f} MB each; {os.cpu_count()} cores; load {os.getloadavg()[0]:.1f} before we began"
    )
    before = readings_a_second(paths, asked.read_seconds)
    with _server() as (address, pid):
        answers, memory, lasted = _loaded(asked.clients, asked.seconds, address, pid, films)
    after = readings_a_second(paths, asked.read_seconds)
    return _tell(asked.clients, answers, memory, lasted, (before, after))


def readings_a_second(paths: Sequence[Path], seconds: float) -> float:
    """What `boxray read` does with the same films once it runs: from its first line to its last one."""
    command = [*BOXRAY, "read", "--json", *map(str, list(paths) * 2000)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as reading:
        assert reading.stdout is not None, "it is a pipe"
        reading.stdout.readline()
        started, n = perf_counter(), 0
        while perf_counter() < started + seconds and reading.stdout.readline():
            n += 1
        lasted = perf_counter() - started
        reading.terminate()
    return n / lasted


def memory_mb(pid: int) -> float:
    """Of a process and all below it; a page that several share counts once (proportional set size)."""
    return sum(_pss_kb(each) for each in _family(pid)) / 1e3


def _family(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _family(int(child))


def _pss_kb(pid: int) -> int:
    try:
        said = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # it has ended
        return 0
    return int(re.search(r"^Pss:\s+(\d+)", said, re.MULTILINE)[1])  # type: ignore[index]


@contextmanager
def _server() -> Iterator[tuple[str, int]]:
    command = [*BOXRAY, "serve", "rest", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None, "it is a pipe"
            url = next(match[1] for line in server.stderr if (match := re.search(r"reads at (\S+)", line)))
            yield urlsplit(url).netloc, server.pid
        finally:
            server.terminate()
            server.wait(120)


def _loaded(
    clients: int, seconds: float, address: str, pid: int, films: Sequence[bytes]
) -> tuple[Answers, list[tuple[float, float]], float]:
    """Answers, memory in MB by second, and how long it lasted."""
    answers, memory, started = Answers(), [], perf_counter()
    ends_at = started + seconds
    threads = [
        threading.Thread(target=answers.ask_until, args=(ends_at, address, films, number)) for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    while perf_counter() < ends_at:
        memory.append((perf_counter() - started, memory_mb(pid)))
        sleep(min(5.0, seconds / 10))
    for thread in threads:
        thread.join()
    return answers, memory, perf_counter() - started


def _tell(
    clients: int, answers: Answers, memory: list[tuple[float, float]], lasted: float, alone: tuple[float, float]
) -> int:
    rate = len(answers.seconds) / lasted
    share = rate / mean(alone)
    print(f"boxray read: {alone[0]:.2f} readings a second before, {alone[1]:.2f} after")
    print(f"{clients} clients, {lasted:.0f} s: {rate:.2f} readings a second, {share:.0%} of boxray read")
    print("answers:", dict(answers.codes), "faults:", dict(Counter(answers.faults)))
    if len(answers.seconds) > 1:
        p95 = quantiles(answers.seconds, n=20)[-1]
        print(f"latency of a reading: median {median(answers.seconds):.2f} s, p95 {p95:.2f} s")
    seen = " ".join(f"{mb:.0f}" for _, mb in memory[:: max(1, len(memory) // 12)])
    print("memory of the server and its children, MB:", seen)
    settled = [mb for second, mb in memory if second > SETTLED_S]
    kept = [("no error but 503", not answers.faults), (f"throughput >= {LEAST_SHARE:.0%}", share >= LEAST_SHARE)]
    if len(settled) >= 4:
        half = len(settled) // 2
        growth = float(np.mean(settled[half:]) / np.mean(settled[:half]) - 1)
        print(f"memory after the first minute: {growth:+.1%} from its first half to its second")
        kept.append(("memory flat", growth <= MOST_GROWTH))
    print("; ".join(f"{name}: {'held' if is_so else 'MISSED'}" for name, is_so in kept))
    return 0 if all(is_so for _, is_so in kept) else 1


def _those_read(paths: Sequence[Path]) -> list[Path]:
    """Films that have a reading: what is refused costs nothing and would flatter both."""
    done = subprocess.run([*BOXRAY, "read", "--json", *map(str, paths)], capture_output=True, text=True, check=False)
    readings = [json.loads(line) for line in done.stdout.splitlines()]
    return [Path(each["file"]) for each in readings if each["status"] == "RESULT"]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=300.0, help="of load")
    parser.add_argument("--read-seconds", type=float, default=30.0, help="of `boxray read`, before and after")
    parser.add_argument("--films", type=Path, nargs="*", default=[], help="folders of DICOM files; none: examples")
    return parser.parse_args()


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it lasts, and may go into a file
    sys.exit(main())
