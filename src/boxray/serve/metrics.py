"""What is counted, in Prometheus' text form 0.0.4.

Labels are words that boxray chose: a status, a code, a route's pattern. Nothing that tells one radiograph, one reader
or one file from another stands here.
"""

from collections import Counter
from collections.abc import Mapping
from threading import Lock
from typing import Final

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS_S: Final = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_SAID: Final = {
    "boxray_readings_total": "Radiographs answered, by status and code.",
    "boxray_dropped_total": "Radiographs dropped before the models saw them: nobody waited any more.",
    "boxray_answers_total": "Answers of the REST door, by route and HTTP status.",
}

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counters and one histogram. May be used from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[tuple[str, Labels]] = Counter()
        self._buckets = [0] * len(_BOUNDS_S)
        self._n_seconds = 0
        self._sum_s = 0.0

    def count(self, name: str, **labels: str) -> None:
        """One more of a counter that `_SAID` describes.

        Raises:
            KeyError: If it describes none of that name.
        """
        _SAID[name]
        with self._lock:
            self._counts[name, tuple(sorted(labels.items()))] += 1

    def took(self, seconds: float) -> None:
        """How long a radiograph took from joining the line to its answer."""
        with self._lock:
            self._n_seconds += 1
            self._sum_s += seconds
            for number, bound in enumerate(_BOUNDS_S):
                self._buckets[number] += seconds <= bound

    def text(self, gauges: Mapping[str, float]) -> str:
        """All of it, and `gauges`: name -> value now."""
        with self._lock:
            counts = sorted(self._counts.items())
            buckets, n_seconds, sum_s = list(self._buckets), self._n_seconds, self._sum_s
        lines = []
        for name, said in _SAID.items():
            lines += [f"# HELP {name} {said}", f"# TYPE {name} counter"]
            lines += [f"{name}{_braces(labels)} {value}" for (each, labels), value in counts if each == name]
        name = "boxray_reading_seconds"
        lines += [f"# HELP {name} From joining the line to the answer.", f"# TYPE {name} histogram"]
        lines += [f'{name}_bucket{{le="{bound:g}"}} {n}' for bound, n in zip(_BOUNDS_S, buckets, strict=True)]
        lines += [f'{name}_bucket{{le="+Inf"}} {n_seconds}', f"{name}_sum {sum_s:.6f}", f"{name}_count {n_seconds}"]
        for name, value in gauges.items():
            lines += [f"# TYPE {name} gauge", f"{name} {value:g}"]
        return "\n".join(lines) + "\n"


def _braces(labels: Labels) -> str:
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in labels) + "}" if labels else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
