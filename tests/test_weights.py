"""Released weights: a card that says what they answer, and hashes that hold it to that."""

import hashlib
import json
from pathlib import Path

import pytest

from boxray.core.errors import ModelError
from boxray.weights import ModelCard, OperatingPoint, Provenance, load_card, released_card, save_card
from making import SIX, label_space

GRAPH, TENSORS = b"a graph", b"some tensors"


def a_card(*keys, **changes):
    keys = keys or ("effusion", "edema")
    content = {
        "name": "tiny-1.0",
        "version": "1.0",
        "job": "detection",
        "architecture": "yolov8n",
        "licence": "AGPL-3.0-or-later",
        "intended_use": "tests",
        "label_space": label_space(*keys).to_mapping(),
        "assessed": keys[:1],
        "side_px": 512,
        "operating_points": {keys[0]: OperatingPoint(threshold=0.25, chosen="by hand")},
        "trained_on": Provenance(
            sources=("made",), images=3, positives={keys[0]: 2}, fingerprint="f" * 64, recipe={"epochs": 1}
        ),
        "sha256": {},
    }
    return ModelCard(**(content | changes))


@pytest.fixture
def released(tmp_path):
    """A card in a folder with its two files; gives the card's path."""
    (tmp_path / "tiny-1.0.onnx").write_bytes(GRAPH)
    (tmp_path / "tiny-1.0.safetensors").write_bytes(TENSORS)
    (tmp_path / "tiny-1.0.txt").write_text("not weights")
    (tmp_path / "tiny-1.0-old.onnx").write_bytes(b"weights of another name")
    return save_card(a_card(), tmp_path)


@pytest.mark.parametrize(
    ("suffix", "content"), [(".onnx", GRAPH), (".safetensors", TENSORS)], ids=["for-reading", "for-training-on"]
)
def test_a_card_comes_back_with_the_file_that_was_asked_for(released, suffix, content):
    card, file = load_card(released, check=suffix)

    assert file.read_bytes() == content
    assert card == a_card(sha256=card.sha256)
    assert card.sha256 == {
        "tiny-1.0.onnx": hashlib.sha256(GRAPH).hexdigest(),
        "tiny-1.0.safetensors": hashlib.sha256(TENSORS).hexdigest(),
    }


def test_a_card_is_found_by_the_weights_beside_it(released):
    card, file = load_card(released.with_suffix(".onnx"), check=".safetensors")

    assert card.name == "tiny-1.0"
    assert file.name == "tiny-1.0.safetensors"


@pytest.mark.parametrize("keys", [("nodule",), SIX, tuple("abcdefgh")], ids=len)
def test_the_label_space_travels_with_the_weights_whatever_its_size(tmp_path, keys):
    (tmp_path / "tiny-1.0.onnx").write_bytes(GRAPH)

    card, _ = load_card(save_card(a_card(*keys), tmp_path), check=".onnx")

    assert card.space == label_space(*keys)
    card.space.require_same(label_space(*keys))


def test_a_reading_names_weights_by_the_hash_of_their_graph_and_their_thresholds(released):
    card, _ = load_card(released, check=".onnx")

    identity = card.identity()

    assert (identity.name, identity.version) == ("tiny-1.0", "1.0")
    assert identity.sha256 == hashlib.sha256(GRAPH).hexdigest()
    assert identity.thresholds == {"effusion": 0.25}


def test_weights_without_a_hash_have_no_identity():
    with pytest.raises(ModelError, match=r"no hash of tiny-1\.0\.onnx"):
        a_card().identity()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(
            lambda folder: (folder / "tiny-1.0.onnx").write_bytes(GRAPH + b"!"),
            "has SHA-256 .* the card says",
            id="tampered",
        ),
        pytest.param(lambda folder: (folder / "tiny-1.0.onnx").write_bytes(b""), "has SHA-256", id="E4-empty"),
        pytest.param(lambda folder: (folder / "tiny-1.0.onnx").unlink(), "is not beside its card", id="gone"),
        pytest.param(
            lambda folder: (folder / "tiny-1.0.json").unlink(), r"tiny-1\.0\.json is not there", id="without-a-card"
        ),
        pytest.param(
            lambda folder: (folder / "tiny-1.0.json").write_text('{"name": '), "is no model card", id="E4-torn-card"
        ),
    ],
)
def test_weights_that_are_not_what_the_card_says_are_refused(released, damage, message):
    damage(released.parent)

    with pytest.raises(ModelError, match=message):
        load_card(released, check=".onnx")


def no_hash(content):
    del content["sha256"]["tiny-1.0.onnx"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda content: content.update(temperature=1), "temperature", id="an-unknown-key"),
        pytest.param(lambda content: content.pop("assessed"), "assessed", id="a-key-missing"),
        pytest.param(lambda content: content.update(name="../../etc/passwd"), "name", id="a-name-that-leads-out"),
        pytest.param(lambda content: content["label_space"].pop("findings"), "label space", id="without-findings"),
        pytest.param(
            lambda content: content.update(assessed=["covid"]), r"assessed: \['covid'\] are not", id="assessed"
        ),
        pytest.param(
            lambda content: content.update(operating_points={"covid": {"threshold": 0.5, "chosen": "x"}}),
            r"operating_points: \['covid'\] are not",
            id="a-threshold-of-no-finding",
        ),
        pytest.param(lambda content: content.update(calibration={"covid": [1, 0]}), "calibration", id="calibration"),
        pytest.param(no_hash, "the card says none", id="without-a-hash"),
    ],
)
def test_a_card_that_cannot_be_trusted_is_refused(released, change, message):
    content = json.loads(released.read_text())
    change(content)
    released.write_text(json.dumps(content))

    with pytest.raises(ModelError, match=message):
        load_card(released, check=".onnx")


def test_a_card_keeps_the_name_of_its_weights(released):
    """Renamed alone it would load the weights of another card that lies there."""
    renamed = released.rename(released.with_name("better.json"))

    with pytest.raises(ModelError, match=r"better\.json is the card of tiny-1\.0"):
        load_card(renamed, check=".onnx")


def test_weights_without_a_card_are_refused_because_nobody_knows_what_they_answer(released):
    released.unlink()

    with pytest.raises(ModelError, match=r"there is no card tiny-1\.0\.json beside the weights"):
        load_card(released.with_suffix(".onnx"), check=".onnx")


@pytest.mark.parametrize("name", ["tiny-1.0.banana", "tiny-1.0.safetensor", "tiny-1.0", "tiny-1.1.onnx", "tiny.json"])
def test_weights_that_are_not_there_are_refused_by_their_path_with_what_lies_beside_it(released, name):
    """The card of others would answer for them: `with_suffix` leads from any of these but two to it."""
    with pytest.raises(ModelError) as refused:
        load_card(released.with_name(name), check=".onnx")

    assert f"{released.with_name(name)} is not there" in str(refused.value)
    assert "tiny-1.0-old.onnx, tiny-1.0.json, tiny-1.0.onnx, tiny-1.0.safetensors" in str(refused.value)


def test_what_lies_beside_weights_and_is_none_is_refused(released):
    with pytest.raises(ModelError, match=r"tiny-1\.0\.txt is neither a card nor weights.*tiny-1\.0\.onnx"):
        load_card(released.with_suffix(".txt"), check=".onnx")


def test_of_weights_in_a_folder_that_is_not_there_the_folder_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere is no folder"):
        load_card(tmp_path / "nowhere" / "tiny.onnx", check=".onnx")


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Writes cards of these names into the folder of released weights; the content is as given."""
    monkeypatch.setattr("boxray.weights.bench_folder", lambda _name: tmp_path)

    def write(**cards):
        for name, content in cards.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(content))
        return tmp_path

    return write


@pytest.mark.parametrize("content", [{}, {"default": False}, {"default": True}], ids=str)
def test_a_card_that_is_alone_is_the_default_whatever_it_says(bench, content):
    folder = bench(small=content)

    assert released_card("detection") == folder / "small.json"


def test_of_several_cards_the_default_is_the_one_that_says_so(bench):
    folder = bench(large={"default": True}, small={}, tiny={"default": False})

    assert released_card("detection") == folder / "large.json"


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        pytest.param({}, "found 0 among: none;", id="no-card"),
        pytest.param(
            {"a": {}, "b": {"default": "yes"}}, 'found 0 among: a, b; .* say "default": true', id="none-says-so"
        ),
        pytest.param({"a": {"default": True}, "b": {"default": True}}, "found 2 among: a, b;", id="two-say-so"),
        pytest.param({"a": {"default": True}, "b": []}, r"b\.json is no model card", id="one-is-no-card"),
    ],
)
def test_without_exactly_one_default_among_several_nobody_guesses(bench, cards, message):
    bench(**cards)

    with pytest.raises(ModelError, match=message):
        released_card("detection")


def test_weights_are_chosen_by_name_or_by_path(bench, tmp_path):
    folder = bench(**{"a": {"default": True}, "tiny-1.0": {}})

    assert released_card("detection", "tiny-1.0") == folder / "tiny-1.0.json"
    for path in ("elsewhere/mine.json", "mine.onnx", str(tmp_path / "a.safetensors")):
        assert released_card("detection", path) == Path(path)
    with pytest.raises(ModelError, match=r"no weights 'b' in detection/weights, there are: a, tiny-1\.0; give one"):
        released_card("detection", "b")
