"""Errors: what is not documented cannot be refused, and a refusal survives a pipe."""

import pickle
import re
from pathlib import Path

import pytest

import boxray
from boxray.core.errors import (
    CODES,
    BoxrayError,
    DataError,
    InputError,
    MissingExtra,
    ModelError,
    Outcome,
    RecipeError,
)

SOURCE = Path(boxray.__file__).parent


@pytest.mark.parametrize("code", CODES.values(), ids=str)
def test_a_refusal_blames_the_input_and_a_failure_us(code):
    assert CODES[code.name] is code
    assert re.fullmatch(r"[a-z]+\.[a-z_]+", code.name)
    assert code.http in {Outcome.REFUSED: range(400, 500), Outcome.FAILED: range(500, 600)}[code.outcome]
    assert code.meaning


@pytest.mark.parametrize("make", [lambda: InputError("quality.ugly", "no"), lambda: ModelError("no", "quality.ugly")])
def test_a_code_that_is_not_documented_cannot_be_raised(make):
    with pytest.raises(KeyError, match=r"quality\.ugly"):
        make()


def test_a_model_cannot_refuse_an_input():
    """A fault of ours told as REFUSED would send the user back with a good radiograph."""
    with pytest.raises(ValueError, match=r"quality\.blank.*REFUSED"):
        ModelError("the network gave nothing", "quality.blank")


def test_every_code_in_the_package_is_documented():
    said = re.compile(r"(?:InputError\(|ModelError\([^()]*,)\s*\"([a-z]+\.[a-z_]+)\"")
    raised = {code for path in SOURCE.rglob("*.py") for code in said.findall(path.read_text(encoding="utf-8"))}

    assert "model.not_finite" in raised
    assert "image.values_invalid" in raised
    assert raised <= set(CODES)


@pytest.mark.parametrize(
    "error",
    [
        InputError("dicom.multiframe", "the object has 12 frames"),
        ModelError("a score is no number", "model.not_finite"),
        MissingExtra("review", "review"),
        DataError("a patient is in two splits"),
        RecipeError("unknown key"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_out_of_a_pipe_as_it_went_in(error):
    arrived = pickle.loads(pickle.dumps(error))

    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)
    assert isinstance(arrived, BoxrayError)


def test_a_missing_extra_says_what_to_install():
    message = str(MissingExtra("training a detector", "train"))

    assert message == 'training a detector needs the extra [train]; install it with: pip install "boxray[train]"'
