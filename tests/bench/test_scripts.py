"""The scripts of benchmarks/ say the truth of what was measured. No test looks at how long anything takes."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tconv import TconvError
from tconv.bench.report import Record
from tconv.bench.turns import Result
from tests import ROOT

NO_TORCH = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")


def script(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, ROOT / f"benchmarks/{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def run(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / f"benchmarks/{name}.py"), *words]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_readme_s_speed_is_what_was_measured() -> None:
    readme, text = script("readme"), (ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.MARKS.search(text)
    wanted = shown[1] + readme.block(readme.records_of(text)) + shown[3]
    assert shown[0] == wanted, "run `python benchmarks/readme.py`"


def test_the_readme_s_chart_is_what_was_measured(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib, which draws, is not installed")
    readme = script("readme")
    again = tmp_path / "speed.svg"
    readme.draw(readme.records_of((ROOT / "README.md").read_text(encoding="utf-8"))[0], again)
    # Each text stands as a comment beside its letters, which another matplotlib may draw otherwise.
    texts = [
        re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8")) for path in (readme.CHART, again)
    ]
    assert texts[0] == texts[1], "run `python benchmarks/readme.py`"
    assert len(texts[0]) > 100


def test_the_readme_tells_the_best_peer_where_there_are_several() -> None:
    facts = {"cpu": "c", "instruction_set": "avx2", "threads": 2, "dtype": "float32"}
    facts["versions"] = {"torch": "1", "openvino": "2"}
    results = [
        Result("a", "", {"tconv": 1.0, "torch": 4.0, "openvino": 9.0}),
        Result("b", "", {"tconv": 1.0, "torch": 4.0, "openvino": 0.25}),
    ]
    readme = script("readme")
    record = Record(facts, ["tconv", "torch", "openvino"], results)
    told = readme.block([record])
    assert "**1.0 times as fast as the fastest of PyTorch 1 and OpenVINO 2 on each layer**" in told
    assert "(1 of them slower), on c with AVX2" in told
    assert "Against PyTorch alone 4.0 times, 0 slower; OpenVINO alone 1.5 times, 1 slower." in told
    other = Record({**facts, "cpu": "d", "instruction_set": "avx512"}, record.engines, results[:1])
    told = readme.block([record, other])
    assert "| geometric mean, and layers slower | AVX2 | AVX-512 |" in told
    assert "| the fastest of them on each layer | 1.00, 1 of 2 | 4.00, 0 of 1 |" in told
    assert "| OpenVINO | 1.50, 1 of 2 | 9.00, 0 of 1 |" in told
    assert "AVX2 on c; AVX-512 on d." in told


def test_parts_of_a_run_are_joined_if_nothing_else_differs() -> None:
    facts = {"cpu": "c", "instruction_set": "avx2", "threads": 2, "dtype": "float32", "versions": {}}
    parts = [
        Record({**facts, "roofs": {"gflops": n, "gbytes": 3 - n}}, ["tconv"], [Result(str(n), "")])
        for n in (1, 2)
    ]
    readme = script("readme")
    whole = readme.join(parts)
    assert [result.name for result in whole.results] == ["1", "2"]
    assert whole.machine["roofs"] == {"gflops": 2, "gbytes": 2}
    with pytest.raises(TconvError, match="differ in machine"):
        readme.join([parts[0], Record({**parts[1].machine, "threads": 1}, ["tconv"], [])])


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="resident memory is counted on Linux")
def test_memory_counts_what_a_call_takes() -> None:
    done = run("memory", "--layers", "unet3d_deep,gtcrn_up", "--engines", "tconv", "--threads", "1", "--json")
    assert done.returncode == 0, done.stderr
    deep, small = json.loads(done.stdout)["layers"]
    # 8 MB of output lie between: pages are counted, and a page more or less is nobody's fault.
    assert deep["output"] == 64 * 32**3 * 4
    assert deep["tconv"] >= deep["output"] - (1 << 20)
    assert small["tconv"] < deep["output"] / 2
    done = run("memory", "--layers", "no-such")
    assert done.returncode == 2
    assert "--layers 'no-such' is unknown" in done.stderr


@NO_TORCH
@pytest.mark.parametrize("which", ["unet", "dcgan"])
@pytest.mark.parametrize("pass_", ["forward", "step"])
def test_both_engines_give_a_model_s_answer(
    which: str, pass_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    import tconv

    models = script("models")
    small = {
        "unet": (lambda: models.UNet((4, 8)), (1, 3, 16, 16), 2),
        "dcgan": (models.dcgan, (2, 100, 1, 1), None),
    }
    monkeypatch.setattr(models, "MODELS", small)
    kept: list[list[Any]] = []
    request = {"model": which, "pass": pass_, "threads": torch.get_num_threads()}
    before = tconv.get_num_threads()
    try:
        for engine in models.ENGINES:
            path = tmp_path / f"{engine}.npz"
            models.load(engine, {**request, "answer": str(path)})()
            with np.load(path) as file:
                kept.append([file[key] for key in file.files])
    finally:
        tconv.set_num_threads(before)
    assert len(kept[0]) == (2 if pass_ == "step" else 1)
    assert models.distance(kept[0], kept[1]) <= models.TOLERANCE
    kept[1][-1].flat[0] += 1e-3 * np.abs(kept[1][-1]).max()
    assert models.distance(kept[0], kept[1]) > models.TOLERANCE


@NO_TORCH
def test_models_are_measured_and_unknown_ones_refused() -> None:
    done = run("models", "--models", "fcn8s-small", "--turns", "1", "--seconds", "0.001", "--json")
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)["models"]
    assert [(m["model"], m["pass"]) for m in measured] == [
        ("fcn8s-small", "forward"),
        ("fcn8s-small", "step"),
    ]
    assert all(set(m["seconds"]) == {"tconv", "torch", "free"} for m in measured)
    done = run("models", "--models", "resnet")
    assert done.returncode == 2
    assert "--models 'resnet' is unknown" in done.stderr


def test_measured_costs_are_printed_as_source() -> None:
    costs = script("fit_costs")
    usual = costs.Record()
    ports = costs.dataclasses.replace(usual.ports, load=3.0)
    made = costs.dataclasses.replace(usual, reference=9.25, ports=ports)
    text = f"Record({', '.join(costs.differing(made, usual))})"
    assert text == "Record(ports=Ports(load=3), reference=9.25)"
    assert eval(text, {**vars(sys.modules["tconv.planning.records"])}) == made


@NO_TORCH
def test_clients_need_none_of_their_packages_to_start() -> None:
    made = run("clients", "no such model", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["models"] == []
