"""YAML files as trees of plain values: read strictly, laid over each other, changed by `path.to.key=value`.

A tree is never changed in place: each function returns a new one.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml

from sv.errors import ConfigError

Tree = dict[str, Any]


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with `1e-3` a number (as YAML 1.2 says, and people write) and a key twice an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key_node.value} comes twice", key_node.start_mark
                )
            if isinstance(key_node, yaml.ScalarNode):
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_yaml(path: str | os.PathLike[str]) -> Tree:
    """Read a file of keys and values. Raises ConfigError naming file and line if it is not one."""
    try:
        tree = yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{line}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected keys and values at the top level")
    return tree


def laid_over(tree: Tree, overlay: Tree) -> Tree:
    """`tree` with the values of `overlay` in place of its own; blocks are merged, lists are not.

    A block that says by its `name` that it is of another kind than the tree's takes its place.
    """
    merged = dict(tree)
    for key, value in overlay.items():
        below = tree.get(key)
        alike = isinstance(below, dict) and isinstance(value, dict) and value.get("name") in (None, below.get("name"))
        merged[key] = laid_over(below, value) if alike else value
    return merged


def with_setting(tree: Tree, setting: str) -> Tree:
    """`tree` with one value changed by `path.to.key=value`, the value in YAML; a missing or null block is made."""
    dotted, equals, text = setting.partition("=")
    keys = dotted.split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set {setting}: expected path.to.key=value")
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError:
        raise ConfigError(f"--set {setting}: {text!r} is not a YAML value") from None
    return _replaced(tree, keys, value, setting)


def _replaced(tree: Tree, keys: list[str], value: Any, setting: str, done: str = "") -> Tree:
    key, *rest = keys
    if not rest:
        return {**tree, key: value}
    below = tree.get(key)
    if below is not None and not isinstance(below, dict):
        raise ConfigError(f"--set {setting}: {done}{key} is a value, it has no keys below it")
    return {**tree, key: _replaced(below or {}, rest, value, setting, f"{done}{key}.")}
