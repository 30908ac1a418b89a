"""The house keeps its own rules: layers, sizes, a light import, documents that tell the truth."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tconv
from tests import ROOT

MODULES = sorted(
    name
    for _, name, _ in pkgutil.walk_packages(tconv.__path__, "tconv.")
    if not name.endswith(("__main__", "._core"))
)
DOCUMENTS = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "core/README.md",
    "SECURITY.md",
    "CHANGELOG.md",
]


@pytest.mark.parametrize("name", ["tconv", *MODULES])
def test_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    names = {"np": np, "tconv": tconv, **vars(module)}
    failed, _ = doctest.testmod(
        module, globs=names, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    )
    assert failed == 0


def test_readme_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_import_is_light() -> None:
    """`import tconv` takes NumPy and nothing of the extras."""
    extras = ("torch", "jax", "scipy", "matplotlib", "PIL", "rich", "pytorch_lightning", "nibabel", "h5py")
    code = f"import sys, tconv; print([m for m in {extras} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_layers_hold() -> None:
    pytest.importorskip("importlinter", reason="import-linter is not installed")
    from importlinter.cli import lint_imports

    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def circles() -> list[set[str]]:
    """Files that import each other in a loop; imports in functions and for type checkers count.

    A package's face, which hands names on, is left out: what is imported through it is no tie inside.
    """
    import grimp

    graph = grimp.build_graph("tconv", cache_dir=None)
    files = {name for name in graph.modules if not graph.find_children(name)}
    below = {name: graph.find_modules_directly_imported_by(name) & files for name in files}
    reach = {name: set(others) for name, others in below.items()}
    for middle in files:  # Warshall's closure
        for name in files:
            if middle in reach[name]:
                reach[name] |= reach[middle]
    loops = {frozenset(other for other in reach[name] if name in reach[other]) for name in files}
    return [set(loop) for loop in loops if loop]


def test_files_import_each_other_one_way() -> None:
    pytest.importorskip("grimp", reason="grimp comes with import-linter")
    assert circles() == []


def test_files_keep_to_their_rooms() -> None:
    budgets = {".py": 350, ".cpp": 500, ".hpp": 500}
    too_long = {
        str(path.relative_to(ROOT)): lines
        for folder in ("src", "core", "tests")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in budgets
        and (lines := path.read_text(encoding="utf-8").count("\n")) > budgets[path.suffix]
    }
    assert too_long == {}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_name_files_that_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for name in re.findall(r"`((?:[\w.]+/)*[\w.]+\.(?:py|cpp|hpp|md|txt|toml|html))`", text):
        if name in ("classes.txt", "recipe.toml"):  # of a user's data folder, of a run
            continue
        places = (ROOT, ROOT / "src/tconv", ROOT / "core")
        assert any((place / name).exists() for place in places) or any(ROOT.glob(f"src/**/{name}")), name
    for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
        assert (ROOT / document).parent.joinpath(link).exists(), link


def test_make_targets_are_documented() -> None:
    targets = set(
        re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[
            0
        ].split()
    )
    text = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md"))
    assert {target for target in targets if f"make {target}" not in text} <= {"clean"}


def test_every_command_is_in_the_readme() -> None:
    from tconv.cli import MODULES as COMMANDS

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert COMMANDS
    done = subprocess.run(
        [sys.executable, "-m", "tconv", "--help"], capture_output=True, text=True, check=True
    )
    commands = re.findall(r"^    (\w+)  ", done.stdout, re.MULTILINE)
    assert len(commands) >= 5
    assert [command for command in commands if f"tconv {command}" not in text] == []
