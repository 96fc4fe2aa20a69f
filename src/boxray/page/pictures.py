"""Pictures inside of a page, and beside it without loss."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

import cv2

from boxray.core.arrays import ByteArray
from boxray.imaging.draw import encode_png

_JPEG_QUALITY: Final = 80
"""Of the pictures inside of the page; those beside it have lost nothing."""


@dataclass(frozen=True, slots=True)
class Picture:
    """`data_uri` is what the page shows, `file` the full picture beside it, relative to the page."""

    data_uri: str
    file: str
    size_wh: tuple[int, int]


def empty_gallery(folder: Path) -> None:
    """Make `folder` and its ``gallery/`` without the pictures of an earlier report: its errors are none of this one."""
    pictures = folder / "gallery"
    pictures.mkdir(parents=True, exist_ok=True)
    for left in pictures.glob("*.png"):
        left.unlink()


def keep_picture(rgb: ByteArray, folder: Path, file: str) -> Picture:
    """Write a picture beside a page, and give it in the form in which the page shows it.

    Args:
        rgb: Uint8 of shape ``(H, W, 3)``.
        folder: Of the page.
        file: Relative to it; its folder is there.
    """
    (folder / file).write_bytes(encode_png(rgb))
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    uri = "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")
    return Picture(uri, file, (rgb.shape[1], rgb.shape[0]))


def picture_figure(picture: Picture, said: str, beside: str) -> str:
    """The picture, which leads to the full one, over its caption.

    Args:
        picture: What is shown.
        said: Plain text: what is seen, for those who cannot see it, and for the caption.
        beside: Plain text of the caption alone.
    """
    width, height = picture.size_wh
    words = escape(said)
    return (
        f'<figure><a href="{escape(picture.file)}"><img src="{picture.data_uri}" width="{width}" height="{height}" '
        f'alt="{words}" loading="lazy"></a><div class="quiet">{words}; {escape(beside)}</div></figure>'
    )
