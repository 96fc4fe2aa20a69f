"""Findings and label spaces. Which findings exist is data, so that six classes need no change of code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from boxray.core.errors import ModelError


class Presence(StrEnum):
    """What is known of one finding in one image. Not annotated is *not* absent."""

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

    def __post_init__(self) -> None:
        words = (self.key, self.display, self.box, self.colour, *(self.code or ()))
        if not (self.key and all(isinstance(word, str) for word in words)):  # YAML reads a bare `no` as False
            raise ValueError(f"a finding needs a key, and words for all it says, got {words}")
        if not re.fullmatch(r"#[0-9A-Fa-f]{6}", self.colour):
            raise ValueError(f"finding {self.key!r}: expected a colour as #RRGGBB, got {self.colour!r}")


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
        missing = sorted(set(other.keys) - set(self.keys))
        surplus = sorted(set(self.keys) - set(other.keys))
        only_order = "" if missing or surplus else "; the order differs"
        raise ModelError(
            f"weights answer for {len(self)} findings, {len(other)} are asked for; "
            f"missing: {', '.join(missing) or 'none'}; not asked for: {', '.join(surplus) or 'none'}{only_order}. "
            "Use the weights' label space or train again"
        )

    def to_mapping(self) -> dict[str, Any]:
        """Plain data for YAML and JSON; `from_mapping` reads it back."""
        return {"name": self.name, "findings": [asdict(finding) for finding in self.findings]}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> LabelSpace:
        """Read what `to_mapping` wrote, or a label space file.

        Raises:
            ValueError: If a key is unknown or missing, or a value is none that can stand there.
        """
        try:
            return cls(str(mapping["name"]), tuple(_finding(row) for row in mapping["findings"]))
        except (TypeError, AttributeError, KeyError) as error:
            raise ValueError(f"not a label space, which has a name and findings: {error}") from error


def _finding(row: Mapping[str, Any]) -> Finding:
    code = row.get("code")
    if code is not None:
        if isinstance(code, str) or len(code) != 3:
            raise ValueError(f"the code of a finding is value, scheme and meaning, got {code!r}")
        code = tuple(str(part) for part in code)
    return Finding(**{**row, "code": code})
