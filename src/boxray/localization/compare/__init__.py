"""COMPARE: a detector's boxes against a classifier's maps against readers, on the same images, with intervals.

`compare` gives the tables; `write.write_comparison` puts them, and a page with pictures, into a folder.
"""

from boxray.localization.compare.comparison import Comparison, compare

__all__ = ["Comparison", "compare"]
