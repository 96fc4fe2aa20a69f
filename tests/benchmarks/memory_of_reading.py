"""How much memory reading takes, in a process that has loaded nothing else: started by `detection.py`.

    python memory_of_reading.py CARD FEW MANY FILE...

One line of JSON: MiB after FEW images, after MANY, and at the most.
"""

import json
import resource
import sys
from itertools import cycle, islice
from pathlib import Path

from boxray.detection.detect import YoloDetector
from boxray.localization.reader import Reader


def resident_mib() -> float:
    """Of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def main() -> None:
    """Read the files over and over."""
    card, few, many, *names = sys.argv[1:]
    detector = YoloDetector.load(Path(card), many=True)
    reader = Reader(detector, None, detector.session.lanes)
    files = ((Path(name), "x") for name in islice(cycle(names), int(many)))
    after = {}
    for number, _ in enumerate(reader.read_many(files), start=1):
        after[number] = resident_mib() if number in (int(few), int(many)) else 0.0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([after[int(few)], after[int(many)], most]))


if __name__ == "__main__":
    main()
