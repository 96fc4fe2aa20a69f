"""Findings and label spaces. Which findings exist is data, so that six classes need no change of code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from boxray.core.errors import ModelError


class Presence(StrEnum):
    """What is known of one finding in one image. *Not annotated is not absent.*"""

    BOXED = "boxed"
    """There, and its places are boxed."""
    PRESENT = "present"
    """There, somewhere: nobody drew a box."""
    ABSENT = "absent"
    """Somebody looked and did not see it, or the card states a reason."""
    UNKNOWN = "unknown"
    """Nobody was asked, or nobody says. The default."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One member of a label space."""

    key: str
    """The word in files, tables and logits, such as ``effusion``."""
    display: str
    """The word on screens, such as ``Pleural effusion``."""
    box: str
    """What a box round it encloses, in words."""
    colour: str
    """``#RRGGBB``."""
    code: tuple[str, str, str] | None = None
    """DICOM code (value, scheme, meaning), or None where none has been checked: then no SR names it."""


@dataclass(frozen=True, slots=True)
class LabelSpace:
    """The ordered findings that a model answers for. The position is the index in logits and YOLO files."""

    name: str
    findings: tuple[Finding, ...]

    def __post_init__(self) -> None:
        keys = [finding.key for finding in self.findings]
        if not keys or len(set(keys)) != len(keys):
            raise ValueError(f"a label space needs findings with different keys, got {keys}")

    @property
    def keys(self) -> tuple[str, ...]:
        """The findings' keys in order."""
        return tuple(finding.key for finding in self.findings)

    def index(self, key: str) -> int:
        """The position of a finding.

        Raises:
            KeyError: If the label space has no such finding; the message lists those it has.
        """
        try:
            return self.keys.index(key)
        except ValueError:
            raise KeyError(f"{key!r} is not in label space {self.name!r} ({', '.join(self.keys)})") from None

    def __getitem__(self, key: str) -> Finding:
        return self.findings[self.index(key)]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __contains__(self, key: object) -> bool:
        return key in self.keys

    def require_same(self, other: LabelSpace) -> None:
        """Compare by names and order, never by length alone.

        Raises:
            ModelError: If the two differ; the message lists what each has and the other has not.
        """
        if self.keys == other.keys:
            return
        missing = sorted(set(other.keys) - set(self.keys)) or "none, but the order differs"
        surplus = sorted(set(self.keys) - set(other.keys)) or "none"
        raise ModelError(
            f"weights answer for {len(self)} findings, {len(other)} are asked for; missing: {missing}; "
            f"not asked for: {surplus}. Use the weights' label space or train again"
        )

    def to_mapping(self) -> dict[str, Any]:
        """Plain data for YAML and JSON; `from_mapping` reads it back."""
        return {"name": self.name, "findings": [asdict(finding) for finding in self.findings]}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> LabelSpace:
        """Read what `to_mapping` wrote, or a label space file.

        Raises:
            ValueError: If a key of a finding is unknown or missing.
        """
        rows: Sequence[Mapping[str, Any]] = mapping["findings"]
        try:
            findings = tuple(_finding(row) for row in rows)
        except TypeError as error:
            raise ValueError(f"label space {mapping.get('name')!r}: {error}") from error
        return cls(str(mapping["name"]), findings)


def _finding(row: Mapping[str, Any]) -> Finding:
    code = row.get("code")
    return Finding(**{**row, "code": None if code is None else (str(code[0]), str(code[1]), str(code[2]))})
