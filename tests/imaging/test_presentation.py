"""From stored values to shades: the order of the standard, against highdicom, and against twins."""

import io

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from boxray.core.errors import InputError
from boxray.imaging.read import decode

ONE_SHADE = 1.01 / 255
LOWEST = {False: lambda bits: 0, True: lambda bits: -(2 ** (bits - 1))}


def shown(data: bytes):
    return decode(data, check_polarity=False)


def refusal_code(data: bytes) -> str:
    with pytest.raises(InputError) as refusal:
        shown(data)
    return refusal.value.code.name


def window_in_the_middle(bits: int, signed: bool) -> dict:
    centre = 2 ** (bits - 1) + LOWEST[signed](bits)
    return {"WindowCenter": str(centre), "WindowWidth": str(2 ** (bits - 1))}


PRESENTATIONS = {
    "linear": lambda bits, signed, lut: window_in_the_middle(bits, signed),
    "linear-exact": lambda bits, signed, lut: {
        **window_in_the_middle(bits, signed),
        "VOILUTFunction": "LINEAR_EXACT",
    },
    "sigmoid": lambda bits, signed, lut: {**window_in_the_middle(bits, signed), "VOILUTFunction": "SIGMOID"},
    "rescale-and-linear-exact": lambda bits, signed, lut: {
        "VOILUTFunction": "LINEAR_EXACT",  # LINEAR: see the test below
        "RescaleSlope": "0.5",
        "RescaleIntercept": "-100",
        "RescaleType": "US",
        "WindowCenter": str(0.5 * (2 ** (bits - 1) + LOWEST[signed](bits)) - 100),
        "WindowWidth": str(2 ** (bits - 2)),
    },
    "voi-table": lambda bits, signed, lut: {
        "VOILUTSequence": [lut((np.linspace(0, 1, 200) ** 2 * 65535).astype(int), LOWEST[signed](bits) + 20, kind="")]
    },
    "modality-table-and-window": lambda bits, signed, lut: {
        "ModalityLUTSequence": [lut(np.arange(min(2**bits, 65535))[::-1] // 2, LOWEST[signed](bits))],
        "WindowCenter": str(2 ** (bits - 2)),
        "WindowWidth": str(2 ** (bits - 2)),
    },
}


@pytest.mark.parametrize("presentation", PRESENTATIONS)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("bits", [pytest.param(k, id=f"A8-A10-A12-{k}-bits") for k in (8, 12, 16)])
def test_shades_are_those_of_highdicom(dicom_file, grid, lut, bits, signed, photometric, presentation):
    if (bits, signed, presentation) == (8, True, "voi-table"):
        pytest.skip("highdicom 0.28.2 overflows int8 there; pydicom is asked in the next test")
    values = grid(bits, LOWEST[signed](bits))
    attributes = PRESENTATIONS[presentation](bits, signed, lut)
    data = dicom_file(values, bits=bits, signed=signed, photometric=photometric, **attributes)

    reference = highdicom.imread(io.BytesIO(data)).get_frame(
        1, apply_modality_transform=None, apply_voi_transform=True, apply_presentation_lut=True
    )

    largest_difference = float(np.abs(shown(data).pixels - reference).max())
    assert largest_difference <= ONE_SHADE


def test_a_table_on_signed_8_bit_values_is_what_pydicom_makes_of_it_a10(dicom_file, grid, lut):
    table = PRESENTATIONS["voi-table"](8, True, lut)
    values = grid(8, lowest=-128)
    data = dicom_file(values, bits=8, signed=True, **table)

    reference = apply_voi_lut(values, pydicom.dcmread(io.BytesIO(data))) / 65535

    assert np.abs(shown(data).pixels - reference).max() < 1e-5


@pytest.mark.parametrize("bits", [8, 12])
def test_a_linear_window_counts_in_rescaled_units_as_pydicom_has_it(dicom_file, grid, bits):
    """highdicom folds the rescale into the window, so that LINEAR's half unit (C.11.2.1.2.1) is a *stored* unit.

    The standard applies the window to what the modality step gives. We follow it, and differ on purpose.
    """
    window = {"WindowCenter": str(2 ** (bits - 2)), "WindowWidth": "20", "RescaleType": "US"}
    data = dicom_file(grid(bits), bits=bits, RescaleSlope="0.5", RescaleIntercept="0", **window)
    ds = pydicom.dcmread(io.BytesIO(data))

    reference = apply_voi_lut(apply_modality_lut(ds.pixel_array, ds), ds)

    span = reference.max() - reference.min()
    assert np.abs(shown(data).pixels - (reference - reference.min()) / span).max() < 1e-5


def with_padding(values, lowest):
    padded = values.copy()
    padded[:20] = lowest
    return padded


TWINS = {
    "nothing": {},
    "window": {"WindowCenter": "0.4", "WindowWidth": "0.5"},
    "sigmoid": {"WindowCenter": "0.4", "WindowWidth": "0.5", "VOILUTFunction": "SIGMOID"},
    "invalid-window": {"WindowCenter": "0.4", "WindowWidth": "0"},
    "padding": {"WindowCenter": "0.4", "WindowWidth": "0.5", "PixelPaddingValue": 0},
    "padding-without-window": {"PixelPaddingValue": 0},
    "lut": {"VOILUTSequence": True},
}


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("bits", [pytest.param(k, id=f"A8-{k}-bits") for k in (8, 10, 12, 14, 16)])
def test_a_monochrome1_twin_with_inverted_values_is_the_same_radiograph(dicom_file, chest, lut, bits, signed, twin):
    """The twin stores `top - value`, so its window lies mirrored: at `top - centre` (LINEAR_EXACT is symmetric)."""
    lowest = LOWEST[signed](bits)
    top = 2**bits - 1
    values = np.round(chest() * top).astype(int)
    settings = dict(TWINS[twin])
    one, other = {}, {}
    if "WindowWidth" in settings:
        centre, width = float(settings["WindowCenter"]) * top, float(settings["WindowWidth"]) * top
        function = {"VOILUTFunction": settings.get("VOILUTFunction", "LINEAR_EXACT")}
        one = {"WindowCenter": f"{lowest + centre:.6f}", "WindowWidth": f"{width:.6f}", **function}
        other = {"WindowCenter": f"{lowest + top - centre:.6f}", "WindowWidth": f"{width:.6f}", **function}
    if "VOILUTSequence" in settings:
        entries = (np.linspace(0, 1, 2**bits) ** 2 * 65535).astype(int)
        one = {"VOILUTSequence": [lut(entries, lowest, kind="")]}
        other = {"VOILUTSequence": [lut(65535 - entries[::-1], lowest, kind="")]}
    if "PixelPaddingValue" in settings:
        values = np.maximum(values, 1)
        values[:20] = 0
        one["PixelPaddingValue"], other["PixelPaddingValue"] = lowest, lowest + top
    mono2 = dicom_file(values + lowest, bits=bits, signed=signed, **one)
    mono1 = dicom_file(top - values + lowest, bits=bits, signed=signed, photometric="MONOCHROME1", **other)

    bright, inverted = shown(mono2), shown(mono1)

    assert np.abs(bright.pixels - inverted.pixels).max() < 1e-5
    assert (bright.padded is None) == (inverted.padded is None) == ("PixelPaddingValue" not in settings)
    if bright.padded is not None:
        assert np.array_equal(bright.padded, inverted.padded)


def test_monochrome1_is_inverted_after_the_window_and_not_before_a8(dicom_file, grid):
    """Window from 1000 to 3000: 2000 is the middle either way, 1000 is white only if inverted last."""
    window = {"WindowCenter": "2000", "WindowWidth": "2000", "VOILUTFunction": "LINEAR_EXACT"}
    values = grid(12)

    rad = shown(dicom_file(values, photometric="MONOCHROME1", **window))

    assert (rad.pixels[values <= 1000] == 1).all()
    assert (rad.pixels[values >= 3000] == 0).all()
    assert any("inverted" in note for note in rad.notes)


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [
        pytest.param("MONOCHROME1", "INVERSE", True, id="A8-both-say-so"),
        pytest.param("MONOCHROME2", "IDENTITY", False, id="A8-both-say-not"),
        pytest.param("MONOCHROME2", "INVERSE", True, id="A8-the-shape-rules"),
        pytest.param("MONOCHROME1", "IDENTITY", False, id="A8-the-shape-rules-again"),
        pytest.param("MONOCHROME1", "", True, id="A8-no-shape"),
    ],
)
def test_presentation_lut_shape_rules_where_it_is_there(dicom_file, grid, photometric, shape, inverted):
    values = grid(8)

    rad = shown(dicom_file(values, bits=8, photometric=photometric, PresentationLUTShape=shape))

    expected = 255 - values if inverted else values
    assert np.array_equal(np.round(rad.pixels * 255), expected)
    contradiction = bool(shape) and inverted != (photometric == "MONOCHROME1")
    assert any("contradicts" in note for note in rad.notes) == contradiction


def test_a_voi_table_goes_before_a_window_and_is_noted_a10(dicom_file, grid, lut):
    table = [lut(np.arange(4096)[::-1] * 16, 0, kind="")]

    rad = shown(dicom_file(grid(12), VOILUTSequence=table, WindowCenter="2048", WindowWidth="4096"))

    assert rad.pixels[0, 0] > 0.99
    assert rad.notes == ("VOI: table 1 of 1 in the file",)


def test_the_first_of_several_windows_is_used_and_noted_a10(dicom_file, grid):
    several = {"WindowCenter": ["1000", "3000"], "WindowWidth": ["200", "100"]}
    values = grid(12)

    rad = shown(dicom_file(values, **several))

    assert (rad.pixels[values > 1100] == 1).all()
    assert rad.notes == ("VOI: window 1 of 2 in the file, LINEAR, centre 1000, width 200",)


def test_a_window_of_width_one_is_a_step_a10(dicom_file, grid):
    values = grid(12)

    rad = shown(dicom_file(values, WindowCenter="2000.5", WindowWidth="1"))

    assert np.array_equal(rad.pixels, (values > 2000).astype(np.float32))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "window",
    [
        pytest.param({"WindowCenter": "2000", "WindowWidth": "0"}, id="A11-width-0"),
        pytest.param({"WindowCenter": "2000", "WindowWidth": "0.5"}, id="A11-linear-narrower-than-one"),
        pytest.param({"WindowCenter": "2000", "WindowWidth": "-40"}, id="A11-negative-width"),
        pytest.param({"WindowCenter": "nan", "WindowWidth": "400"}, id="A11-centre-NaN"),
        pytest.param({"WindowCenter": "2000", "WindowWidth": "inf"}, id="A11-infinite-width"),
        pytest.param({"WindowCenter": "2000"}, id="A11-no-width"),
        pytest.param({"WindowWidth": "2000"}, id="A11-no-centre"),
        pytest.param(
            {"WindowCenter": "2000", "WindowWidth": "400", "VOILUTFunction": "CUBIC"}, id="A10-unknown-function"
        ),
    ],
)
def test_an_invalid_window_gives_way_to_percentiles_and_a_note(dicom_file, grid, window):
    values = grid(12)
    low, high = np.percentile(values, [0.5, 99.5])

    rad = shown(dicom_file(values, **window))

    assert np.abs(rad.pixels - ((values - low) / (high - low)).clip(0, 1)).max() < 1e-3
    assert "percentiles 0.5 to 99.5" in rad.notes[0]


def test_a_broken_voi_table_falls_back_to_the_window_a10(dicom_file, grid, lut):
    broken = lut(np.arange(100), 0, kind="")
    broken.LUTDescriptor = [4096, 0, 16]  # but 100 entries
    window = {"WindowCenter": "2048", "WindowWidth": "4096"}

    assert "window 1 of 1" in shown(dicom_file(grid(12), VOILUTSequence=[broken], **window)).notes[0]
    assert "percentiles" in shown(dicom_file(grid(12), VOILUTSequence=[broken])).notes[0]


def test_a_broken_modality_table_is_refused_a11(dicom_file, grid, lut):
    broken = lut(np.arange(100), 0)
    broken.LUTDescriptor = [4096, 0, 16]

    assert refusal_code(dicom_file(grid(12), ModalityLUTSequence=[broken])) == "dicom.rescale_invalid"


def test_eight_entries_packed_into_words_are_read_a10(dicom_file, grid, lut):
    entries = (np.linspace(0, 1, 256) ** 2 * 255).astype(np.uint8)
    item = lut([0], 0, 8, kind="")
    item.LUTDescriptor, item.LUTData = [256, 0, 8], entries.tobytes()

    rad = shown(dicom_file(grid(8), bits=8, VOILUTSequence=[item]))

    assert np.array_equal(np.round(rad.pixels * 255), entries[grid(8)])


def test_without_a_window_deep_values_are_spread_and_8_bit_values_are_shades(dicom_file, chest):
    dark = np.round(chest() * 100 + 50).astype(int)

    deep, shallow = shown(dicom_file(dark, bits=12)), shown(dicom_file(dark, bits=8))

    assert (deep.pixels.min(), deep.pixels.max()) == (0, 1)
    assert np.array_equal(np.round(shallow.pixels * 255), dark)
    assert "none in the file" in deep.notes[0]
    assert "none in the file" in shallow.notes[0]


def test_a_negative_slope_turns_the_shades_round(dicom_file, grid):
    values = grid(12)
    window = {"WindowCenter": "-2048", "WindowWidth": "4096"}

    rad = shown(dicom_file(values, RescaleSlope="-1", RescaleIntercept="0", RescaleType="US", **window))

    assert rad.pixels[0, 0] > 0.99
    assert rad.pixels[-1, -1] < 0.01


@pytest.mark.parametrize(
    ("attributes", "padding"),
    [
        pytest.param({"PixelPaddingValue": 7}, [7], id="A13-one-value"),
        pytest.param({"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 9}, range(10), id="A13-a-range"),
        pytest.param({"PixelPaddingValue": 9, "PixelPaddingRangeLimit": 5}, range(5, 10), id="A13-downwards"),
    ],
)
def test_padding_is_masked_on_stored_values_and_shown_as_0(dicom_file, chest, attributes, padding):
    values = np.round(chest() * 3000 + 500).astype(int)
    values[:40] = padding[0]
    values[40:50] = padding[-1]
    rescale = {"RescaleSlope": "2", "RescaleIntercept": "5000", "RescaleType": "US"}

    for photometric in ("MONOCHROME2", "MONOCHROME1"):
        rad = shown(dicom_file(values, photometric=photometric, **rescale, **attributes))

        assert np.array_equal(rad.padded, np.isin(values, list(padding)))
        assert (rad.pixels[rad.padded] == 0).all()
        assert "padding left out" in rad.notes


def test_padding_takes_no_part_in_percentiles_and_spreads_a13(dicom_file, chest):
    values = np.round(chest() * 1000 + 2000).astype(int)
    values[:100] = 0
    bare, broken = {"PixelPaddingValue": 0}, {"PixelPaddingValue": 0, "WindowCenter": "1", "WindowWidth": "0"}

    for attributes in (bare, broken):
        rad = shown(dicom_file(values, **attributes))

        seen = rad.pixels[~rad.padded]
        assert seen.min() == 0
        assert seen.max() == 1
        assert seen.std() > 0.2


def test_signed_padding_written_as_unsigned_is_understood_a13(dicom_dataset, as_file, chest):
    values = np.round(chest() * 3000 - 1000).astype(int)
    values[:40] = -2000
    ds = dicom_dataset(values, bits=16, signed=True)
    ds.add_new("PixelPaddingValue", "US", 65536 - 2000)

    rad = shown(as_file(ds))

    assert np.array_equal(rad.padded, values == -2000)


def test_declared_padding_that_no_pixel_has_is_no_padding_a13(dicom_file, chest):
    rad = shown(dicom_file(np.round(chest() * 3000 + 500).astype(int), PixelPaddingValue=0))

    assert rad.padded is None
    assert "padding left out" not in rad.notes


@pytest.mark.parametrize(
    ("value", "attributes"),
    [
        pytest.param(100, {}, id="constant"),
        pytest.param(100, {"PixelPaddingValue": 100}, id="all-padding"),
        pytest.param(None, {"WindowCenter": "60000", "WindowWidth": "2"}, id="all-below-the-window"),
    ],
)
def test_a_picture_of_one_shade_is_blank(dicom_file, grid, value, attributes):
    values = grid(12) if value is None else np.full((256, 256), value)

    assert refusal_code(dicom_file(values, **attributes)) == "quality.blank"


@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
def test_a_table_of_signed_values_may_begin_below_0_though_its_beginning_is_written_unsigned(
    dicom_file, grid, lut, sequence
):
    """The same 16 bits are -2048 as SS and 63488 as US; many writers know only the latter (PS3.3 C.11.1.1.1)."""
    entries = np.linspace(0, 1, 4096) ** 2 * 65535
    as_signed, as_unsigned = (lut(entries, first, kind="") for first in (-2048, 63488))

    one, other = (
        shown(dicom_file(grid(12, -2048), signed=True, **{sequence: [item]})) for item in (as_signed, as_unsigned)
    )

    assert np.array_equal(one.pixels, other.pixels)
    assert len(np.unique(one.pixels)) > 1000
