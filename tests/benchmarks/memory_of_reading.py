"""How much memory reading takes, in a process that has loaded nothing else: started by `detection.py`.

    python memory_of_reading.py CARD FEW MANY FILE...

One line of JSON: MiB after FEW images, after MANY, and at the most.
"""

import json
import sys
from itertools import cycle, islice
from pathlib import Path

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
    after = {}
    for number, _ in enumerate(reader.read_many(files), start=1):
        after[number] = mib("VmRSS") if number in (int(few), int(many)) else 0.0
    print(json.dumps([after[int(few)], after[int(many)], mib("VmHWM")]))


if __name__ == "__main__":
    main()
