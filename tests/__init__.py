"""The tests lie as the sources do; each room keeps what its tests share in a module `helpers`."""

from __future__ import annotations

from pathlib import Path

#: Of the repository.
ROOT = Path(__file__).parents[1]
