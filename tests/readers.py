"""Made boxes of several readers, and the table of VinDr's: for the consensus of readers and for how far they agree."""

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from boxray.data.manifest import CORNERS

NONE = np.empty((0, 4))
READER_BOX = ["image_id", "finding", *CORNERS, "reader", "raw_label"]
WHO = ("R1", "R2", "R10")

# Few places and sizes, so that overlaps, ties and equal boxes are frequent; thirds, so that sums round.
small_boxes = st.tuples(*(st.integers(low, 6) for low in (0, 0, 1, 1))).map(
    lambda xywh: (xywh[0] / 3, xywh[1] / 3, (xywh[0] + xywh[2]) / 3, (xywh[1] + xywh[3]) / 3)
)
drawn = st.lists(st.tuples(small_boxes, st.sampled_from(WHO)), max_size=8)
limits = st.sampled_from([0.1, 0.25, 0.4, 0.5, 1.0])


def strip(x1, x2):
    """A box 10 px high: overlaps are those of its two sides."""
    return (float(x1), 0.0, float(x2), 10.0)


def a_table(rows):
    """Boxes from rows (image, finding, box, reader) or (image, finding, box, reader, raw label)."""
    full = [(row[0], row[1], *row[2], row[3], (*row, row[1].title())[4]) for row in rows]
    return pd.DataFrame(full, columns=READER_BOX)


def seats(*rows):
    """Who read what, from rows (image, reader, reader, …)."""
    return pd.DataFrame([(image, who) for image, *names in rows for who in names], columns=["image_id", "reader"])


def vindr_table(shared):
    """Boxes and readers of the 15,000 films of VinDr's Kaggle table."""
    columns = {"class_name": "finding", "rad_id": "reader", "x_min": "x1", "y_min": "y1", "x_max": "x2", "y_max": "y2"}
    rows = pd.read_csv(shared / "data/tables/vinbigdata/train.csv.gz").rename(columns=columns)
    boxes = rows[rows["finding"] != "No finding"]
    return boxes.assign(raw_label=boxes["finding"]), rows[["image_id", "reader"]].drop_duplicates()
