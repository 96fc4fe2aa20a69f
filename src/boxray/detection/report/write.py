"""Write an evaluation into a folder: `report.html`, `results.json` and `gallery/`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from boxray.data.manifest import Manifest
from boxray.detection.evaluate import Detections
from boxray.detection.gallery import Fault, fault_picture, worst_faults
from boxray.detection.report.evaluation import Evaluation
from boxray.detection.report.page import Shown, report_page
from boxray.page.pictures import empty_gallery, keep_picture


def write_report(
    folder: Path,
    evaluation: Evaluation,
    manifest: Manifest,
    detections: Detections,
    progress: Callable[[], None] = lambda: None,
) -> Path:
    """Write all of it; what an earlier report left in the folder under the same names is written over.

    Args:
        folder: Made where it is not there yet.
        evaluation: What is told.
        manifest: The images, for the gallery.
        detections: Per image of the manifest.
        progress: Called after every finding.

    Returns:
        The path of ``report.html``. Its pictures are inside of it; the gallery has them without loss.
    """
    empty_gallery(folder)
    gallery = {}
    for result in evaluation.results:
        if result.at_threshold is not None:
            faults = worst_faults(manifest, detections, result.finding, result.at_threshold.threshold)
            gallery[result.finding] = [
                _shown(number, fault, manifest, folder) for number, fault in enumerate(faults, 1)
            ]
        progress()
    content = evaluation.to_json() | {
        "gallery": {finding: [_fault_json(item) for item in shown] for finding, shown in gallery.items()}
    }
    (folder / "results.json").write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    page = folder / "report.html"
    page.write_text(report_page(evaluation, gallery), encoding="utf-8")
    return page


def _shown(number: int, fault: Fault, manifest: Manifest, folder: Path) -> Shown:
    file = f"gallery/{fault.finding}-{fault.kind.value.replace(' ', '-')}-{number:02d}.png"
    return Shown(fault, keep_picture(fault_picture(fault, manifest), folder, file))


def _fault_json(item: Shown) -> dict[str, object]:
    fault = item.fault
    return {
        "kind": fault.kind.value,
        "image_id": fault.image_id,
        "source": fault.source,
        "score": round(fault.score, 4),
        "box_xyxy": [round(value, 1) for value in fault.box.xyxy],
        "why": fault.why,
        "picture": item.picture.file,
    }
