"""The demos' natural pictures: sizes, credits, and one line where scikit-image is not installed."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest

from tconv.demos.pictures import PICTURES, credit, gray, picture
from tconv.errors import TconvError


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_is_there_and_its_licence_is_what_scikit_image_says(name: str) -> None:
    data = pytest.importorskip("skimage.data", reason="pip install scikit-image==0.26.0")
    found = picture(name)
    assert found.dtype == np.uint8
    assert found.ndim == 2 or found.shape[2] == 3
    luminance = gray(name)
    assert luminance.dtype == np.float32
    assert luminance.shape == found.shape[:2]
    assert 0 <= luminance.min() < 0.3 < 0.7 < luminance.max() <= 1 + 1e-6
    said = " ".join((getattr(data, name).__doc__ or "").split())
    licence = credit(name).rpartition("; ")[2].removesuffix(".")
    assert licence.lower() in said.lower()


def test_gray_pictures_of_equal_channels_are_those_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(255, dtype=np.uint8).reshape(15, 17)
    monkeypatch.setattr("tconv.demos.pictures.picture", lambda name: np.stack([values] * 3, axis=-1))
    np.testing.assert_allclose(gray("any"), values / 255, atol=1e-6)


def test_an_unknown_picture_is_refused() -> None:
    with pytest.raises(TconvError, match="picture 'cofee' is unknown; did you mean 'coffee'"):
        picture("cofee")


def test_without_scikit_image_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("skimage"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(TconvError, match=r"pip install scikit-image==0\.26\.0"):
        picture("coffee")
