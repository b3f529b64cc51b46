"""What is wrong with a YAML tree, in one line: pydantic's finding in the words of the YAML's author."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from sv.errors import ConfigError

Block = TypeVar("Block", bound=BaseModel)

# Of pydantic's types of error, what a YAML calls the thing that was expected.
_EXPECTED = {
    "model_type": "a block of keys",
    "model_attributes_type": "a block of keys",
    "dict_type": "a block of keys",
    "tuple_type": "a list",
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "a text",
    "bool_type": "true or false",
    "finite_number": "a finite number",
}


TAGS = ("name", "trunk")  # the keys whose value says which of several kinds of block one is


def nearest(name: str, known: Iterable[str]) -> str:
    """'; did you mean …?' with the known name that is nearest, or what there is; the end of an error message."""
    known = list(known)
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]}?" if close else f"; there is {', '.join(known) or 'none'}"


def validated(model: type[Block], tree: dict[str, Any], source: str | os.PathLike[str]) -> Block:
    """The settings that a YAML tree holds; ConfigError names `source` and the key of the first problem."""
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(f"{source}: {first_problem(error, model, tree)}") from None


def first_problem(error: ValidationError, model: type[BaseModel], tree: dict[str, Any]) -> str:
    """One line for the first problem; an unknown key comes before the missing one that it was meant to be.

    Args:
        error: what `model` found in the tree, its lists as tuples.
        model: of the whole tree.
        tree: as it was read.
    """
    problem = min(error.errors(), key=lambda p: p["type"] not in ("extra_forbidden", "invalid_key"))
    blocks, path = _follow(model, problem["loc"])
    where, kind, given = ".".join(path), problem["type"], _shown(problem["input"])
    if kind in ("extra_forbidden", "invalid_key"):
        return f"unknown key {where}{_meant(path[-1], blocks[-1].model_fields if blocks else (), _paths(model, tree))}"
    if kind == "missing":
        if isinstance(problem["loc"][-1], int):  # an item of a list of fixed length
            return f"{'.'.join(path[:-1])}: too few values (is {given})"
        return f"{where} is missing"
    if kind == "union_tag_not_found":
        return f"{where}.{_tag_key(problem)} is missing"
    if kind in ("literal_error", "union_tag_invalid"):
        return _not_one_of(problem, where)
    if kind == "value_error":  # our own validators name the key themselves
        return problem["msg"].removeprefix("Value error, ")
    if kind == "too_long":
        return f"{where}: too many values, {problem['ctx']['max_length']} is right (is {given})"
    if kind in _EXPECTED:
        return f"{where}: expected {_EXPECTED[kind]} (is {given})"
    return f"{where}: {problem['msg'].removeprefix('Input ')} (is {given})"


def _meant(key: str, here: Iterable[str], everywhere: Iterable[str]) -> str:
    """As `nearest` of the keys of a block, or the key's whole path if it stands in one other block or two."""
    paths: dict[str, set[str]] = {}
    for path in everywhere:
        paths.setdefault(path.rpartition(".")[2], set()).add(path)
    here = list(here)
    if key not in here and 0 < len(paths.get(key, ())) <= 2:
        return f"; did you mean {' or '.join(sorted(paths[key]))}?"
    elsewhere = {name: found.pop() for name, found in paths.items() if len(found) == 1}
    if not difflib.get_close_matches(key, here, 1):
        key = next(iter(difflib.get_close_matches(key, elsewhere, 1)), key)
    return f"; did you mean {elsewhere[key]}?" if key in elsewhere else nearest(key, here)


def _paths(kind: Any, tree: Any, above: str = "") -> Iterator[str]:
    """Every key that this tree may have, as a dotted path; of a union that the tree has chosen from, the choice's."""
    tree = tree if isinstance(tree, dict) else {}
    options = _options(kind)
    if chosen := next(filter(None, (_tagged(options, tree.get(key, "")) for key in TAGS)), None):
        options = [chosen]
    for option in options:
        below: dict[str, Any] = {}
        if isinstance(option, type) and issubclass(option, BaseModel):
            below = dict(option.model_fields)
        elif get_origin(option) is dict:  # blocks that the author names
            below = dict.fromkeys(tree, get_args(option)[-1])
        for key, field in below.items():
            yield f"{above}{key}"
            yield from _paths(field, tree.get(key), f"{above}{key}.")


def _not_one_of(problem: ErrorDetails, where: str) -> str:
    context = problem["ctx"]
    if problem["type"] == "literal_error":
        return f"{where}: {_shown(problem['input'])} is not one of {context['expected']}"
    return f"{where}.{_tag_key(problem)}: {context['tag']!r} is not one of {context['expected_tags']}"


def _tag_key(problem: ErrorDetails) -> str:
    """Which key says of what kind a block is."""
    return problem["ctx"]["discriminator"].strip("'")


def _shown(value: Any) -> str:
    """A value as the YAML's author wrote it, more or less."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_shown, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


def _follow(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[list[type[BaseModel]], list[str]]:
    """The models that a pydantic location leads through, and its path in the YAML.

    pydantic puts the tag of a union's member into the location; the YAML has no such key.
    """
    kind: Any = model
    models: list[type[BaseModel]] = []
    path: list[str] = []
    for part in loc:
        options = _options(kind)
        if (tagged := _tagged(options, part)) is not None and len(options) > 1:
            kind = tagged
            continue
        if part == "[key]":  # of a key that is no text
            continue
        path.append(str(part))
        here = options[0] if len(options) == 1 else None
        if isinstance(here, type) and issubclass(here, BaseModel):
            models.append(here)
            kind = here.model_fields.get(str(part))
        else:  # a dict's value or a list's item
            kind = get_args(here)[-1] if get_args(here) else None
    return models, path


def _options(kind: Any) -> list[Any]:
    """The types that a field, an annotation or a union stands for, None left out."""
    if isinstance(kind, FieldInfo):
        kind = kind.annotation
    if hasattr(kind, "__metadata__"):  # Annotated
        kind = kind.__origin__
    if get_origin(kind) in (dict, tuple, Literal) or not get_args(kind):
        return [kind]
    options = [option for option in get_args(kind) if option is not type(None)]
    return [each for option in options for each in _options(option)]  # a union may be within a union


def _tagged(options: list[Any], tag: int | str) -> type[BaseModel] | None:
    for option in options:
        fields = getattr(option, "model_fields", {})
        if any(key in fields and tag in get_args(fields[key].annotation) for key in TAGS):
            return option
    return None
