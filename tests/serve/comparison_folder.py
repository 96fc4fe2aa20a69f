"""A small folder of `boxray compare`, written by hand."""

import json
from pathlib import Path
from typing import Any

from boxray.detection.evaluate import LOCALIZATION_LIMITS
from boxray.localization.compare.write import SCHEMA

PIXEL = "data:image/jpeg;base64,/9j/4AAQ"
PAGE = f"""<section id="effusion"><h3>Who points right: both (2 images)</h3><div class="pairs">
<figure><img src="{PIXEL}" alt="Effusion &lt;one&gt;"><figcaption>x</figcaption></figure>
<figure><img src="https://evil.example/a.jpg" alt="far"></figure><img src="/etc/passwd" alt="file">
<img src="data:image/svg+xml;base64,PHN2Zz4=" alt="svg"><script>alert(1)</script></div></section>
<img src="{PIXEL}" alt="of no finding">"""


def summary(**changes: Any) -> dict[str, Any]:
    """Detector 0.75 and map 0.25 in every measure of every finding."""
    measures = ["pointing_hit", "centre_hit", "iou", "energy_inside"]
    for limit in LOCALIZATION_LIMITS:
        measures += [f"localized_at_{limit:g}", f"found_at_{limit:g}", f"false_per_image_at_{limit:g}"]
    names = ("finding", "method", "measure", "n_images", "n_boxes", "value", "low", "high")
    names += ("difference", "difference_low", "difference_high")
    rows = [
        dict(zip(names, (finding, method, measure, 12, 15, value, value - 0.1, value + 0.1, *more), strict=True))
        for finding in ("effusion", "pneumonia", "mean")
        for measure in measures
        for method, value, more in (("detector", 0.75, (None,) * 3), ("grad_cam", 0.25, (0.5, 0.4, 0.6)))
    ]
    model = {"name": "yolo", "version": "1", "sha256": "ab" * 32}
    said = {
        "schema": SCHEMA,
        "models": {"detector": model, "classifier": model | {"name": "mobile<b>"}},
        "data": {
            "split": "test",
            "images": 24,
            "patients": 20,
            "sources": {"effusion": {"nih": 12}, "pneumonia": {"a": 6, "b": 6}},
        },
        "findings": ["effusion", "pneumonia"],
        "mean_over": ["effusion", "pneumonia"],
        "not_compared": {"edema": "no reader boxed it in this split"},
        "methods": ["grad_cam"],
        "bootstrap_rounds": 1000,
        "summary": rows,
    }
    return said | changes


def write_folder(folder: Path, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(json.dumps(summary(**changes)), encoding="utf-8")
    (folder / "compare.html").write_text(PAGE, encoding="utf-8")
    return folder
