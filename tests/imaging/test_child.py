"""The decoding child: whatever a file does to it, the program goes on and the next file is read."""

import errno
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from boxray.core.errors import CODES, InputError, Outcome
from boxray.imaging.child import DecodingChild, Limits, decoding_child
from boxray.imaging.read import decode, read_radiograph

MISBEHAVING = """
import ctypes, os, signal, struct, sys, time
import numpy as np
from boxray.core.errors import InputError
from boxray.core.radiograph import Radiograph
from boxray.imaging.read import decode as real

def decode(data, **options):
    match data.partition(b" ")[0]:
        case b"segfault": ctypes.string_at(0)
        case b"abort": os.abort()
        case b"kill": os.kill(os.getpid(), signal.SIGKILL)
        case b"exit": os._exit(3)
        case b"memory": return Radiograph(np.ones((40_000, 40_000), np.float32))
        case b"spin":
            while True: pass
        case b"sleep": time.sleep(3600)
        case b"raise": raise RuntimeError("of /home/patient/ZZCANARY.dcm")
        case b"recurse": return decode(data)
        case b"print":
            print("x" * 100_000, flush=True); sys.stderr.write("y" * 100_000); os.write(1, b"z" * 100_000)
        case b"write": open(data.split()[1].decode(), "w").write("x" * 10_000)
        case b"environment": raise InputError("quality.blank", " ".join(sorted(os.environ)))
        case b"modules":
            raise InputError("quality.blank", repr([sys.modules.get(k, "absent") for k in ("PIL", "requests")]))
        case b"nan": return forged(np.full((4, 4), np.nan, np.float32))
        case b"forge": forge(sys._getframe(1).f_locals["shared"], data.partition(b" ")[2])
        case b"pid": raise InputError("quality.blank", str(os.getpid()))
        case _: return real(data, **options)
    return Radiograph(np.eye(4, dtype=np.float32))

def forge(shared, head):  # what a decoder that somebody has taken over may leave instead of an answer
    line = b"" if head == b"sizes" else head
    sizes = (2**32 - 1, 2**64 - 1) if head == b"sizes" else (len(line), 0)
    shared[:12] = struct.pack("<IQ", *sizes)
    shared[12 : 12 + len(line)] = line
    os._exit(0)

def forged(pixels):
    rad = Radiograph(np.eye(4, dtype=np.float32))
    object.__setattr__(rad, "pixels", pixels)
    return rad
"""


@pytest.fixture(scope="module")
def child(tmp_path_factory):
    folder = tmp_path_factory.mktemp("entry")
    (folder / "misbehaving.py").write_text(MISBEHAVING)
    child = DecodingChild(Limits(memory_bytes=600_000_000, cpu_s=1, wall_s=5), entry="misbehaving:decode", path=folder)
    yield child
    child.close()


@pytest.fixture(scope="module")
def good_file(as_picture, chest):
    return as_picture(np.round(chest() * 255).astype(np.uint8))


def refusal(child: DecodingChild, data: bytes) -> InputError:
    with pytest.raises(InputError) as caught:
        child.decode(data)
    return caught.value


@pytest.mark.parametrize(
    ("misdeed", "code"),
    [
        pytest.param(b"segfault", "decode.crashed", id="A17-segfault"),
        pytest.param(b"abort", "decode.crashed", id="A17-abort"),
        pytest.param(b"kill", "decode.crashed", id="A17-killed"),
        pytest.param(b"exit", "decode.crashed", id="A17-exit"),
        pytest.param(b"raise", "decode.crashed", id="A17-unexpected-exception"),
        pytest.param(b"recurse", "decode.crashed", id="A4-endless-recursion"),
        pytest.param(b"memory", "decode.too_expensive", id="A18-A19-memory-bomb"),
        pytest.param(b"spin", "decode.too_expensive", id="A18-endless-loop"),
        pytest.param(b"sleep", "decode.too_expensive", id="A18-waits-for-ever"),
        pytest.param(b"nan", "image.values_invalid", id="B8-forged-pixels"),
    ],
)
def test_a_file_that_ruins_its_decoder_is_refused_and_the_next_one_is_read(child, good_file, misdeed, code):
    error = refusal(child, misdeed)

    assert error.code is CODES[code]
    assert "ZZCANARY" not in error.reason
    assert np.array_equal(child.decode(good_file).pixels, decode(good_file).pixels)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"{", id="torn"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"code": []}', id="a list for a code"),
        pytest.param(b'{"shape_hw": [1e400, 1]}', id="an endless side"),
        pytest.param(b'{"shape_hw": [-1, -1], "padded": false}', id="sides below 0"),
        pytest.param(b"[" * 60_000, id="a nest"),
        pytest.param(b"sizes", id="sizes beyond all"),
    ],
)
def test_an_answer_that_a_codec_forged_is_a_crash_and_the_next_file_is_read(child, good_file, head):
    refused = refusal(child, b"forge " + head)

    assert refused.code.name in {"decode.crashed", "decode.too_expensive"}
    assert child.decode(good_file, check_polarity=False).pixels.shape == (256, 256)


def test_the_keeper_survives_all_but_its_own_death(child, good_file):
    child.decode(good_file)
    before = child.pid

    refusal(child, b"segfault")

    assert child.pid == before


def test_a_keeper_killed_while_idle_is_replaced_without_a_refusal_a17(child, good_file):
    child.decode(good_file)
    first = child.pid
    os.kill(first, signal.SIGKILL)
    psutil.Process(first).wait(10) if psutil.pid_exists(first) else None

    assert child.decode(good_file).size_wh == (256, 256)
    assert child.pid != first


def test_a_keeper_killed_at_work_is_a_crash_and_the_next_file_is_read_a17(child, good_file):
    child.decode(good_file)
    keeper = child.pid

    def kill_soon():
        time.sleep(0.3)
        os.killpg(keeper, signal.SIGKILL)

    killer = threading.Thread(target=kill_soon)
    killer.start()
    error = refusal(child, b"sleep")
    killer.join()

    assert error.code.name == "decode.crashed"
    assert child.decode(good_file).size_wh == (256, 256)


def test_every_file_has_a_process_of_its_own(child):
    workers = {refusal(child, b"pid").reason for _ in range(3)}

    assert len(workers) == 3
    assert str(child.pid) not in workers


def test_what_a_library_prints_does_not_get_between_the_replies(child, good_file):
    assert child.decode(b"print").size_wh == (4, 4)
    assert child.decode(good_file).size_wh == (256, 256)


def test_a_decoder_cannot_write_files(child, tmp_path):
    target = tmp_path / "dropped"

    refusal(child, b"write " + str(target).encode())

    assert not target.exists() or target.stat().st_size == 0


def test_no_secret_of_the_environment_reaches_the_child(monkeypatch, child):
    monkeypatch.setenv("BOXRAY_API_KEY", "ZZCANARY")
    child.close()

    assert "BOXRAY_API_KEY" not in refusal(child, b"environment").reason


def test_pillow_cannot_be_imported_in_the_child(child):
    assert refusal(child, b"modules").reason == "[None, None]"


def test_pixels_padding_notes_and_millimetres_come_back_unchanged(dicom_file, chest):
    values = np.round(chest() * 3000 + 500).astype(int)
    values[:30] = 0
    data = dicom_file(values, PixelPaddingValue=0, PixelSpacing=["0.15", "0.14"])

    rad, here = read_radiograph(data), decode(data)

    assert np.array_equal(rad.pixels, here.pixels)
    assert np.array_equal(rad.padded, here.padded)
    assert (rad.notes, rad.spacing_mm, rad.view) == (here.notes, here.spacing_mm, here.view)


def test_threads_that_read_at_once_each_get_their_own_radiograph(as_picture, chest):
    files = [as_picture(np.round(chest(260 + 4 * k, 300) * 255).astype(np.uint8)) for k in range(8)]
    sizes: dict[int, tuple[int, int]] = {}

    def read(k: int) -> None:
        sizes[k] = read_radiograph(files[k]).size_wh

    threads = [threading.Thread(target=read, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sizes == {k: (300, 260 + 4 * k) for k in range(8)}


def test_memory_stays_bounded_over_fifty_files(dicom_file, chest):
    data = dicom_file(np.round(chest(700, 700) * 4095).astype(int))  # 2 MB of pixels each
    for _ in range(5):
        read_radiograph(data)
    here, there = psutil.Process(), psutil.Process(decoding_child().pid)
    before = here.memory_info().rss + there.memory_info().rss

    for _ in range(50):
        read_radiograph(data)

    assert here.memory_info().rss + there.memory_info().rss - before < 40e6
    assert len(there.children()) == 0


def test_no_file_descriptors_are_left_behind(good_file, child):
    child.decode(good_file)
    before = psutil.Process().num_fds()

    for _ in range(3):
        refusal(child, b"segfault")
        child.close()
        child.decode(good_file)

    assert psutil.Process().num_fds() == before


def test_the_keeper_ends_with_its_program(tmp_path, good_file):
    """Even where the program is killed and cannot clean up."""
    path = tmp_path / "radiograph"
    path.write_bytes(good_file)
    script = (
        "import sys, os, signal; from pathlib import Path\n"
        "from boxray.imaging.read import read_radiograph; from boxray.imaging.child import decoding_child\n"
        f"read_radiograph(Path({str(path)!r})); print(decoding_child().pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    keeper = int(done.stdout)
    for _ in range(100):
        if not psutil.pid_exists(keeper) or psutil.Process(keeper).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the keeper outlived its program")


KEEPER = "from boxray.imaging.child import keep; keep()"
LIMITS = '["boxray.imaging.read:decode", 600000000, 5, 10.0]'


@pytest.mark.parametrize("gone", ["while the libraries load", "half-way through a file", "while a file is decoded"])
def test_a_keeper_whose_program_was_ended_ends_without_a_word(good_file, gone):
    """`timeout 30 boxray data build` gave a traceback of each keeper, one through the other."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    keeper = subprocess.Popen([sys.executable, "-P", "-c", KEEPER, LIMITS], **pipes)
    options = b'{"check_polarity": false}'
    if gone != "while the libraries load":
        assert keeper.stdout.read(1) == b"+"
        sent = len(good_file) // (2 if gone == "half-way through a file" else 1)
        keeper.stdin.write(struct.pack("<IQ", len(options), len(good_file)) + options + good_file[:sent])
    keeper.stdout.close()
    keeper.stdin.close()

    said = keeper.stderr.read()
    keeper.stderr.close()

    assert (keeper.wait(60), said) == (0, b"")


def test_a_script_without_a_main_guard_may_read_a_file(tmp_path, good_file):
    """multiprocessing's spawn would run the script again; ours must not."""
    (tmp_path / "radiograph").write_bytes(good_file)
    (tmp_path / "script.py").write_text(
        "from pathlib import Path\nfrom boxray.imaging.read import read_radiograph\n"
        "print(read_radiograph(Path('radiograph')).size_wh)\n"
    )
    (tmp_path / "numpy.py").write_text("raise SystemExit('a file of this name must not reach the child')")

    done = subprocess.run(
        [sys.executable, "-P", "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.stdout == "(256, 256)\n", done.stderr
    assert done.stderr == ""


def test_importing_starts_no_process():
    script = "import boxray.imaging.read, psutil; print(len(psutil.Process().children()))"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "0"


def test_an_entry_that_cannot_be_imported_is_said_and_not_waited_for(capfd):
    child = DecodingChild(entry="no_such_module:decode", path=Path())

    error = refusal(child, b"")

    assert (error.code.name, error.code.outcome) == ("decode.unavailable", Outcome.FAILED)
    assert "no_such_module" in capfd.readouterr().err


def test_a_machine_that_starts_no_process_is_no_fault_of_the_file(monkeypatch, good_file):
    def none_left(*_arguments, **_options):
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    child = DecodingChild()
    with monkeypatch.context() as full:
        full.setattr(subprocess, "Popen", none_left)

        assert refusal(child, good_file).code.name == "decode.unavailable"

    assert child.decode(good_file).size_wh == (256, 256)
    child.close()
