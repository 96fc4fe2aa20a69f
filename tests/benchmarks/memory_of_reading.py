"""How much memory reading takes and whether it slows down, in a process that has loaded nothing else.

Started by `detection.py`:

    python memory_of_reading.py CARD FEW MANY FILE...

One line of JSON: MiB after FEW images, after MANY, and at the most; images per second over the first FEW and the last.
"""

import json
import sys
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter

from boxray.detection.detect import YoloDetector
from boxray.localization.reader import Reader


def mib(what: str) -> float:
    """Of this process: ``VmRSS`` now, ``VmHWM`` at the most. (`ru_maxrss` would count who started it, too.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) / 1024


def main() -> None:
    """Read the files over and over."""
    card, few, many, *names = sys.argv[1:]
    detector = YoloDetector.load(Path(card), many=True)
    reader = Reader(detector, None, detector.session.lanes)
    files = ((Path(name), "x") for name in islice(cycle(names), int(many)))
    n_few, n_many = int(few), int(many)
    after, at = {}, {}
    for number, _ in enumerate(reader.read_many(files), start=1):
        if number in (1, n_few, n_many - n_few, n_many):
            after[number], at[number] = mib("VmRSS"), perf_counter()
    first, last = (n_few - 1) / (at[n_few] - at[1]), n_few / (at[n_many] - at[n_many - n_few])
    print(json.dumps([after[n_few], after[n_many], mib("VmHWM"), first, last]))


if __name__ == "__main__":
    main()
