"""Recipes: the settings of a training run in one TOML file; importable without PyTorch.

A recipe has the names of `Settings` and ``weights``, all at the top level. `streets` and `brain` come with
the package.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from tconv.errors import TconvError, clean, unknown
from tconv.files import check_file
from tconv.geometry.normalize import shown
from tconv.nets import BACKBONES, NETS, UPSAMPLINGS
from tconv.train.settings import Settings, checked

__all__ = ["RECIPES", "Recipe", "read_recipe", "written"]

RECIPES = ("brain", "streets")
"""The recipes that come with the package, in this folder's `recipes`."""

_NAMES = {"net": NETS, "backbone": BACKBONES, "upsampling": UPSAMPLINGS}
_MOST = 64 * 1024  # bytes of a recipe


class Recipe(NamedTuple):
    """What a recipe says: settings, and the file of a classifier's weights, or "auto", or none."""

    settings: Settings
    weights: str | None


def read_recipe(name: str | Path) -> Recipe:
    """Read a recipe: a name of `RECIPES`, or a TOML file.

    Raises:
        TconvError: neither, not TOML, an unknown key, or a value that does not fit.

    >>> read_recipe("streets").settings["backbone"]
    'efficientnet-lite0'
    >>> read_recipe("street")
    Traceback (most recent call last):
    ...
    tconv.errors.TconvError: recipe 'street' is unknown as a file or a recipe; did you mean 'streets'?
    """
    path = Path(name)
    if str(name) in RECIPES and not path.is_file():
        text = (files("tconv.train") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
        return _parsed(str(name), text)
    if not path.exists():
        raise unknown("recipe ", str(name), RECIPES, " as a file or a recipe")
    check_file(path)
    try:
        content = path.read_bytes()[: _MOST + 1]
        text = content.decode()
    except (OSError, UnicodeDecodeError) as fault:
        raise TconvError(f"recipe {path}: no readable TOML file: {fault}") from fault
    if len(content) > _MOST:
        raise TconvError(f"recipe {path}: more than {_MOST // 1024} KiB; lines of 'name = value' would fit")
    return _parsed(str(path), text)


def _parsed(name: str, text: str) -> Recipe:
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as fault:
        raise TconvError(f"recipe {clean(name)}: not TOML: {clean(str(fault), 120)}") from None
    known = (*Settings.__annotations__, "weights")
    for key in found:
        if key not in known:
            raise unknown(f"recipe {clean(name)}: key ", key, known)
    weights = found.pop("weights", None)
    if weights is not None and not isinstance(weights, str):
        raise TconvError(f"recipe {clean(name)}: weights={shown(weights)}; a file or 'auto' would fit")
    for key, names in _NAMES.items():
        value = found.get(key, names[0])
        if not isinstance(value, str):
            raise TconvError(
                f"recipe {clean(name)}: {key}={shown(value)}; one of {', '.join(names)} would fit"
            )
        if value not in names:
            raise unknown(f"recipe {clean(name)}: {key}=", value, names)
    settings: Settings = found  # type: ignore[assignment]
    try:
        checked(settings, ranks=1)
    except TconvError as fault:
        raise TconvError(f"recipe {clean(name)}: {fault}") from None
    return Recipe(settings, weights)


def written(settings: Mapping[str, Any], weights: str | None = None) -> str:
    """A recipe with these settings; what is None is left out.

    >>> print(written({"net": "fcn8s", "scales": [0.5, 2.0], "augment": True, "crop": None}))
    net = "fcn8s"
    augment = true
    scales = [0.5, 2.0]
    """
    found = {name: settings[name] for name in Settings.__annotations__ if settings.get(name) is not None}
    lines = [f"{name} = {_value(value)}" for name, value in found.items()]
    return "\n".join([*lines, *([f"weights = {_value(weights)}"] if weights is not None else [])])


def _value(value: object) -> str:
    """A value as TOML. Of a text every character that TOML might read otherwise is escaped."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        plain = "".join(
            c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08X}"
            for c in value.encode("utf-8", "replace").decode()
        )
        return f'"{plain}"'
    return repr(value)
