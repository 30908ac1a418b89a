"""One reader per format: all commands see the same layers of real models, and no other room opens a model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import ROOT

onnx = pytest.importorskip("onnx", reason="the models are ONNX")
pytest.importorskip("onnx_ir", reason="models are read with onnx-ir")

from tconv.models.onnx.reader import read  # noqa: E402
from tests.onnx.fuzz import seeds  # noqa: E402
from tests.onnx.helpers import saved  # noqa: E402
from tests.onnx.sameness import same_layers, transposed_nodes  # noqa: E402
from tests.real_models.as_onnx import onnx_model  # noqa: E402


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest) -> Path:
    assert request.config.cache is not None
    return Path(request.config.cache.mkdir("real-models"))


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("gtcrn", 11), ("erb_dec", 2), ("ppocr_det", 2), ("piper", 3), ("waifu2x", 1), ("waifu2x_cunet", 4),
        ("deepbrain", 3),
    ],
)  # fmt: skip
def test_three_commands_see_the_same_layers_of_a_real_model(name: str, layers: int, folder: Path) -> None:
    path = onnx_model(name, folder)
    assert transposed_nodes(onnx.load(path)) == layers
    assert same_layers(read(path)) == layers


@pytest.mark.parametrize("name", seeds())
def test_three_commands_see_the_same_layers_in_branches_loops_and_functions(
    name: str, tmp_path: Path
) -> None:
    """The rules' own cases are checked where they are applied: `tests.onnx.rules.helpers`."""
    proto = seeds()[name]
    assert same_layers(read(saved(proto, tmp_path))) == transposed_nodes(proto)


#: What opens a model, and who may besides `tconv.models`: for training, and for arrays that are no model.
OPENERS = (
    r"\b(?:onnx|ir|torch|np|numpy|export|h5py|\w*safe\w*)\.(?:load|load_file|load_model|File)\("
    r"|ParseFromString\(|deserialize_model\("
)
ALLOWED = {
    "files.py": "reads one array of .npy",
    "bench/turns.py": "answers of its own process",
    "nets/classifier.py": "a classifier to start training from",
    "onnx/rewriting/feeds.py": "a user's inputs",
    "onnx/rewriting/runner.py": "answers of its own process",
    "onnx/rewriting/worker.py": "answers of its own process",
}


def test_nobody_else_opens_a_model() -> None:
    source = ROOT / "src/tconv"
    found = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if re.search(OPENERS, path.read_text(encoding="utf-8"))
        and "models" not in path.relative_to(source).parts
    }
    assert found == set(ALLOWED), "tconv.models opens models, behind its guards"
