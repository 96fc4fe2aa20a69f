"""An archive that is read: a real Orthanc, the released models, real DICOM files."""

import json
import logging
from collections.abc import Iterator
from datetime import date
from io import BytesIO
from pathlib import Path
from threading import Event, Thread

import pydicom
import pytest

pytest.importorskip("highdicom", reason="the extra [pacs] is not installed")
requests = pytest.importorskip("requests")
pytest.importorskip("dicomweb_client", reason="the extra [pacs] is not installed")

from boxray.cli.demo import examples  # noqa: E402
from boxray.core.errors import DataError, RecipeError  # noqa: E402
from boxray.serve.pacs import Archive, ArchiveError, Film, Ledger, Watch  # noqa: E402
from boxray.serve.pacs.archive import only_part  # noqa: E402
from boxray.serve.server import released_or_refused  # noqa: E402
from boxray.serve.service import Service  # noqa: E402
from serve.pacs.orthanc import LOGIN, missing, orthanc  # noqa: E402

TODAY = date(2026, 3, 2)
REPORT, PRESENTATION = "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.11.1"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    if (why := missing()) is not None:
        pytest.skip(why)
    with orthanc(tmp_path) as address:
        yield address


@pytest.fixture(scope="module")
def service() -> Service:
    return released_or_refused()


def film(number: int, example: int = 0, **attributes: str) -> bytes:
    """A bundled example as a film of a study of its own."""
    dataset = pydicom.dcmread(examples()[example])
    values = {
        "StudyInstanceUID": f"1.2.3.{number}",
        "SeriesInstanceUID": f"1.2.3.{number}.1",
        "SOPInstanceUID": f"1.2.3.{number}.1.1",
        "StudyDate": f"{TODAY:%Y%m%d}",
        "Modality": "DX",
        "PatientName": "Secret^Person",
        "PatientID": f"P{number}",
    }
    for keyword, value in (values | attributes).items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def bring(url: str, *films: bytes) -> None:
    for one in films:
        requests.post(f"{url}/instances", data=one, auth=LOGIN, timeout=30).raise_for_status()


def lying_in(url: str) -> list[pydicom.Dataset]:
    """All that the archive holds."""
    ids = requests.get(f"{url}/instances", auth=LOGIN, timeout=30).json()
    files = (requests.get(f"{url}/instances/{one}/file", auth=LOGIN, timeout=30).content for one in ids)
    return [pydicom.dcmread(BytesIO(file)) for file in files]


def watch(url: str, service: Service, folder: Path) -> Watch:
    archive = Archive(f"{url}/dicom-web", LOGIN)
    return Watch(archive, service, Ledger(folder / "ledger.jsonl", service.models), today=lambda: TODAY)


def boxed(service: Service) -> int:
    """The number of an example in which something is boxed."""
    return next(n for n, path in enumerate(examples()) if service.read(path.read_bytes(), "").reading.detections)


def test_what_is_found_in_a_film_lies_beside_it_in_its_study(url: str, service: Service, tmp_path: Path) -> None:
    bring(url, film(1, boxed(service)))

    done = watch(url, service, tmp_path).one_round()

    assert done == {"RESULT": 1}
    made = {one.SOPClassUID: one for one in lying_in(url) if one.Modality != "DX"}
    assert set(made) == {REPORT, PRESENTATION}
    for one in made.values():
        assert (one.StudyInstanceUID, one.PatientID, one.PatientName) == ("1.2.3.1", "P1", "Secret^Person")
    evidence = made[REPORT].CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert evidence.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3.1.1.1"
    assert made[REPORT].PreliminaryFlag == "PRELIMINARY"


def test_nothing_is_read_twice_and_a_lost_ledger_adds_nothing(url: str, service: Service, tmp_path: Path) -> None:
    bring(url, film(1), film(2, Modality="CR"))

    first = watch(url, service, tmp_path).one_round()
    held = sorted(one.SOPInstanceUID for one in lying_in(url))
    again = watch(url, service, tmp_path).one_round()
    (tmp_path / "ledger.jsonl").unlink()
    anew = watch(url, service, tmp_path).one_round()

    assert (first, again, anew) == ({"RESULT": 2}, {}, {"RESULT": 2})
    assert sorted(one.SOPInstanceUID for one in lying_in(url)) == held


def test_only_radiographs_of_the_last_days_are_asked_for(url: str, service: Service, tmp_path: Path) -> None:
    bring(url, film(1, StudyDate="20260201"), film(2, Modality="CT"))

    assert watch(url, service, tmp_path).one_round() == {}


def test_a_film_that_is_refused_leaves_nothing_and_stops_no_other(url: str, service: Service, tmp_path: Path) -> None:
    bring(url, film(1, NumberOfFrames="7"), film(2))

    done = watch(url, service, tmp_path).one_round()

    assert done == {"REFUSED": 1, "RESULT": 1}
    assert {one.StudyInstanceUID for one in lying_in(url) if one.Modality != "DX"} == {"1.2.3.2"}
    assert watch(url, service, tmp_path).one_round() == {}


def test_more_films_than_an_answer_holds_are_all_found(
    url: str, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(url, *(film(number) for number in range(1, 6)))
    monkeypatch.setattr("boxray.serve.pacs.archive.PAGE", 2)

    found = list(watch(url, service, tmp_path).archive.films(TODAY))

    assert sorted(one.instance for one in found) == [f"1.2.3.{number}.1.1" for number in range(1, 6)]


def test_no_word_of_a_patient_is_logged_or_kept(
    url: str, service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bring(url, film(1), film(2, NumberOfFrames="7"))
    caplog.set_level(logging.INFO)  # as with --verbose

    watch(url, service, tmp_path).one_round()

    told = caplog.text + (tmp_path / "ledger.jsonl").read_text()
    assert "Secret" not in told
    assert "1.2.3." not in told
    assert {json.loads(line)["outcome"] for line in (tmp_path / "ledger.jsonl").read_text().splitlines()} == {
        "RESULT",
        "REFUSED",
    }


def test_a_film_that_cannot_be_stored_is_tried_ever_less_often_and_never_given_up(
    url: str, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(url, film(1))
    standing = watch(url, service, tmp_path)

    def full(_objects: object) -> None:
        raise ArchiveError("storing what was found: the archive answered with HTTP 507")

    with monkeypatch.context() as patched:
        patched.setattr(standing.archive, "store", full)
        rounds = [dict(standing.one_round()) for _ in range(5)]
    later = [dict(standing.one_round()) for _ in range(4)]

    failed: dict[str, int] = {"FAILED": 1}
    assert rounds == [failed, failed, {}, failed, {}]
    assert later == [{}, {}, {"RESULT": 1}, {}]


def test_a_failing_film_that_left_the_archive_is_forgotten(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing = watch("http://127.0.0.1:9", service, tmp_path)  # nobody is there, so that no film comes
    lying = [Film("1", "2", "3")]
    monkeypatch.setattr(standing.archive, "films", lambda *_when: iter(lying))
    failing = [dict(standing.one_round()) for _ in range(5)]
    film_there = lying.pop()

    gone = standing.one_round()
    lying.append(film_there)

    assert failing[-2:] == [{"FAILED": 1}, {}]
    assert (gone, standing.one_round()) == ({}, {"FAILED": 1}), "it came anew, and is tried at once"


def test_an_archive_that_gives_the_same_page_for_ever_is_not_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = Archive("http://127.0.0.1:9/dicom-web")
    monkeypatch.setattr(archive, "_page", lambda _asked, _offset: [Film("1", "2", "3")])

    assert list(archive.films(TODAY, ["DX"])) == [Film("1", "2", "3")]


def test_a_film_comes_as_it_is_stored_byte_by_byte(url: str, service: Service, tmp_path: Path) -> None:
    sent = film(1)
    bring(url, sent)
    archive = watch(url, service, tmp_path).archive

    (one,) = archive.films(TODAY)

    assert archive.fetch(one) == sent


def test_a_film_that_is_too_large_is_refused_before_it_is_held(
    url: str, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(url, film(1))
    monkeypatch.setattr("boxray.serve.pacs.archive.MAX_FILE_BYTES", 1000)

    assert watch(url, service, tmp_path).one_round() == {"REFUSED": 1}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"DICM", "application/dicom"),
        (b"--x\r\n\r\none\r\n--x\r\n\r\ntwo\r\n--x--", "multipart/related; boundary=x"),
        (b"", "multipart/related; boundary=x"),
    ],
)
def test_an_answer_that_is_not_one_part_is_not_taken(body: bytes, content_type: str) -> None:
    with pytest.raises(ValueError, match="part"):
        only_part(body, content_type)


def test_a_part_may_hold_line_ends_and_dashes() -> None:
    content = b"DICM\r\n--\r\n--y\r\n\r\n"
    body = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n--x--\r\n"

    assert only_part(body, 'multipart/related; type="application/dicom"; boundary="x"') == content


def test_an_archive_that_comes_back_is_read_on(url: str, service: Service, tmp_path: Path) -> None:
    standing = watch(url, service, tmp_path)
    films, stop, asked = standing.archive.films, Event(), []

    def away_once(*when: object) -> Iterator[Film]:
        asked.append(when)
        if len(asked) == 1:
            raise ArchiveError("searching for films: the archive cannot be reached (ConnectionError)")
        return films(*when)  # type: ignore[arg-type]

    standing.archive.films = away_once  # type: ignore[assignment, method-assign]
    bring(url, film(1))
    thread = Thread(target=standing.go_on, args=(0.01, stop))
    thread.start()
    while not len(standing.ledger):
        assert thread.is_alive()
        stop.wait(0.05)
    stop.set()
    thread.join()

    assert len(asked) >= 2


def test_a_wrong_password_is_said_without_the_address(url: str) -> None:
    archive = Archive(f"{url}/dicom-web", ("boxray", "wrong"))

    with pytest.raises(ArchiveError, match="searching for films: the archive answered with HTTP 401") as told:
        list(archive.films(TODAY))
    assert "127.0.0.1" not in str(told.value)


def test_an_archive_that_is_not_there_is_an_error_in_words() -> None:
    with pytest.raises(ArchiveError, match="cannot be reached"):
        list(Archive("http://127.0.0.1:9/dicom-web").films(TODAY))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("pacs.example/dicom-web", "https://HOST/PATH"),
        ("file:///etc/passwd", "https://HOST/PATH"),
        ("https://me:secret@pacs.example/", "holds a user"),
        ("http://pacs.example/dicom-web", "reads the password"),
    ],
)
def test_an_address_that_is_none_or_gives_a_password_away_is_refused(address: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said) as told:
        Archive(address, LOGIN)
    assert "secret" not in str(told.value)


def test_a_ledger_whose_last_line_was_cut_off_is_gone_on_with(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    one, two = (Film("1", "2", str(number)) for number in (3, 4))
    Ledger(path, service.models).add(one, "RESULT")
    with path.open("a") as file:
        file.write('{"film": "half')

    again = Ledger(path, service.models)
    again.add(two, "RESULT")

    assert one in again
    assert {one in Ledger(path, service.models), two in Ledger(path, service.models)} == {True}


def test_other_models_read_everything_anew(service: Service, tmp_path: Path) -> None:
    path, one = tmp_path / "ledger.jsonl", Film("1", "2", "3")
    Ledger(path, service.models).add(one, "RESULT")

    assert one not in Ledger(path, {"detector": service.models["detector"]})


def test_a_file_that_is_no_ledger_is_not_overwritten(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text("my notes\n")

    with pytest.raises(DataError, match="not a ledger"):
        Ledger(path, service.models)
    assert path.read_text() == "my notes\n"
