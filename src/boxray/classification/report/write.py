"""Write an evaluation into a folder: `report.html`, `results.json` and `gallery/`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from boxray.classification.evaluate import said_of
from boxray.classification.gallery import Fault, fault_picture, worst_faults
from boxray.classification.report.evaluation import Evaluation
from boxray.classification.report.page import Gallery, Shown, report_page
from boxray.core.arrays import FloatArray
from boxray.core.plain import json_text, rounded
from boxray.core.protocols import Classifier
from boxray.data.manifest import Manifest
from boxray.page.pictures import empty_gallery, keep_picture


def write_report(
    folder: Path,
    evaluation: Evaluation,
    manifest: Manifest,
    scores: FloatArray,
    classifier: Classifier,
    progress: Callable[[], None] = lambda: None,
) -> Path:
    """Write all of it; what an earlier report left in the folder under the same names is written over.

    Args:
        folder: Made where it is not there yet.
        evaluation: What is told.
        manifest: The images, for the gallery.
        scores: Shape ``(N, F)``, that were judged.
        classifier: Makes the maps of the gallery.
        progress: Called after every finding.

    Returns:
        The path of ``report.html``. Its pictures are inside of it; the gallery has them without loss.
    """
    empty_gallery(folder)
    space = evaluation.on.label_space
    said = said_of(scores, space.keys, None if space.exclusive else evaluation.card.thresholds)
    galleries = {}
    for result in evaluation.judgement.findings:
        if result.at_threshold is not None:
            faults = worst_faults(manifest, scores, said, result.finding)
            shown = tuple(
                _shown(number, fault, manifest, classifier, folder) for number, fault in enumerate(faults.worst, 1)
            )
            galleries[result.finding] = Gallery(shown, faults.n_of)
        progress()
    content = evaluation.to_json() | {
        "gallery": {finding: _gallery_json(gallery) for finding, gallery in galleries.items()}
    }
    (folder / "results.json").write_text(json_text(content), encoding="utf-8")
    page = folder / "report.html"
    page.write_text(report_page(evaluation, galleries), encoding="utf-8")
    return page


def _shown(number: int, fault: Fault, manifest: Manifest, classifier: Classifier, folder: Path) -> Shown:
    file = f"gallery/{fault.finding}-{fault.kind.value.replace(' ', '-')}-{number:02d}.png"
    return Shown(fault, keep_picture(fault_picture(fault, manifest, classifier), folder, file))


def _gallery_json(gallery: Gallery) -> dict[str, object]:
    return {
        "errors": {kind.value: n for kind, n in gallery.n_of.items()},
        "shown": [
            {
                "kind": item.fault.kind.value,
                "image_id": item.fault.image_id,
                "source": item.fault.source,
                "score": rounded(item.fault.score),
                "why": item.fault.why,
                "picture": item.picture.file,
            }
            for item in gallery.shown
        ],
    }
