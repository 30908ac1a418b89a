"""One palette, light and dark: the names of colours, and ramps of them.

A name is a word ("ink"), a ramp and a step ("heat.5" of 0 to 20, "signed.-7" of -10 to 10), or a hue in
degrees ("hue.40" to fill with, "hue.40.strong" to draw with).  "on.heat.5" is ink or paper, whichever has
more contrast with "heat.5".

>>> colour("paper", "light"), colour("paper", "dark")
('#ffffff', '#15181d')
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import cos, radians, sin
from typing import Literal, TypeAlias

__all__ = ["STEPS", "THEMES", "Theme", "colour", "heat", "hue", "signed"]

Theme: TypeAlias = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")

#: Name -> light, dark.  Pairs `x` and `x.strong` are a fill and the colour of its lines or text.
_WORDS = {
    "paper": ("#ffffff", "#15181d"),
    "ink": ("#1c2128", "#e9ecf0"),
    "muted": ("#5d6673", "#9aa4b1"),
    "faint": ("#c4cbd4", "#454f5b"),
    "cell": ("#e6eaf0", "#2a313b"),
    "blank": ("#f5f6f8", "#1d2229"),
    "hatch": ("#9ea8b5", "#5b6674"),
    "input": ("#cfe1fb", "#1d3c66"),
    "input.strong": ("#2563c4", "#7db2ff"),
    "kernel": ("#fde2c2", "#573a16"),
    "kernel.strong": ("#b95205", "#ffb163"),
    "output": ("#cfeedd", "#17452f"),
    "output.strong": ("#147a3c", "#63d394"),
    "both": ("#dfd0f7", "#47336a"),
    "both.strong": ("#7a3fc0", "#c7a0ff"),
}

#: Ramp -> the colours at its ends and between, light and dark.
_RAMPS = {
    "heat": (("#f1f5fa", "#7fb0e6", "#0a3f86"), ("#1d2229", "#2f649f", "#b4d6ff")),
    "signed": (
        ("#8a3a00", "#f0a45c", "#f5f6f8", "#7fb0e6", "#0a3f86"),
        ("#ffce9c", "#a85f1c", "#1d2229", "#2f649f", "#b4d6ff"),
    ),
}
STEPS = 20
#: Lightness and chroma of hues in OKLCH: to fill with, to draw with.
_HUES = {"light": ((0.88, 0.075), (0.5, 0.15)), "dark": ((0.4, 0.075), (0.8, 0.12))}


def heat(part: float) -> str:
    """The colour of `part` of the whole, 0 to 1."""
    return f"heat.{_step(STEPS, min(1.0, max(0.0, part)))}"


def signed(part: float) -> str:
    """The colour of `part` of the largest magnitude, -1 to 1; 0 is blank."""
    return f"signed.{_step(STEPS // 2, min(1.0, max(-1.0, part)))}"


def _step(steps: int, part: float) -> int:
    # Noise in the last digits must not decide between two steps, or drawings would differ from CPU to CPU.
    return round(steps * round(part, 6))


def hue(index: int, count: int) -> str:
    """The colour of one of `count` things, evenly spaced around the circle of hues."""
    return f"hue.{round(250 + 360 * index / max(count, 1)) % 360}"


@cache
def colour(name: str, theme: Theme) -> str:
    """The name as #rrggbb."""
    dark = theme == "dark"
    if name in _WORDS:
        return _WORDS[name][dark]
    if name.startswith("on."):
        return max((colour(word, theme) for word in ("ink", "paper")), key=_against(colour(name[3:], theme)))
    ramp, step, *tier = name.split(".")
    if ramp == "hue":
        lightness, chroma = _HUES[theme][tier == ["strong"]]
        return _oklch(lightness, chroma, float(step))
    stops = _RAMPS[ramp][dark]
    start = 0 if ramp == "heat" else -STEPS // 2
    place = (int(step) - start) / STEPS * (len(stops) - 1)
    below = min(int(place), len(stops) - 2)
    return _mixed(stops[below], stops[below + 1], place - below)


def _mixed(one: str, other: str, part: float) -> str:
    pairs = ((int(one[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in pairs)


def _oklch(lightness: float, chroma: float, degrees: float) -> str:
    """OKLCH to sRGB (Ottosson 2020, A perceptual color space for image processing)."""
    a, b = chroma * cos(radians(degrees)), chroma * sin(radians(degrees))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _encoded(min(1.0, max(0.0, part)))):02x}" for part in linear)


def _against(ground: str) -> Callable[[str], float]:
    """Contrast with a background (WCAG 2.2, relative luminance and contrast ratio)."""

    def contrast(letters: str) -> float:
        low, high = sorted((_luminance(ground), _luminance(letters)))
        return (high + 0.05) / (low + 0.05)

    return contrast


def _luminance(shown: str) -> float:
    red, green, blue = (_linear(int(shown[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(encoded: float) -> float:
    return encoded / 12.92 if encoded <= 0.04045 else float(((encoded + 0.055) / 1.055) ** 2.4)


def _encoded(linear: float) -> float:
    """The transfer curve of sRGB (IEC 61966-2-1)."""
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
