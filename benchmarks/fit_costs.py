"""Measure what work costs on this machine, and print it for `KINDS` in src/tconv/planning/kinds.py.

    python benchmarks/fit_costs.py                          # the best instruction set, two minutes
    python benchmarks/fit_costs.py --isa avx2 --seconds 600

What `tconv tune` does in half a minute, with more time and for any instruction set; it changes no plan.
Measure on an idle machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from typing import Any

from tconv.planning import isas
from tconv.planning.kinds import default_record
from tconv.planning.records import Record
from tconv.tune.costs import measured


def differing(one: Any, usual: Any) -> Iterator[str]:
    """The arguments of a record, or a part of one, that differ from the usual ones."""
    for field in dataclasses.fields(one):
        value, other = getattr(one, field.name), getattr(usual, field.name)
        if dataclasses.is_dataclass(value):
            inner = ", ".join(differing(value, other))
            if inner:
                yield f"{field.name}={type(value).__name__}({inner})"
        elif value != other:
            yield f"{field.name}={value:.3g}" if isinstance(value, float) else f"{field.name}={value!r}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--isa", choices=isas(), default=isas()[0], help="an instruction set of this CPU")
    parser.add_argument("--seconds", type=float, default=120.0, metavar="N", help="how long to measure")
    args = parser.parse_args()
    costs = measured(args.isa, args.seconds, lambda part: print(part, file=sys.stderr))
    print(f"# {args.isa}: {costs.plans} plans on one thread; estimates were off by a factor of")
    print(f"# {costs.before:.2f} before and are by {costs.after:.2f} now; {costs.checked} maps are")
    print(f"# {costs.gain:.3f} times as fast by the plans of these costs.")
    print(f"Record({', '.join(differing(costs.record or default_record(args.isa), Record()))})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
