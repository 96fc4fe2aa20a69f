import numpy as np
import pytest

from boxray.core.errors import Outcome
from boxray.core.radiograph import Radiograph
from boxray.core.reading import Reading, SaliencyMap
from boxray.imaging.draw import film_of
from boxray.localization.overlay import map_panel
from boxray.serve.rest.kept import Kept
from boxray.serve.service import Answer
from serve.reading_room import SPACE
from serve.rest_room import Room, eventually


def kept_all(room, n):
    """Ids in the order in which they were read: each begins when the one before is kept."""
    ids = []
    for _ in range(n):
        reading_id, future = room.readings.begin(b"bytes", "a", None)
        future.result(30)
        eventually(lambda: room.service.wait_until_idle(0))
        ids.append(reading_id)
    return ids


def is_kept(room, reading_id):
    try:
        return room.readings.find(reading_id) is not None
    except KeyError:
        return False


def test_a_reading_is_kept_for_its_time_and_not_longer():
    now = 100.0
    room = Room(keep_s=60, clock=lambda: now)
    (reading_id,) = kept_all(room, 1)

    now = 159.0
    assert is_kept(room, reading_id)
    now = 160.0
    room.readings.forget_the_old()
    assert room.readings.gauges == {"boxray_kept": 0, "boxray_kept_bytes": 0}
    assert not is_kept(room, reading_id)


def test_of_too_many_the_oldest_go():
    room = Room(most=2)

    ids = kept_all(room, 4)

    assert [is_kept(room, each) for each in ids] == [False, False, True, True]


def test_of_too_many_bytes_the_oldest_go_and_the_newest_stays_whatever_it_holds():
    roomy, tight = Room(), Room(most_bytes=1)
    (one,) = kept_all(roomy, 1)
    n_bytes = roomy.readings.find(one).n_bytes
    narrow = Room(most_bytes=2 * n_bytes)

    assert n_bytes > 300 * 280
    assert [is_kept(narrow, each) for each in kept_all(narrow, 3)] == [False, True, True]
    assert [is_kept(tight, each) for each in kept_all(tight, 2)] == [False, True]


def test_a_kept_map_is_smaller_and_says_the_same_of_its_peak():
    y, x = np.mgrid[0:1:1100j, 0:1:900j]
    values = (7.5 * np.exp(-((x - 0.3) ** 2 + (y - 0.6) ** 2) / 0.02)).astype(np.float32)
    reading = Reading("a", Outcome.RESULT, size_wh=(900, 1100), maps=(SaliencyMap("effusion", values),))
    rad = Radiograph((x * 0.5).astype(np.float32))

    kept = Kept.of(Answer(rad, reading))

    (small,) = kept.reading.maps
    assert max(small.values.shape) == 256
    assert small.values.max() == pytest.approx(values.max())
    assert kept.full == values.max()
    before = map_panel(film_of(rad.pixels), reading, SPACE, "effusion").picture.astype(int)
    after = map_panel(kept.film, kept.reading, SPACE, "effusion", reference=kept.full).picture.astype(int)
    assert np.abs(before - after).mean() < 1  # of 255 shades
