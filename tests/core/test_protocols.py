"""The models that come with the package for tests answer as the seams promise."""

import numpy as np
import pytest

from boxray.core.boxes import Box
from boxray.core.protocols import FixedClassifier, FixedDetector
from boxray.core.radiograph import Radiograph
from boxray.core.reading import Detection
from making import SIX, label_space

RADIOGRAPH = Radiograph(np.zeros((4, 6), dtype=np.float32))


@pytest.mark.parametrize("keys", [("nodule",), SIX, tuple("abcdefgh")], ids=len)
def test_a_fixed_detector_gives_its_detections_from_a_score_on(keys):
    found = tuple(Detection(key, 0.9 - 0.1 * place, Box(0, 0, 1, 1)) for place, key in enumerate(keys))
    detector = FixedDetector(label_space(*keys), found, keys)

    assert detector.detect(RADIOGRAPH) == found
    assert detector.detect(RADIOGRAPH, 0.85) == found[:1]
    assert detector.detect(RADIOGRAPH, 1.0) == ()


@pytest.mark.parametrize("keys", [("nodule",), SIX, tuple("abcdefgh")], ids=len)
def test_a_fixed_classifier_gives_a_silent_map_of_the_radiographs_size_for_each_score(keys):
    classifier = FixedClassifier(label_space(*keys), dict.fromkeys(keys, 0.5))

    classified = classifier.classify(RADIOGRAPH)

    assert classifier.assessed == keys
    assert classified.scores == dict.fromkeys(keys, 0.5)
    assert [saliency.finding for saliency in classified.maps] == list(keys)
    assert all(saliency.values.shape == (4, 6) and not saliency.values.any() for saliency in classified.maps)
