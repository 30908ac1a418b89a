"""Exact rewritings of a model, chosen for speed or for what a runtime supports.

A model is read (`tconv.models`), rules are applied to copies of it (`walker`), for a target (`targeting`)
or by measurement (`speed`, `measuring`, `layers`); the two models are compared (`checking`) in a separate
process (`runner`, `worker`) on given and generated inputs (`feeds`). `run` does all of this, and `report`
prints it. The tables of `goals` say which rules serve which goal, and what targets lack.
"""

from __future__ import annotations

from tconv.onnx.rewriting.goals import CAPABILITIES, SPEED, TARGETS
from tconv.onnx.rewriting.report import Report
from tconv.onnx.rewriting.run import Refused, rewrite

__all__ = ["CAPABILITIES", "SPEED", "TARGETS", "Refused", "Report", "rewrite"]
