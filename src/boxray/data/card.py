"""The card of a source: what it is, who may use it, and what its labels do and do not say."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from boxray.core.bench import bench_folder
from boxray.core.errors import DataError
from boxray.core.findings import LabelSpace, Presence, members
from boxray.data.yaml_file import read_yaml


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FrameRule(_Strict):
    """The pixel grid in which the source's tables give their boxes."""

    kind: Literal["fixed", "per_image", "relative"]
    width: int | None = None
    height: int | None = None
    where: str | None = None


class Expected(_Strict):
    """Counts of the source as published: what a correct importer finds in its tables."""

    images: int | None = None
    boxes: int | None = None


class Card(_Strict):
    """What a source says of itself, and which rule turns its silence into presence.

    The rules are tried in this order, and which one decided is kept per cell of the manifest:
    a box, an image-level label, an exhaustive reading, a label that is missing, a stated reason, an assumption, and
    in an exclusive label space the one class of an image. What none of them decides is UNKNOWN.
    """

    key: str
    name: str
    layout: str
    licence: str
    commercial_use: bool
    citation: str
    get: str
    frame: FrameRule
    patient: str
    boxes: dict[str, str]
    """Raw box label -> finding, exact spelling. Any finding may stand here; the label space picks and merges."""
    dropped_boxes: dict[str, str]
    """Raw box label -> why its boxes are left out."""
    exhaustive: tuple[str, ...]
    """Findings of which every occurrence is boxed in every image of the source."""
    labels: dict[str, dict[str, Presence]]
    """Raw image-level label -> what it states; an empty entry states nothing on purpose."""
    absent_without_label: tuple[str, ...]
    absent_because: dict[str, str]
    absent_by_assumption: dict[str, str]
    splits: dict[str, Literal["train", "val", "test"]] = Field(default_factory=dict)
    """Published part -> ours, where the published split is kept; an empty one deals patients by hash."""
    one_class: bool = False
    """Whether the source gives each image one class: in an exclusive label space it rules out the others."""
    chest: bool = True
    """Whether its pictures are frontal chest radiographs: then those that seem inverted are put aside."""
    expected: Expected = Field(default_factory=Expected)

    @property
    def words(self) -> frozenset[str]:
        """All findings that the card speaks of."""
        stated = (word for label in self.labels.values() for word in label)
        return frozenset(
            {
                *self.boxes.values(),
                *stated,
                *self.exhaustive,
                *self.absent_without_label,
                *self.absent_because,
                *self.absent_by_assumption,
            }
        )

    def exhaustive_in(self, label_space: LabelSpace) -> list[str]:
        """Findings of a label space of which its readers box every occurrence, whatever words they stand for."""
        return [finding.key for finding in label_space if set(members(finding)) <= set(self.exhaustive)]

    @model_validator(mode="after")
    def _says_one_thing(self) -> Card:
        twice = sorted(self.boxes.keys() & self.dropped_boxes.keys())
        if twice:
            raise ValueError(f"raw labels {twice} stand under 'boxes' and under 'dropped_boxes'")
        for label, stated in self.labels.items():
            if Presence.BOXED in stated.values():
                raise ValueError(f"label {label!r} states 'boxed', which only a box can; write 'present'")
        return self

    def finding_of(self, raw_label: str) -> str | None:
        """The finding of a raw box label, or None where the card drops it.

        Raises:
            DataError: If the card does not know the label. It is never mapped by spelling luck.
        """
        if raw_label in self.boxes:
            return self.boxes[raw_label]
        if raw_label in self.dropped_boxes:
            return None
        raise DataError(
            f"{self.key}: raw label {raw_label!r} is not in the source card; map it to a finding under 'boxes' "
            "or list it under 'dropped_boxes' with a reason"
        )


def load_card(key: str, folder: Path | None = None) -> Card:
    """The card `key` of the bench, or of a folder of your own.

    Raises:
        DataError: If there is none, a key in it is unknown or missing, or it is the card of another key.
    """
    folder = folder or bench_folder("data/cards")
    path = folder / f"{key}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(card.stem for card in folder.glob("*.yaml")))
        raise DataError(f"there is no card {key!r}; there are: {known}")
    card = read_card(path)
    if card.key != key:
        raise DataError(f"card {path.name} says that its key is {card.key!r}; it must be the name of its file")
    return card


def read_card(path: Path) -> Card:
    """A card from a file.

    Raises:
        DataError: If it is none.
    """
    try:
        return Card.model_validate(read_yaml(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise DataError(f"card {path.name}: {where}: {first['msg']}") from error


def load_label_space(name: str) -> LabelSpace:
    """A label space of the bench by name, or from a YAML file by path.

    Raises:
        DataError: If there is none, or the file is no label space.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else bench_folder("data/label_spaces") / f"{name}.yaml"
    if not path.is_file():
        raise DataError(f"there is no label space {name!r}: give a name of data/label_spaces or a YAML file")
    try:
        return LabelSpace.from_mapping(read_yaml(path))
    except ValueError as error:
        raise DataError(f"{path.name}: {error}") from error
