"""A file or a module in, one `Model` out: the only room that opens a model.

`Model` holds the layers (`ModelLayer`: transposed and ordinary convolutions, with geometry and weights as far
as they are known), the graph around them, and the way back into a file. Each format has a reader: `npy`,
`state` (state dicts), `pt2` (torch.export), `onnx`, and `module` (a live module of PyTorch).
"""

from __future__ import annotations

from tconv.models.formats import SUFFIXES, read
from tconv.models.graph import Graph, Node
from tconv.models.layer import ModelLayer
from tconv.models.model import Model

__all__ = ["SUFFIXES", "Graph", "Model", "ModelLayer", "Node", "read"]
