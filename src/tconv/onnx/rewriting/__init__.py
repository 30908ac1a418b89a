"""Exact rewritings of a model, chosen for speed or for what a runtime takes.

A model is read (`tconv.models`), rules are applied to copies of it (`walker`), for a target (`targeting`)
or by the clock (`speed`, `measuring`); the two models are compared (`checking`) in a process of its own
(`runner`, `worker`) on given and made-up inputs (`feeds`); `run` is the whole way, and `report` tells it.
Which rules serve which goal, and what targets lack, are the tables of `goals`.
"""

from __future__ import annotations

from tconv.onnx.rewriting.goals import CAPABILITIES, SPEED, TARGETS
from tconv.onnx.rewriting.report import Report
from tconv.onnx.rewriting.run import Refused, rewrite

__all__ = ["CAPABILITIES", "SPEED", "TARGETS", "Refused", "Report", "rewrite"]
