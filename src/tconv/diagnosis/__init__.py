"""What is wrong with a transposed convolution, what it costs, and what would correct it.

`diagnose` looks at a problem, at weights, or at a model's file. A finding has a code (the table `CODES`), a
severity, the evidence in numbers, and a fix.

>>> found = diagnose("n1 c1>1 i8x8 k3 s2 p1")
>>> [(finding.code, finding.title) for finding in found.findings]
[('T101', 'uneven coverage')]
>>> diagnose("n1 c1>1 i8x8 k4 s2 p1").findings
()
"""

from __future__ import annotations

from tconv.diagnosis.diagnose import Diagnosis, Examined, diagnose
from tconv.diagnosis.findings import CODES, Finding
from tconv.models import ModelLayer

__all__ = ["CODES", "Diagnosis", "Examined", "Finding", "ModelLayer", "diagnose"]
