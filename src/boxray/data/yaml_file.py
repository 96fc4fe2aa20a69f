"""YAML of people's own files: plain data, no alias, no key twice."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from boxray.core.errors import DataError

LARGEST_BYTES = 2**20
"""Cards and data files have some kilobytes."""


def read_yaml(path: Path) -> Any:
    """The content of a file.

    Raises:
        DataError: With file and line, if it is no plain YAML, uses an alias (a file of some lines can mean
            gigabytes by them) or gives a key twice (the first would be lost without a word).
    """
    if path.stat().st_size > LARGEST_BYTES:
        raise DataError(f"{path.name}: {path.stat().st_size} bytes, at most {LARGEST_BYTES} are read")
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Plain)  # noqa: S506 - a SafeLoader, and stricter
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise DataError(f"{path.name}{line}: {error.problem}") from error
    except RecursionError as error:
        raise DataError(f"{path.name}: nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:  # a date such as 2020-13-45, or bytes that are no UTF-8
        raise DataError(f"{path.name}: not plain YAML in UTF-8: {error}") from error


class _Plain(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # PyYAML's stubs leave it untyped
            raise yaml.MarkedYAMLError(problem="an alias (*) is not read", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key!r} is there twice", problem_mark=key_node.start_mark)
            seen.add(key if isinstance(key, Hashable) else id(key_node))
        return super().construct_mapping(node, deep=deep)
