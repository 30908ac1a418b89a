"""The ratios of a run as a chart."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from tconv.bench.report import BEST, Record, best_peer, summary
from tconv.bench.worker import NEEDS
from tconv.errors import TconvError

__all__ = ["check", "draw"]

#: One colour per engine, distinguishable also for people with red-green colour blindness.
_COLOURS = {
    "torch": "#d55e00",
    "onnxruntime": "#0072b2",
    "openvino": "#7b4ea3",
    "jax": "#009e73",
    "mnn": "#56b4e9",
    "ncnn": "#cc79a7",
    "litert": "#b59a00",
}
_INCH_A_LAYER = 0.2


def check(path: Path) -> None:
    """Refuse a chart that could not be written, before anything is measured.

    Raises:
        TconvError: a suffix other than .svg and .png, or a missing folder.
    """
    if path.suffix not in (".svg", ".png"):
        raise TconvError(f"--chart {path}: the suffix {path.suffix!r} is unknown; .svg or .png would fit")
    if not path.parent.is_dir():
        raise TconvError(f"--chart {path}: there is no folder {path.parent}")
    import_module("matplotlib")


def draw(record: Record, path: Path) -> None:
    """Write one bar per layer: how many times as fast as the fastest peer, in that peer's colour.

    Raises:
        TconvError: no layer has both a time of tconv and one of a peer.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from matplotlib.ticker import FixedLocator, NullLocator

    ours = record.engines[0]
    bars = [
        (r.name, r.seconds[best] / r.seconds[ours], best)
        for r in record.results
        if ours in r.seconds and (best := best_peer(r)) is not None
    ]
    if not bars:
        raise TconvError(f"--chart {path}: no layer has times of tconv and of a peer")
    ratios = [ratio for _, ratio, _ in bars]
    # Letters are drawn as paths, since a reader may lack the font; equal records give equal files.
    style: Any = {
        "svg.hashsalt": "tconv",
        "svg.fonttype": "path",
        "font.size": 9,
        "font.family": "DejaVu Sans",
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(8.5, 1.1 + _INCH_A_LAYER * len(bars)), layout="constrained")
        axes = figure.add_subplot()
        axes.barh(
            range(len(bars)),
            [ratio - 1 for ratio in ratios],
            left=1,
            height=0.72,
            color=[_COLOURS[best] for _, _, best in bars],
        )
        low, high = min(0.9, min(ratios) / 1.15), max(2.2, max(ratios) * 1.3)
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        axes.set_ylim(len(bars) - 0.4, -0.6)
        for row, ratio in enumerate(ratios):
            text = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}"
            axes.text(max(ratio, 1) * 1.02, row, text, va="center", fontsize=8, color="#333333")
        axes.set_yticks(
            range(len(bars)), [name for name, _, _ in bars], family="DejaVu Sans Mono", fontsize=8
        )
        ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 20, 50, 100) if low <= t <= high]
        top = axes.secondary_xaxis("top")
        top.tick_params(length=0)
        top.spines["top"].set_visible(False)
        for axis in (axes.xaxis, top.xaxis):
            axis.set_major_locator(FixedLocator(ticks))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(lambda value, _: f"{value:g}x")
        axes.axvline(1, color="#333333", linewidth=1)
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        for side in ("top", "right", "bottom", "left"):
            axes.spines[side].set_visible(False)
        facts = record.machine
        means = summary(record.results, record.engines)
        mean = means.get(BEST) or means[bars[0][2]]
        figure.suptitle(
            f"tconv: how many times as fast as the fastest peer of each layer; geometric mean {mean:.2f}\n"
            f"{facts['dtype']}, {facts['threads']} threads, {facts['cpu']}, {facts['instruction_set']}",
            fontsize=10,
        )
        peers = [e for e in record.engines if e in _COLOURS and any(best == e for _, _, best in bars)]
        labels = {e: f"fastest peer: {e} {facts['versions'].get(NEEDS[e][0], '')}" for e in peers}
        figure.legend(
            handles=[Patch(color=_COLOURS[e], label=label) for e, label in labels.items()],
            loc="outside lower center",
            ncols=len(peers),
            fontsize=8,
            frameon=False,
        )
        metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        figure.savefig(path, dpi=110, metadata=metadata)
