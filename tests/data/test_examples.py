"""The shipped examples, and the way they are made, on phantoms."""

import csv
import gzip
import json
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest

from boxray.core.errors import InputError
from boxray.data.examples import EXAMPLES, Example, align, dicom, make, make_examples
from boxray.data.examples.blend import (
    WEIGHT_LIMIT,
    Blend,
    bands,
    blend,
    correlation,
    draw_preferences,
    limited,
    mean_without,
    own_detail,
    say_of,
)
from boxray.data.examples.films import Film, burned_in, nih, one_per_person, siim, tbx11k
from boxray.imaging.read import decode

SHIPPED = sorted((Path(__file__).parents[2] / "data" / "examples").glob("*.dcm"))
TO_BE_READ = [path for path in SHIPPED if path.stem != "refused"]
REMAINS_LIMIT = 0.35
"""Of one film's own detail in a composite, over the whole picture; 1 would be the film itself."""


# -- what is shipped ---------------------------------------------------------------------------------------


def test_every_example_of_the_table_is_shipped() -> None:
    assert {path.stem for path in SHIPPED} == {example.name for example in EXAMPLES} | {"refused"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_file_says_that_it_is_synthetic(path: Path) -> None:
    ds = pydicom.dcmread(path)

    assert str(ds.PatientName) == f"SYNTHETIC^{path.stem.upper()}"
    assert ds.PatientID.startswith("SYNTHETIC-")
    assert "SYNTHETIC" in ds.StudyDescription
    assert "research use only" in ds.StudyDescription
    assert "SYNTHETIC" in ds.DerivationDescription
    assert ds.ContentQualification == "RESEARCH"
    assert ds.ImageType[0] == "DERIVED"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_file_carries_twelve_bits_without_loss_and_is_small(path: Path) -> None:
    ds = pydicom.dcmread(path)
    stored = ds.pixel_array

    assert (ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation) == (16, 12, 11, 0)
    assert stored.shape == (ds.Rows, ds.Columns)
    assert stored.max() < 4096
    assert len(np.unique(stored)) > 1024  # more shades than ten bits hold
    assert ds.file_meta.TransferSyntaxUID.is_compressed
    assert path.stat().st_size < 900_000


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_header_is_complete_and_valid(path: Path) -> None:
    with pydicom.config.strict_reading():
        ds = pydicom.dcmread(path)
        text = str(ds)  # decodes every element

    for keyword in ("SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "ViewPosition"):
        assert keyword in ds
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    assert (ds.Modality, ds.BodyPartExamined, ds.ViewPosition, ds.BurnedInAnnotation) == ("DX", "CHEST", "PA", "NO")
    assert "Pixel Data" in text


def test_no_two_shipped_files_share_an_identifier() -> None:
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in SHIPPED]

    for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        assert len({getattr(ds, keyword) for ds in headers}) == len(SHIPPED)


@pytest.mark.parametrize("path", TO_BE_READ, ids=lambda path: path.stem)
def test_an_example_to_be_read_shows_a_chest_in_its_window(path: Path) -> None:
    ds = pydicom.dcmread(path)
    shade = (ds.pixel_array - (ds.WindowCenter - ds.WindowWidth / 2)) / ds.WindowWidth
    if ds.PhotometricInterpretation == "MONOCHROME1":
        shade = 1 - shade
    height, width = shade.shape

    middle = shade[height // 3 : height // 2, width * 9 // 20 : width * 11 // 20].mean()
    lung = shade[height // 5 : height * 2 // 5, width * 7 // 10 : width * 8 // 10].mean()

    assert ds.PresentationIntentType == "FOR PRESENTATION"
    assert middle > lung + 0.2  # bone and heart are denser than lung
    assert ((shade < 0) | (shade > 1)).mean() < 0.02


@pytest.mark.parametrize("path", TO_BE_READ, ids=lambda path: path.stem)
def test_the_one_decoder_reads_an_example(path: Path) -> None:
    rad = decode(path.read_bytes())

    assert rad.view == "PA"
    assert rad.spacing_mm == (dicom.SPACING_MM, dicom.SPACING_MM)
    assert rad.pixels.std() > 0.15


def test_the_one_decoder_refuses_what_is_for_processing() -> None:
    (path,) = (path for path in SHIPPED if path.stem == "refused")

    with pytest.raises(InputError) as refused:
        decode(path.read_bytes())

    assert refused.value.code.name == "dicom.for_processing"


def test_one_example_is_stored_inverted_to_show_the_decoder() -> None:
    photometric = [pydicom.dcmread(path).PhotometricInterpretation for path in TO_BE_READ]

    assert photometric.count("MONOCHROME1") == 1


def test_the_example_to_be_refused_is_for_processing_and_has_no_window() -> None:
    (path,) = (path for path in SHIPPED if path.stem == "refused")
    ds = pydicom.dcmread(path)

    assert ds.PresentationIntentType == "FOR PROCESSING"
    assert "WindowCenter" not in ds
    height, width = ds.pixel_array.shape
    lung = ds.pixel_array[height // 5 : height * 2 // 5, width * 7 // 10 : width * 8 // 10].mean()
    assert lung > ds.pixel_array[height // 3 : height // 2, width * 9 // 20 : width * 11 // 20].mean()


# -- how they are made -------------------------------------------------------------------------------------


def films_of(n: int, seed: int = 0, side: int = 256) -> list[np.ndarray]:
    """A common body (a soft disc) under each film's own detail."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    body = cv2.GaussianBlur(0.3 + 0.3 * ((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.1), (0, 0), 20)
    own = [cv2.GaussianBlur(rng.normal(size=(side, side)), (0, 0), 2.5) for _ in range(n)]
    return [(body + 0.05 * detail / detail.std()).astype(np.float32) for detail in own]


def blended_evenly(films: list[np.ndarray], seed: int) -> Blend:
    """A blend in which every film has a say everywhere."""
    say = np.ones((len(films), 128, 128), np.float32)
    preferences = draw_preferences(np.random.default_rng(seed), len(films), contrast=2.2)
    return blend(films, say, say, preferences, body=np.ones_like(films[0]))


def test_no_share_exceeds_the_limit_and_all_shares_fill_every_place() -> None:
    say = np.random.default_rng(0).random((12, 128, 128)).astype(np.float32) + 1e-6

    shares = limited(say * draw_preferences(np.random.default_rng(1), 12, contrast=5.0))

    assert shares.max() <= WEIGHT_LIMIT + 1e-6
    assert shares.sum(axis=0) == pytest.approx(np.ones((128, 128)), abs=1e-5)


def test_a_film_that_alone_has_a_say_still_stays_within_the_limit() -> None:
    say = np.full((8, 4, 4), 1e-6)
    say[0] = 1.0

    shares = limited(say)

    assert shares.max() <= WEIGHT_LIMIT + 1e-9
    assert shares.sum(axis=0) == pytest.approx(np.ones((4, 4)))


def test_too_few_films_for_the_limit_are_an_error() -> None:
    with pytest.raises(ValueError, match="6 films cannot share a place"):
        limited(np.ones((6, 2, 2)))


def test_bands_add_up_to_the_film() -> None:
    (film,) = films_of(1)

    assert np.sum(bands(film), axis=0) == pytest.approx(film, abs=1e-5)


def test_a_blend_keeps_the_common_body_and_the_strength_of_detail() -> None:
    films = films_of(16)

    blended = blended_evenly(films, seed=0)

    body = np.mean(films, axis=0)
    assert correlation(blended.mean - blended.mean.mean(), body - body.mean()) > 0.99
    own = [np.std(film - body) for film in films]
    assert np.std(blended.pixels - body) > 0.6 * np.mean(own)
    assert np.std(blended.pixels - body) < 1.3 * np.mean(own)


def test_of_no_film_much_remains_in_a_blend() -> None:
    films = films_of(24)

    blended = blended_evenly(films, seed=0)

    assert blended.largest_share <= WEIGHT_LIMIT + 1e-6
    for number, film in enumerate(films):
        common = mean_without(blended, film, number)
        remains = correlation(own_detail(blended.pixels, common), own_detail(film, common))
        assert 0.02 < remains < REMAINS_LIMIT  # it did take part, and one would not know it again


def test_the_measure_knows_a_film_that_was_copied() -> None:
    films = films_of(24)
    common = np.mean(films[1:], axis=0)

    assert correlation(own_detail(films[0], common), own_detail(films[0], common)) == pytest.approx(1, abs=1e-3)
    assert abs(correlation(own_detail(films[0], common), own_detail(films[1], common))) < 0.1


def test_the_same_seed_gives_the_same_blend_and_another_seed_another() -> None:
    films = films_of(10)

    def once(seed: int) -> np.ndarray:
        return blended_evenly(films, seed).pixels

    assert (once(3) == once(3)).all()
    assert not np.allclose(once(3), once(4))


def test_burned_in_letters_do_not_survive() -> None:
    films = films_of(12, side=512)
    lettered = [film.copy() for film in films]
    letter = cv2.putText(np.zeros((512, 512), np.uint8), "R", (60, 90), cv2.FONT_HERSHEY_SIMPLEX, 1.5, 255, 4) > 0
    lettered[0][letter] = 1.0
    there = [np.ones_like(film) for film in films]

    say = say_of(lettered, there, there)
    preferences = draw_preferences(np.random.default_rng(0), len(films), contrast=2.2)
    blended = blend(lettered, say, say, preferences, body=there[0])

    assert say[0][cv2.resize(letter.astype(np.float32), (128, 128), interpolation=cv2.INTER_AREA) > 0.5].max() < 0.05
    around = cv2.dilate(letter.astype(np.uint8), np.ones((25, 25), np.uint8)).astype(bool) & ~letter
    spread = np.std(blended.pixels[around])
    assert abs(blended.pixels[letter].mean() - blended.pixels[around].mean()) < spread


def test_letters_are_found_on_a_film_and_ribs_are_not() -> None:
    film = chest(np.random.default_rng(0))
    letter = cv2.putText(np.zeros_like(film), "PORTABLE", (30, 60), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2) > 0
    film[letter] = 255

    found = burned_in(film)

    assert found[letter].mean() > 0.95
    assert found[100:500, 100:540].mean() < 0.01


def test_a_way_and_its_inverse_lead_back() -> None:
    y, x = np.mgrid[: align.GRID_PX, : align.GRID_PX].astype(np.float32)
    flow = np.stack([8 * np.sin(y / 60), 6 * np.cos(x / 70)], axis=-1)

    back = align.composed(align.inverted(flow), flow)

    inner = slice(20, -20)
    assert np.abs(back[inner, inner]).max() < 0.05


def test_registration_brings_a_shifted_phantom_back() -> None:
    film = chest(np.random.default_rng(0), side=align.GRID_PX)
    other = np.roll(film, (6, -5), axis=(0, 1))
    flats = [align.flattened(picture.astype(np.float32) / 255) for picture in (film, other)]
    still = np.zeros((align.GRID_PX, align.GRID_PX, 2), np.float32)

    aligned = align.dense_flows(flats, [still, still], leaders=[0], distrusted=[None, None], n_rounds=1)

    inner = slice(120, 400)
    assert np.median(aligned.flows[1][inner, inner, 0]) == pytest.approx(-5, abs=0.7)
    assert np.median(aligned.flows[1][inner, inner, 1]) == pytest.approx(6, abs=0.7)


def test_a_file_inverted_in_storage_shows_the_same_picture() -> None:
    stored = dicom.stored_values(np.linspace(0, 1, 64).reshape(8, 8))

    plain = dicom.for_presentation("a", 1, stored, "made", inverted=False)
    turned = dicom.for_presentation("a", 1, stored, "made", inverted=True)

    def shade(ds: pydicom.Dataset) -> np.ndarray:
        values = np.frombuffer(ds.PixelData, "<u2").astype(float)
        shown = (values - ds.WindowCenter) / ds.WindowWidth + 0.5
        return 1 - shown if ds.PhotometricInterpretation == "MONOCHROME1" else shown

    assert shade(plain) == pytest.approx(shade(turned))
    assert shade(plain)[[0, -1]] == pytest.approx([0, 1])


# -- from which films --------------------------------------------------------------------------------------


def chest(rng: np.random.Generator, side: int = 640) -> np.ndarray:
    """A phantom: two dark lungs in a grey body, crossed by ribs, with grain. Uint8 ``(side, side)``."""
    y, x = np.mgrid[:side, :side] / side
    x, y = x + rng.normal(0, 0.01), y + rng.normal(0, 0.01)
    shade = np.where(np.abs(x - 0.5) < 0.46, 0.75, 0.05)
    for centre in (0.3, 0.7):
        lung = ((x - centre) / 0.15) ** 2 + ((y - 0.45) / 0.32) ** 2 < 1
        shade = np.where(lung, 0.25 + 0.12 * (np.sin(55 * y + 3 * np.abs(x - 0.5)) > 0.4), shade)
    grain = cv2.GaussianBlur(rng.normal(size=shade.shape), (0, 0), 2)
    return (255 * (cv2.GaussianBlur(shade, (0, 0), 2) + 0.03 * grain / grain.std()).clip(0.02, 1)).astype(np.uint8)


def write_nih(folder: Path, n: int) -> None:
    (folder / "images").mkdir(parents=True)
    entries, boxes = [], []
    for number in range(n):
        name = f"{number:08d}_000"
        cv2.imwrite(str(folder / "images" / f"{name}.jpg"), chest(np.random.default_rng(number)))
        entries.append([f"{name}.png", "Cardiomegaly", 0, number, 50, "F", "PA", 1, 1, 0.1, 0.1])
        boxes.append([f"{name}.png", "Cardiomegaly", 320, 400, 400, 300, "", "", ""])
    head = ["Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Gender"]
    head += ["View Position", "OriginalImage[Width", "Height]", "OriginalImagePixelSpacing[x", "y]"]
    with gzip.open(folder / "Data_Entry_2017_v2020.csv.gz", "wt", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *entries])
    with (folder / "BBox_List_2017.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["Image Index", "Finding Label", "Bbox [x", "y", "w", "h]", "", "", ""], *boxes])


def write_lungs(folder: Path, n: int) -> None:
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number in range(n):
        images.append({"id": number, "file_name": f"a.b-{number}.png", "width": 1280, "height": 1280})
        cv2.imwrite(str(folder / "images" / f"a.b-{number}.jpg"), chest(np.random.default_rng(100 + number)))
        for category, left in ((1, 0.15), (2, 0.55)):
            box = [1280 * left, 1280 * 0.13, 1280 * 0.3, 1280 * 0.64]
            annotations.append({"image_id": number, "category_id": category, "bbox": box})
    table = {"images": images, "annotations": annotations}
    (folder / "annotations.json").write_text(json.dumps(table), encoding="utf-8")


def test_boxes_of_nih_are_brought_into_the_pixels_of_the_file(tmp_path: Path) -> None:
    write_nih(tmp_path / "nih", 2)

    films = nih(tmp_path / "nih", "Cardiomegaly")

    assert [film.person for film in films] == ["00000000", "00000001"]
    assert films[0].boxes_xyxy.tolist() == [[200, 250, 450, 437.5]]
    assert films[0].wanted == (True,)


def test_only_one_film_of_a_person_enters_a_composite(tmp_path: Path) -> None:
    films = []
    for number, person in enumerate("aab"):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(bytes([number]))
        films.append(Film(path, person, (1, 1), np.zeros((0, 4)), ()))
    twin = tmp_path / "3.jpg"
    twin.write_bytes(bytes([2]))  # the same film under another name and another person
    films.append(Film(twin, "c", (1, 1), np.zeros((0, 4)), ()))

    taken = one_per_person(films, lambda film: float(film.path.stem))

    assert [film.path.stem for film in taken] == ["3", "1"]


@pytest.mark.slow
def test_phantoms_become_the_same_file_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_nih(tmp_path / "data" / "nih", 10)
    write_lungs(tmp_path / "data" / "covid_lungs", 12)
    table = (Example("phantom", lambda data: nih(data / "nih", "Cardiomegaly"), n_films=8, whole=True),)
    monkeypatch.setattr(make, "EXAMPLES", table)

    (one,) = make_examples(tmp_path / "data", tmp_path / "one", seed=5)
    make_examples(tmp_path / "data", tmp_path / "two", seed=5)

    assert one.largest_share <= WEIGHT_LIMIT + 1e-6
    for name in ("phantom.dcm", "refused.dcm"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.real
def test_the_published_sets_hold_the_films_that_the_table_asks_for(shared: Path) -> None:
    data = shared / "data"

    assert len(nih(data / "nih", "Cardiomegaly", view="PA")) == 61
    assert len(tbx11k(data / "tbx11k")) == 600
    assert len(siim(data / "siim")) == 2243


@pytest.mark.real
@pytest.mark.slow
def test_of_no_real_film_much_remains(shared: Path, tmp_path: Path) -> None:
    (made,) = make_examples(shared / "data", tmp_path, seed=1, only=frozenset({"cardiomegaly"}))

    assert made.largest_share <= WEIGHT_LIMIT + 1e-6
    assert max(made.remains) < REMAINS_LIMIT
    assert made.remains_locally < 0.65
