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
    """There, and at least one of its places is boxed."""
    PRESENT = "present"
    """There, somewhere: nobody drew a box."""
    ABSENT = "absent"
    """Somebody looked and did not see it, or the card states a reason, or only assumes it: the rule says which."""
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
    """DICOM code (value, scheme, meaning), or None where none has been checked: then an SR has words alone."""
    stands_for: tuple[str, ...] = ()
    """Findings of the cards that count as this one, such as mass and nodule for ``lung_cancer``; empty: only itself."""

    def __post_init__(self) -> None:
        words = (self.key, self.display, self.box, self.colour, *(self.code or ()), *self.stands_for)
        if not (self.key and all(isinstance(word, str) for word in words)):  # YAML reads a bare `no` as False
            raise ValueError(f"a finding needs a key, and words for all it says, got {words}")
        if not re.fullmatch(r"#[0-9A-Fa-f]{6}", self.colour):
            raise ValueError(f"finding {self.key!r}: expected a colour as #RRGGBB, got {self.colour!r}")


@dataclass(frozen=True, slots=True)
class LabelSpace:
    """The ordered findings that a model answers for. The position is the index in logits and YOLO files."""

    name: str
    findings: tuple[Finding, ...]
    exclusive: bool = False
    """Whether an image is of one class only, so that a class that is there rules out the others."""
    mirrored: bool = False
    """Whether a picture that is mirrored from side to side is still what it was: an organ is, a chest is not."""

    def __post_init__(self) -> None:
        keys = [finding.key for finding in self.findings]
        if not keys or len(set(keys)) != len(keys):
            raise ValueError(f"a label space needs findings with different keys, got {keys}")
        words = [word for finding in self.findings for word in members(finding)]
        if len(set(words)) != len(words):
            raise ValueError(f"two findings of {self.name!r} stand for the same word of the cards: {sorted(words)}")

    def finding_for(self, word: str) -> str | None:
        """The finding that a card's word counts as, or None where this label space does not ask for it."""
        return next((finding.key for finding in self.findings if word in members(finding)), None)

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
        return {
            "name": self.name,
            "findings": [_plain(finding) for finding in self.findings],
            "exclusive": self.exclusive,
            "mirrored": self.mirrored,
        }

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> LabelSpace:
        """Read what `to_mapping` wrote, or a label space file.

        Raises:
            ValueError: If a key is unknown or missing, or a value is none that can stand there.
        """
        try:
            exclusive, mirrored = (_flag(mapping, name) for name in ("exclusive", "mirrored"))
            return cls(str(mapping["name"]), tuple(_finding(row) for row in mapping["findings"]), exclusive, mirrored)
        except (TypeError, AttributeError, KeyError) as error:
            raise ValueError(f"not a label space, which has a name and findings: {error}") from error


def _flag(mapping: Mapping[str, Any], name: str) -> bool:
    value = mapping.get(name, False)
    if not isinstance(value, bool):
        raise ValueError(f"{name!r} is true or false, got {value!r}")  # noqa: TRY004 - told as all others
    return value


def members(finding: Finding) -> tuple[str, ...]:
    """The words of the cards that a finding counts: those it stands for, or its own key."""
    return finding.stands_for or (finding.key,)


def _plain(finding: Finding) -> dict[str, Any]:
    """Lists where JSON has no tuples, so that what is written equals what is read back."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(finding).items()}


def _finding(row: Mapping[str, Any]) -> Finding:
    code = row.get("code")
    if code is not None:
        if isinstance(code, str) or len(code) != 3:
            raise ValueError(f"the code of a finding is value, scheme and meaning, got {code!r}")
        code = tuple(str(part) for part in code)
    stands_for = row.get("stands_for") or ()
    if isinstance(stands_for, str):
        raise ValueError(f"'stands_for' is a list of words, got {stands_for!r}")  # noqa: TRY004 - told as all others
    return Finding(**{**row, "code": code, "stands_for": tuple(stands_for)})
