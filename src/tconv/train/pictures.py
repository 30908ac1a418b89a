"""Pictures and labels, as training takes them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tconv.pictures import Picture, read_picture, read_pixels, size_of, to_channels

__all__ = ["IGNORED", "Label", "Picture", "read_picture", "read_pixels", "size_of", "to_channels"]

IGNORED = 255
"""The label of pixels that the loss and the measures ignore."""

Label = npt.NDArray[np.uint8]
