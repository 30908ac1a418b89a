"""`tconv diagnose`: what it prints and writes, its exit status, and one line for anything else."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tconv import algebra
from tconv.cli import main
from tconv.diagnosis import diagnose

EVEN = "n1 c2>3 i8x8 k4 s2 p1"
WEIGHT = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    np.save(tmp_path / "w.npy", WEIGHT)
    return tmp_path / "w.npy"


def test_status_says_whether_something_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", EVEN]) == 0
    assert "no finding" in capsys.readouterr().out
    assert main(["diagnose", "n1 c2>3 i8x8 k3 s2 p1"]) == 1
    out = capsys.readouterr().out
    assert "1 finding" in out
    assert "T101 warning: uneven coverage" in out
    assert "kernel 3 over stride 2 gives 1 or 2 taps on axes 0 and 1" in out


def test_json(capsys: pytest.CaptureFixture[str], weights: Path) -> None:
    assert main(["diagnose", str(weights), "--problem", EVEN, "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["layers"][0]["problem"] == EVEN
    assert [finding["code"] for finding in printed["findings"]] == ["T201", "T202"]
    gains = algebra.constant_response(WEIGHT, 2)
    numbers = printed["layers"][0]["weights"]
    np.testing.assert_allclose(numbers["worst_channel_gains"], gains[numbers["worst_channel"]], rtol=1e-12)
    assert set(printed["findings"][0]) == {"code", "severity", "layer", "title", "text", "evidence", "fix"}


def test_fix(capsys: pytest.CaptureFixture[str], weights: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat.npy"
    assert main(["diagnose", str(weights), "--problem", EVEN, "--fix", str(flat)]) == 1
    assert f"wrote {flat}: w" in capsys.readouterr().err
    np.testing.assert_array_equal(np.load(flat), algebra.equal_phase_gains(WEIGHT, 2))
    assert main(["diagnose", str(flat), "--problem", EVEN, "--tolerance", "1e-6"]) == 1
    assert "T201" not in capsys.readouterr().out
    for how in ("icnr", "bilinear"):
        square = "n1 c3>3 i8x8 k4 s2 p1"
        np.save(weights, np.ones((3, 3, 4, 4), np.float32))
        main(["diagnose", str(weights), "--problem", square, "--fix", str(flat), "--how", how])
        capsys.readouterr()
        assert main(["diagnose", str(flat), "--problem", square]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flat.npy", "w.npy"]


def test_merge_and_split(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    conv = np.random.default_rng(1).integers(1, 6, (3, 2, 3, 3)).astype(np.float32)
    np.save(tmp_path / "conv.npy", conv)
    words = ["--problem", EVEN, "--how", "merge", "--fix", str(tmp_path / "up.npy")]
    assert main(["diagnose", str(tmp_path / "conv.npy"), *words]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "up.npy"), algebra.merge_nearest(conv, 2).weight)
    words = ["--problem", EVEN, "--how", "split", "--fix", str(tmp_path / "back.npy")]
    assert main(["diagnose", str(tmp_path / "up.npy"), *words]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "back.npy"), conv)


@pytest.mark.parametrize(
    "problem", [EVEN, "n1 c2>3 i8x8 k3x4 s2", "n1 c2>3 i8 k4 s2", "n1 c2>3 i4x4x4 k4 s2"]
)
def test_page(tmp_path: Path, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    from tconv.geometry import Geometry

    g = Geometry.parse(problem)
    np.save(tmp_path / "w<b>.npy", np.random.default_rng(2).normal(size=g.weight_shape))
    page = tmp_path / "report.html"
    assert main(["diagnose", str(tmp_path / "w<b>.npy"), "--problem", problem, "--html", str(page)]) == 1
    text = page.read_text()
    assert "w&lt;b&gt;" in text
    assert "<b>.npy" not in text
    for sought in (
        "T201",
        "prefers-color-scheme",
        'name="viewport"',
        "What output channel",
        "With equal gains",
    ):
        assert sought in text
    assert not any(word in text for word in ("<script", "<link", "url(", "src="))
    assert text.count("http") == text.count("http://www.w3.org/2000/svg")


def test_page_says_what_is_too_large_to_draw(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.random.default_rng(3).normal(size=(1, 1, 64, 64)))
    words = ["--problem", "n1 c1>1 i8x8 k64 s32 p16", "--html", str(tmp_path / "r.html")]
    assert main(["diagnose", str(tmp_path / "w.npy"), *words]) == 1
    text = (tmp_path / "r.html").read_text()
    assert "filters of 4096 taps would make the page heavy" in text
    assert "What output channel 0 makes of ones" in text


def test_page_without_findings(tmp_path: Path) -> None:
    assert main(["diagnose", EVEN, "--html", str(tmp_path / "r.html")]) == 0
    assert "Nothing found." in (tmp_path / "r.html").read_text()


def bad(tmp_path: Path, *words: Any) -> list[str]:
    return ["diagnose", *(str(tmp_path / word[1:]) if word[:1] == "@" else word for word in map(str, words))]


BAD = [
    ([""], "c (channels) and i (input) and k (kernel) missing"),
    (["n1 c1>1 i8 k0"], "kernel 0 on axis 0; it must be at least 1"),
    (["n1 c1>1 i8 k3 s0"], "stride 0"),
    (["@absent.npy"], "no such file"),
    (["@w.npy"], "give --problem"),
    (["@w.npy", "--problem", "n1 c2>3 i8x8 k5 s2"], "weight has shape (2, 3, 4, 4)"),
    (["@nan.npy", "--problem", EVEN], "95 of 96 weights are NaN or infinite"),
    (["@words.npy", "--problem", EVEN], "not a complete .npy file"),
    (["@objects.npy", "--problem", EVEN], "not a complete .npy file"),
    (["@cut.npy", "--problem", EVEN], "not a complete .npy file"),
    (["@many.npy", "--problem", EVEN], "not a complete .npy file"),
    (["@header.npy", "--problem", EVEN], "not a complete .npy file"),
    (["@letters.npy", "--problem", EVEN, "--how", "merge"], "weight has dtype <U1; numbers would fit"),
    (["@large.npy", "--problem", EVEN], "weights of up to 1e+300; up to 1e+100 would fit"),
    (["@half.npy", "--problem", EVEN, "--fix", "@fixed.npz"], "beyond float16"),
    (["@w.npy", "--problem", EVEN, "--html", "/"], "cannot write /: it is a folder"),
    (["@w.txt"], "unknown suffix '.txt'"),
    (["@cut.pt", "--layer", f"up={EVEN}"], "not a complete, safely readable state dict"),
    (["@evil.pt", "--layer", f"up={EVEN}"], "safely readable state dict"),
    (["@m.pt"], "give --layer NAME=PROBLEM, with a name of up.0.weight (2, 3, 4, 4)"),
    (["@m.pt", "--layer", "up.0"], "a state dict does not contain strides"),
    (["@m.pt", "--layer", f"upp.0={EVEN}"], "layer 'upp.0' is unknown; did you mean 'up.0'?"),
    (["@m.pt", "--layer", "="], "NAME or NAME=PROBLEM would fit"),
    (["@linear.pt", "--layer", f"up={EVEN}"], "no tensor in it has the 3 to 5 axes"),
    (["@cut.onnx"], "is not a valid ONNX model: it is truncated or of another kind"),
    (["@empty.onnx"], "empty.onnx is empty"),
    (["@relu.onnx"], "it has no transposed convolution with constant weights; it has Relu"),
    (
        ["@m.pt", "--layer", f"up.0={EVEN}", "--how", "split", "--fix", "@out.pt"],
        "split gives weights of another",
    ),
    (["@m.pt", "--layer", f"up.0={EVEN}", "--how", "merge"], "merge gives weights of another shape"),
    (["@cut.pt2"], "not a complete exported program"),
    (["@relu.onnx", "--layer", f"up={EVEN}"], "a model in ONNX: --layer NAME=PROBLEM does not apply"),
    (
        ["@w.npy", "--problem", EVEN, "--layer", "w"],
        "a single weight: --layer NAME does not apply; --problem",
    ),
    (["@m.pt", "--input", "1x2"], "a state dict: --input does not apply"),
    ([EVEN, "--problem", EVEN], "problem, layers and input are for files"),
    ([EVEN, "--fix", "@out.npy"], "no weights to correct"),
    ([EVEN, "--skip", "5x5x5"], "give one int, or 2, one per axis"),
    ([EVEN, "--skip", "x"], "sizes such as 57x57 would fit"),
    ([EVEN, "--skip", "0x5"], "sizes such as 57x57 would fit"),
    (["@w.npy", "--problem", EVEN, "--fix", "@no/such/folder.npy"], "cannot write"),
    (
        ["@w.npy", "--problem", "n1 c2>3 i8x8 k4 s2 p1", "--fix", "@out.npy", "--how", "split"],
        "does not factor",
    ),
    (["n1 c1>1 i100000x100000 k3 s2", "--html", "@r.html", "--tolerance", "2"], "tolerance 2.0"),
]


class Writes:
    """Unpickled it writes a file, which no reader may let happen."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.write_text, (self.path, "was here")


def evil_program(torch: Any, folder: Path) -> None:
    """An exported program whose example inputs are a pickle that runs code."""
    net = torch.nn.Sequential(torch.nn.ConvTranspose1d(2, 3, 4, 2))
    torch.export.save(torch.export.export(net, (torch.ones(1, 2, 8),)), folder / "whole.pt2")
    with zipfile.ZipFile(folder / "whole.pt2") as whole, zipfile.ZipFile(folder / "evil.pt2", "w") as made:
        for entry in whole.infolist():
            data = whole.read(entry)
            if "sample_inputs" in entry.filename:
                held = io.BytesIO()
                torch.save(Writes(folder / "was_here.txt"), held)
                data = held.getvalue()
            made.writestr(entry, data)


@pytest.fixture(scope="module")
def nonsense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch", reason="state dicts are PyTorch's")
    onnx = pytest.importorskip("onnx", reason="models are built with onnx")
    folder = tmp_path_factory.mktemp("nonsense")
    np.save(folder / "w.npy", WEIGHT)
    (folder / "w.txt").write_text("3")
    np.save(folder / "nan.npy", np.where(np.arange(96).reshape(WEIGHT.shape) == 5, 1, np.nan))
    np.save(folder / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    (folder / "words.npy").write_text("not an array")
    np.savez(folder / "many.npz", WEIGHT)
    (folder / "many.npz").rename(folder / "many.npy")
    (folder / "header.npy").write_bytes((folder / "w.npy").read_bytes().replace(b"{", b"(", 1))
    np.save(folder / "letters.npy", np.full(WEIGHT.shape, "a"))
    np.save(folder / "large.npy", np.full(WEIGHT.shape, 1e300))
    np.save(folder / "half.npy", np.where(WEIGHT > 0, 65504, -65504).astype(np.float16))
    torch.save(
        {"up.0.weight": torch.from_numpy(WEIGHT), "down.weight": torch.ones(3, 2, 3, 3)}, folder / "m.pt"
    )
    torch.save({"fc.weight": torch.ones(3, 2)}, folder / "linear.pt")
    torch.save({"up": print}, folder / "evil.pt")
    evil_program(torch, folder)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])], "g",
        [onnx.helper.make_tensor_value_info("x", 1, [1])], [onnx.helper.make_tensor_value_info("y", 1, [1])],
    )  # fmt: skip
    onnx.save(onnx.helper.make_model(graph), folder / "relu.onnx")
    (folder / "empty.onnx").write_bytes(b"")
    whole = {
        "npy": folder / "w.npy",
        "pt": folder / "m.pt",
        "onnx": folder / "relu.onnx",
        "pt2": folder / "m.pt",
    }
    for suffix, path in whole.items():
        data = path.read_bytes()
        (folder / f"cut.{suffix}").write_bytes(data[: len(data) - 11])
    return folder


@pytest.mark.parametrize(("words", "message"), BAD)
def test_bad_input_is_one_line(
    words: list[str], message: str, nonsense: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(bad(nonsense, *words)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("tconv diagnose: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not (nonsense / "out.npy").exists()
    assert not (nonsense / "was_here.txt").exists()


def test_a_pickle_beside_a_program_is_not_opened(nonsense: Path) -> None:
    assert (
        diagnose(nonsense / "evil.pt2").as_dict()["layers"]
        == diagnose(nonsense / "whole.pt2").as_dict()["layers"]
    )
    assert not (nonsense / "was_here.txt").exists()


def test_of_a_program_cut_short_the_loader_logs_nothing(nonsense: Path) -> None:
    (nonsense / "short.pt2").write_bytes((nonsense / "whole.pt2").read_bytes()[:3000])
    words = [sys.executable, "-m", "tconv", "diagnose", str(nonsense / "short.pt2")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "is not a complete exported program" in done.stderr


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        ("n1 c1>1 i2000000000 k4 s2 p1", 0),
        ("n1 c1>1 i2000000000 k3 s5", 1),
        ("n1 c1>1 i30000x30000 k4 s2 p1", 0),
        ("n1 c1>1 i8 k2000000000 s2", 2),
        ("n1 c1>1 i8 k2 s2000000000", 2),
        ("n1 c1>1 i8 k2 p2:-2000000000", 2),
    ],
)
def test_an_enormous_problem_is_looked_at_without_its_cells(
    problem: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diagnose", problem]) == status
    printed = capsys.readouterr()
    assert ("too large to examine" in printed.err) == (status == 2)
    if "k3 s5" in problem:  # of every five outputs two hold only the bias, but for the last stamp
        assert "3999999998 of 9999999998 outputs of a map hold only the bias" in printed.out
