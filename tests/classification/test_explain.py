"""The arithmetic of maps, without torch: on numbers that one can work out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxray.classification.explain import (
    GRADIENT_METHODS,
    Occluder,
    gradient_map,
    occlusion_map,
    pooled_gradients,
)
from boxray.core.frames import Letterbox

EACH_METHOD = pytest.mark.parametrize("method", GRADIENT_METHODS)

FEATURES = np.array([[[4.0, 0.0]], [[0.0, 2.0]]])
"""Two channels of 1 x 2 places: means 2 and 1."""
HEAD = np.array([[0.5, -1.0], [1.0, 1.0]])
"""Two findings: the first is for the first channel and against the second."""


def drawn(seed: int, n_findings: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((5, 3, 4)), rng.normal(size=(n_findings, 5))


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        pytest.param("grad_cam", [[1.0, 0.0], [2.0, 1.0]], id="0.5/2 * 4, and -1/2 * 2 cut off"),
        # Weights relu(W) / (2 + W mean): 0.5/3 and 0; 1/4 and 1/3.
        pytest.param("grad_cam_plus_plus", [[4 / 6, 0.0], [1.0, 2 / 3]], id="a third and a quarter"),
        pytest.param("layer_cam", [[1.0, 0.0], [2.0, 1.0]], id="what speaks against has no part"),
        # Centred rows (2, -1) and (-2, 1): both lie on the axis, 5 ** 0.5 from the middle.
        pytest.param("eigen_cam", [[5**0.5, 0.0], [5**0.5, 0.0]], id="one axis for both findings"),
    ],
)
def test_a_map_worked_out_by_hand(method: str, expected: list[list[float]]) -> None:
    maps = gradient_map(method, FEATURES, pooled_gradients(HEAD, places=2), epsilon=0)

    if method == "eigen_cam":  # two places alike in size: the axis may point to either
        maps = np.sort(maps)[..., ::-1]
    np.testing.assert_allclose(maps[:, 0], expected, atol=1e-12)


@EACH_METHOD
@settings(max_examples=30)
@given(st.integers(0, 1000))
def test_one_gradient_a_channel_is_the_same_as_that_gradient_at_every_place(method: str, seed: int) -> None:
    features, head = drawn(seed)
    one = pooled_gradients(head, places=12)
    everywhere = np.ascontiguousarray(np.broadcast_to(one, (3, *features.shape)))

    np.testing.assert_allclose(
        gradient_map(method, features, one), gradient_map(method, features, everywhere), atol=1e-12
    )


@EACH_METHOD
@settings(max_examples=30)
@given(st.integers(0, 1000))
def test_a_map_is_never_negative_and_has_a_value_for_each_finding_and_place(method: str, seed: int) -> None:
    features, head = drawn(seed)

    maps = gradient_map(method, features - 0.5, pooled_gradients(head, places=12))

    assert maps.shape == (3, 3, 4)
    assert np.isfinite(maps).all()
    assert (maps >= 0).all()


@EACH_METHOD
def test_features_that_are_zero_everywhere_give_maps_of_zeros(method: str) -> None:
    _, head = drawn(0)

    assert (gradient_map(method, np.zeros((5, 3, 4)), pooled_gradients(head, places=12), epsilon=0) == 0).all()


def test_a_gradient_of_zero_weighs_nothing_in_grad_cam_plus_plus_without_epsilon() -> None:
    maps = gradient_map("grad_cam_plus_plus", FEATURES, np.zeros((1, 2, 1, 1)), epsilon=0)

    assert (maps == 0).all()


@settings(max_examples=30)
@given(st.integers(0, 1000), st.sampled_from([(3, 4, 5), (20, 3, 3)]))
def test_eigen_cam_is_the_projection_that_numpy_finds_by_decomposing_it_all(
    seed: int, shape: tuple[int, int, int]
) -> None:
    features = np.random.default_rng(seed).normal(size=shape)
    rows = features.reshape(shape[0], -1).T
    rows = rows - rows.mean(axis=0)
    along = rows @ np.linalg.svd(rows)[2][0]
    along = along if along.max() >= -along.min() else -along

    [ours] = gradient_map("eigen_cam", features, np.zeros((1, shape[0], 1, 1)))

    np.testing.assert_allclose(ours.ravel(), along.clip(0), atol=1e-5 * along.max())


def test_an_unknown_method_is_named_beside_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"'magic'.*eigen_cam"):
        gradient_map("magic", FEATURES, pooled_gradients(HEAD, places=2))


@pytest.mark.parametrize("shape", [(2, 2), (2, 3, 1, 1), (2, 2, 2, 1)], ids=["flat", "other channels", "other places"])
def test_gradients_that_do_not_fit_the_features_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="gradients"):
        gradient_map("grad_cam", FEATURES, np.zeros(shape))


# --- occlusion ------------------------------------------------------------------------------------------------


def test_occlusion_of_a_network_that_adds_up_a_quarter_finds_that_quarter() -> None:
    square = np.zeros((8, 8), dtype=np.uint8)
    square[4:, 4:] = 10
    occluder = Occluder(patch_px=4, stride_px=4, shade=0)
    places = occluder.places(Letterbox.fit((8, 8), 8))

    def logits(pixels: np.ndarray) -> np.ndarray:
        quarter = float(pixels[4:, 4:].sum())
        return np.array([quarter, -quarter])

    maps = occlusion_map(logits(square), (logits(occluder.cover(square, place)) for place in places), places, 8)

    expected = np.zeros((8, 8))
    expected[4:, 4:] = 160  # sixteen pixels of 10 are gone
    assert (maps[0] == expected).all()
    assert (maps[1] == 0).all(), "covering raised the second logit"


def test_where_patches_overlap_the_mean_of_their_falls_stands() -> None:
    square = np.zeros((1, 4), dtype=np.uint8)
    square[0] = [8, 0, 0, 0]
    places = [(slice(0, 1), slice(0, 2)), (slice(0, 1), slice(1, 3)), (slice(0, 1), slice(2, 4))]
    covered = [np.array([0.0]), np.array([8.0]), np.array([8.0])]  # of a network that reads the first pixel

    [found] = occlusion_map(np.array([8.0]), covered, places, 4)

    assert found[0].tolist() == [8.0, 4.0, 0.0, 0.0]


@settings(max_examples=60)
@given(
    st.integers(20, 200), st.integers(20, 200), st.integers(1, 70), st.integers(1, 70), st.sampled_from([32, 64, 75])
)
def test_patches_reach_every_pixel_of_the_picture_and_none_beside_it(
    width: int, height: int, patch: int, stride: int, side: int
) -> None:
    letterbox = Letterbox.fit((width, height), side)
    inside = np.zeros((side, side), dtype=bool)
    inner_w, inner_h = letterbox.inner_wh
    inside[letterbox.top : letterbox.top + inner_h, letterbox.left : letterbox.left + inner_w] = True

    covered = np.zeros((side, side), dtype=bool)
    for place in Occluder(patch, min(stride, patch)).places(letterbox):
        assert covered[place].size > 0
        covered[place] = True

    assert (covered == inside).all()


def test_covering_leaves_the_square_itself_as_it_is() -> None:
    square = np.zeros((4, 4), dtype=np.uint8)

    covered = Occluder(shade=7).cover(square, (slice(0, 2), slice(0, 1)))

    assert covered.sum() == 14
    assert square.sum() == 0


@pytest.mark.parametrize("wrong", [{"patch_px": 0}, {"stride_px": 0}, {"shade": 256}])
def test_an_occluder_that_cannot_be_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1 px"):
        Occluder(**wrong)


def test_as_many_covered_logits_as_places_are_needed() -> None:
    places = Occluder().places(Letterbox.fit((8, 8), 8))

    with pytest.raises(ValueError, match="zip"):
        occlusion_map(np.zeros(1), [], places, 8)
