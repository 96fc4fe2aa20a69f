"""A whole training of the lungs on drawn chests, whose lungs are known: run, cut off, released, read, evaluated."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from boxray.core.errors import DataError, ModelError, RecipeError
from boxray.core.findings import LabelSpace, Presence
from boxray.core.lungs import LungField, box_round
from boxray.core.metrics import Interval
from boxray.core.protocols import FixedClassifier
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule
from boxray.data.split import Split
from boxray.data.yolo_files import write_yolo_files
from boxray.runs.recipe import Clahe
from boxray.weights import Provenance, load_card, save_card
from built import TWO, box_row, build_tiny_set, image_row, manifest_of, same_numbers
from making import chest, detector_card, label_space, write_text

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from boxray.classification.backbones import WithMaps, build_classifier  # noqa: E402
from boxray.classification.change import Change  # noqa: E402
from boxray.classification.classify import CamClassifier  # noqa: E402
from boxray.classification.lung_decoder import WithLungs, at_levels, build_hybrid, find_levels  # noqa: E402
from boxray.classification.lungs import release as releasing  # noqa: E402
from boxray.classification.lungs import train as training  # noqa: E402
from boxray.classification.lungs.evaluate import MaskScore, dice_and_iou, evaluate_lungs, evaluate_masks  # noqa: E402
from boxray.classification.lungs.recipe import LungRecipe  # noqa: E402
from boxray.classification.lungs.release import release_lungs  # noqa: E402
from boxray.classification.lungs.teaching import LungExample, lung_examples  # noqa: E402
from boxray.classification.lungs.train import train_lungs  # noqa: E402
from boxray.classification.recipe import ClassificationRecipe  # noqa: E402
from boxray.tensors import read_tensors, write_tensors  # noqa: E402

LUNGS = label_space("right_lung", "left_lung")
LUNG_BOXES = {"right_lung": (43.6, 36.2, 110.0, 178.8), "left_lung": (145.1, 36.2, 211.5, 178.8)}
"""Round the two dark ellipses of `making.chest` at 256 x 256."""


def build_lung_set(folder: Path, per_split: int = 4, space: LabelSpace = LUNGS) -> Manifest:
    images, boxes = [], []
    for place, split in enumerate(("train", "val", "test")):
        for number in range(place * per_split, (place + 1) * per_split):
            cells = dict.fromkeys(space.keys, (Presence.BOXED.value, Rule.BOX.value))
            row = image_row(number, split, cells)
            images.append(row)
            boxes += [box_row(row["image_id"], key, LUNG_BOXES.get(key, (1, 1, 9, 9))) for key in space.keys]
            path = folder / row["picture"]
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), chest(seed=number))
    manifest = manifest_of(folder, images, boxes, space)
    write_yolo_files(manifest)
    manifest.save({})
    return manifest


def write_classifier(folder: Path) -> Path:
    """A released classifier that nobody trained."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    write_tensors(build_classifier("mobilenet_v2", len(TWO)).state_dict(), folder / "plain.safetensors", half=True)
    card = detector_card(TWO, TWO.keys, 64, dict.fromkeys(TWO.keys, 0.5), name="plain").model_copy(
        update={
            "job": "classification",
            "architecture": "mobilenet_v2",
            "clahe": Clahe(tiles=2),
            "calibration": {"fluid": (2.0, 0.5)},
            "trained_on": Provenance(
                sources=("made",),
                images=1,
                positives={},
                fingerprint="before",
                recipe={"side_px": 64, "clahe": {"clip": 2.0, "tiles": 2}, "degrees": 7.0},
            ),
        }
    )
    return save_card(card, folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds a built set `lungs`, another `findings`, and the card `weights/plain.json`."""
    folder = tmp_path_factory.mktemp("made")
    build_lung_set(folder / "lungs")
    build_tiny_set(folder / "findings", per_split=8)
    write_classifier(folder / "weights")
    return folder


def tiny_recipe(made: Path, **changes: object) -> LungRecipe:
    small = {
        "classifier": made / "weights" / "plain.json",
        "data": made / "lungs",
        "width": 8,
        "epochs": 2,
        "batch": 2,
        "likeness_from": 1,
    }
    return LungRecipe.model_validate(small | changes)


def test_levels_are_the_last_of_each_size_and_end_with_the_features() -> None:
    classifier = build_classifier("mobilenet_v2", 2).eval()
    pixels = torch.rand(1, 3, 64, 64)

    found = at_levels(classifier.features, find_levels(classifier.features, 64), pixels)

    assert [tuple(level.shape[1:]) for level in found] == [(24, 16, 16), (32, 8, 8), (96, 4, 4), (1280, 2, 2)]
    same_numbers(found[-1], classifier.features(pixels))


def test_the_decoder_leaves_logits_and_maps_as_they_are() -> None:
    torch.manual_seed(1)
    hybrid = build_hybrid(build_classifier("mobilenet_v2", 3), 8, 64).eval()
    pixels = torch.rand(2, 3, 64, 64)

    *as_before, lungs = WithLungs(hybrid)(pixels)

    for ours, theirs in zip(as_before, WithMaps(hybrid.classifier)(pixels), strict=True):
        same_numbers(ours, theirs)
    same_numbers(lungs, torch.sigmoid(hybrid(pixels)))
    assert lungs.shape == (2, 2, 16, 16)


def test_examples_hold_the_boxes_in_fractions_of_the_square(made: Path) -> None:
    example = lung_examples(Manifest.load(made / "lungs").part(Split.TRAIN), 64, Clahe(tiles=2))[0]

    np.testing.assert_allclose(example.boxes * 256, list(LUNG_BOXES.values()), atol=1e-6)
    assert example.square.shape == (64, 64)


def test_a_changed_examples_box_stays_round_what_it_was_round(made: Path) -> None:
    example = lung_examples(Manifest.load(made / "lungs").part(Split.TRAIN), 128, Clahe(tiles=2))[0]
    x1, y1, x2, y2 = (example.boxes[1] * 128).round().astype(int)
    example.square[:] = 0
    example.square[y1:y2, x1:x2] = 200

    moved = example.changed(Change(degrees=7, scale=0.8, shift_xy=(-0.1, 0.05), gain=1))

    found = box_round(moved.square > 100)
    assert found is not None
    np.testing.assert_allclose(found.xyxy, moved.boxes[1] * 128, atol=1)


def test_a_changed_examples_mask_moves_with_the_film_but_keeps_its_edge_and_its_ones() -> None:
    mask = np.zeros((64, 64), np.float32)
    mask[20:40, 21:41] = 1
    example = LungExample((mask * 200).astype(np.uint8), np.zeros((2, 4)), np.stack([mask, mask]))

    moved = example.changed(Change(degrees=0, scale=1, shift_xy=(0.25, 0), gain=0.5, detail=0.3, grain=0.1))

    assert moved.masks is not None
    np.testing.assert_array_equal(moved.masks[0], np.roll(mask, 16, axis=1))
    assert len(np.unique(moved.square)) > 2  # while the film's own edge is soft now


def test_a_label_space_without_lungs_is_refused(made: Path) -> None:
    with pytest.raises(DataError, match=r"right_lung, left_lung; this one has fluid, heart"):
        lung_examples(Manifest.load(made / "findings"), 64, Clahe())


def test_joint_training_is_asked_for_with_the_findings_or_not_at_all(made: Path) -> None:
    with pytest.raises(ValueError, match="needs 'findings'"):
        tiny_recipe(made, joint=True)


def test_there_is_nothing_to_go_on_with_where_nothing_was_begun(made: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="start without --resume"):
        train_lungs(tiny_recipe(made), "tiny", resume=True, runs=tmp_path)


def test_a_run_goes_on_after_a_cut_to_the_same_weights_and_becomes_a_third_output(made: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(made)
    whole = train_lungs(recipe, "tiny", runs=tmp_path / "whole", threads=1)
    cut = train_lungs(recipe, "tiny", runs=tmp_path / "cut", threads=1)
    # What a cut after the first epoch leaves: its checkpoint and no weights.
    (cut.folder / "hybrid.safetensors").unlink()
    (cut.folder / "epoch-2.safetensors").unlink()
    with pytest.raises(ModelError, match="not finished"):
        release_lungs(cut.folder, "tiny", "0", tmp_path / "weights")
    first = LungRecipe.model_validate(recipe.model_dump() | {"epochs": 2})
    begun = _after_one_epoch(first, tmp_path / "begun")
    begun.rename(cut.folder / "epoch-1.safetensors")

    again = train_lungs(recipe, "tiny", resume=True, runs=tmp_path / "cut", threads=1)

    assert again.folder == cut.folder
    ours, theirs = (read_tensors(run.folder / "hybrid.safetensors") for run in (again, whole))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    before = read_tensors(made / "weights" / "plain.safetensors")
    assert all(torch.equal(ours[f"classifier.{key}"], before[key]) for key in before), "the backbone was to stay"

    card_path = release_lungs(whole.folder, "tiny", "0.0.1", tmp_path / "weights")  # compares graph and network itself
    card, _ = load_card(card_path, check=".onnx")
    assert card.calibration == {"fluid": (2.0, 0.5)}
    assert card.lungs is not None
    assert (card.lungs.images, card.lungs.positives) == (4, {"right_lung": 4, "left_lung": 4, "masks": 0})
    assert set(card.sha256) == {"tiny.onnx", "tiny.safetensors", "tiny.lungs.safetensors"}
    scores = evaluate_lungs(CamClassifier.load(card_path), Manifest.load(made / "lungs").part(Split.TEST), rounds=10)
    assert [(score.finding, score.images, score.patients) for score in scores] == [
        ("right_lung", 4, 4),
        ("left_lung", 4, 4),
    ]


def _after_one_epoch(recipe: LungRecipe, runs: Path) -> Path:
    """The checkpoint of the first of the recipe's epochs, kept when the second would write over it."""
    kept = runs / "kept.safetensors"

    with pytest.MonkeyPatch.context() as patch:
        import boxray.classification.lungs.train as module

        save = module.save_epoch

        def save_and_stop(hybrid, folder, epoch):
            save(hybrid, folder, epoch)
            (folder / f"epoch-{epoch}.safetensors").rename(kept)
            raise KeyboardInterrupt

        patch.setattr(module, "save_epoch", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            train_lungs(recipe, "tiny", runs=runs, threads=1)
    return kept


def test_joint_training_moves_the_backbone_and_calibrates_anew(made: Path, tmp_path: Path) -> None:
    run = train_lungs(
        tiny_recipe(made, joint=True, findings=made / "findings", epochs=1), "joint", runs=tmp_path, threads=1
    )
    before, after = (
        read_tensors(path) for path in (made / "weights" / "plain.safetensors", run.folder / "hybrid.safetensors")
    )

    card, _ = load_card(release_lungs(run.folder, "joint", "0", tmp_path / "weights"), check=".onnx")

    assert not torch.equal(after["classifier.features.0.0.weight"], before["features.0.0.weight"])
    assert set(card.calibration) == {"fluid", "heart"}
    assert card.trained_on.fingerprint == Manifest.load(made / "findings").fingerprint
    assert (card.trained_on.images, card.trained_on.sources) == (8, ("made",))


def test_joint_training_keeps_the_statistics_that_the_classifiers_recipe_kept(made: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(made, joint=True, findings=made / "findings")
    hybrid = build_hybrid(build_classifier("mobilenet_v2", 2), 8, 64)

    for keep in (False, True):
        how = ClassificationRecipe.model_validate({"data": made, "side_px": 64, "keep_statistics": keep})
        training._let_learn(hybrid, recipe, how)

        norms = [part for part in hybrid.classifier.features.modules() if isinstance(part, torch.nn.BatchNorm2d)]
        assert {part.training for part in norms} == {not keep}
        assert hybrid.decoder.training


def test_classes_that_exclude_each_other_are_learned_jointly_by_their_own_loss(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked by the space of the findings' data set, as the classifier's own training asks."""
    asked = []
    loss_of = training.loss_of
    monkeypatch.setattr(training, "loss_of", lambda space: asked.append(space.keys) or loss_of(space))

    train_lungs(tiny_recipe(made, joint=True, findings=made / "findings", epochs=1), "joint", runs=tmp_path, threads=1)

    assert asked == [TWO.keys]


def drawn_masks(folder: Path) -> Path:
    """A download with both lungs of images 0 to 2, and one lung of image 3: upright boxes of 60 x 130 px."""
    header = "Filename,Image,Template Name,Mask,Resolution,Top,Left,Width,Height"
    rows = [
        f"{number}.png,images/{number}.png,{name},masks/{name[0]}.png,256x256,40,{left},60,130"
        for number in range(4)
        for name, left in (("Right Lung", 45), ("Left Lung", 148))
        if (number, name) != (3, "Left Lung")  # of the last only one lung was drawn
    ]
    write_text(folder / "structure.csv", header, *rows)
    (folder / "masks").mkdir()
    for name in "RL":
        assert cv2.imwrite(str(folder / "masks" / f"{name}.png"), np.full((130, 60), 255, np.uint8))
    return folder


def test_masks_teach_where_somebody_drew_them(made: Path, tmp_path: Path) -> None:
    drawn_masks(tmp_path)

    examples = lung_examples(Manifest.load(made / "lungs").part(Split.TRAIN), 64, Clahe(tiles=2), tmp_path)
    run = train_lungs(tiny_recipe(made, masks=tmp_path, epochs=1), "masks", runs=tmp_path / "runs", threads=1)

    assert [example.masks is not None for example in examples] == [True, True, True, False]
    masks = examples[0].masks
    assert masks is not None
    assert masks.sum(axis=(1, 2)) * 16 == pytest.approx([60 * 130] * 2)
    assert '"masks": 3' in (run.folder / "lungs.json").read_text()
    card = release_lungs(run.folder, "masks", "0", tmp_path / "weights")
    assert load_card(card, check=".onnx")[0].lungs_from == 0.5, "nobody drew the lungs of the validation part"


def test_from_which_probability_on_a_place_is_lung_is_told_by_the_masks_that_taught(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn_masks(tmp_path / "masks")
    part = Manifest.load(made / "lungs").part(Split.TRAIN)
    run = train_lungs(tiny_recipe(made, epochs=1), "tiny", runs=tmp_path / "runs", threads=1)
    card = release_lungs(run.folder, "tiny", "0", tmp_path / "weights")
    fits = {0.5: 0.2, 0.4: 0.7, 0.3: 0.9, 0.2: 0.8, 0.15: 0.5, 0.1: 0.4}

    def fit(classifier: CamClassifier, manifest: Manifest, masks: Path, rounds: int) -> MaskScore:
        dice = Interval(fits[classifier.card.lungs_from], 0, 1)
        return MaskScore(len(manifest.images), 1, dice, dice)

    monkeypatch.setattr(releasing, "evaluate_masks", fit)

    assert releasing.best_threshold(card, part, tmp_path / "masks") == 0.3


def test_a_perfect_field_is_found_on_every_image_and_none_on_no_image(made: Path) -> None:
    manifest = Manifest.load(made / "lungs").part(Split.TEST)
    masks = np.zeros((2, 256, 256), dtype=bool)
    masks[0, 36:179, 44:110] = masks[1, 36:179, 145:212] = True
    nothing = np.zeros((256, 256), dtype=bool)

    found, missed = (
        evaluate_lungs(FixedClassifier(LUNGS, lungs=field), manifest, rounds=10)
        for field in (LungField(masks[0], masks[1]), LungField(masks[0], nothing))
    )

    assert all(score.median_iou.value > 0.97 and score.good_share.value == 1 for score in found)
    assert (missed[1].not_found, missed[1].median_iou.value, missed[1].good_share.value) == (4, 0, 0)
    swapped = evaluate_lungs(FixedClassifier(LUNGS, lungs=LungField(masks[1], masks[0])), manifest, rounds=10)
    assert [(score.not_found, score.median_iou.value) for score in swapped] == [(0, 0), (0, 0)]


def test_overlap_with_drawn_lungs_is_asked_only_where_both_were_drawn(made: Path, tmp_path: Path) -> None:
    masks = np.zeros((2, 256, 256), dtype=bool)
    masks[0, 40:170, 45:105] = masks[1, 40:170, 148:208] = True
    half = masks & (np.arange(256) < 128)  # the right lung alone

    same, right = (
        evaluate_masks(
            FixedClassifier(LUNGS, lungs=LungField(*field)),
            Manifest.load(made / "lungs").part(Split.TRAIN),
            drawn_masks(tmp_path / name),
            rounds=10,
        )
        for name, field in (("same", masks), ("right", half))
    )

    assert (same.images, same.dice.value, same.iou.value) == (3, 1, 1)
    assert (right.dice.value, right.iou.value) == pytest.approx((2 / 3, 1 / 2))


def test_a_classifier_without_lungs_is_told_so(made: Path) -> None:
    with pytest.raises(ModelError, match="draws no lung fields"):
        evaluate_lungs(FixedClassifier(LUNGS), Manifest.load(made / "lungs"))


def test_dice_and_iou_by_hand() -> None:
    ours, theirs = np.zeros((2, 4, 4), dtype=bool)
    ours[:2], theirs[1:3] = True, True
    nothing = np.zeros((4, 4), dtype=bool)

    assert dice_and_iou(LungField(ours, nothing), LungField(nothing, theirs)) == (8 / 16, 4 / 12)
    assert dice_and_iou(LungField(nothing, nothing), LungField(nothing, nothing)) == (1.0, 1.0)
