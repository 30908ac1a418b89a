"""The command ``tconv``: a table of modules, each of which adds its commands.

Exit status: 0 fine, 1 findings, 2 bad usage or bad input (one line on stderr), 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from tconv.errors import TconvError, clean, unknown

__all__ = ["main", "make_parser"]

_LONGEST = 1000  # characters of an error, which may repeat an argument

MODULES = (
    "tconv.demos.commands",
    "tconv.train.commands",
    "tconv.explanation.commands",
    "tconv.drawing.commands",
    "tconv.diagnosis.commands",
    "tconv.onnx.commands",
    "tconv.onnx.rewriting.commands",
    "tconv.page.commands",
    "tconv.bench.commands",
    "tconv.tune.commands",
)
"""Each has ``add_parser(subparsers)``; its parsers set ``func``, which takes the arguments and returns
the exit status."""


# Before it ends, Python would search all of PyTorch's objects for garbage, which takes more than a second.
atexit.register(gc.freeze)

HEAD = """\
example:
  tconv explain "n1 c256>64 i28x28 k3 s2 p1"
  tconv inspect model.onnx
  tconv train brain --out runs/brain

Transposed convolution on a CPU: explain, draw and diagnose layers, inspect and
rewrite models, train a segmentation network, compare the speed."""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose help begins with the example, and whose errors are one line with a
    suggestion."""

    commands: dict[str, Parser]

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_help_format, allow_abbrev=False, **options)

    def format_help(self) -> str:
        """The description, which starts with an example, before the usage."""
        head, self.description = self.description or "", None
        try:
            return f"{head}\n\n{super().format_help()}" if head else super().format_help()
        finally:
            self.description = head

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {clean(message, _LONGEST)} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, str(unknown("", value, map(str, action.choices))))

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, but for an unknown option the error names the closest known one."""
        parsed, rest = self.parse_known_args(args, namespace)
        if rest:
            used = self.commands.get(getattr(parsed, "command", ""), self)
            flag = next((word for word in rest if word.startswith("-")), rest[0])
            known = [option for option in used._option_string_actions if option.startswith("--")]
            used.error(str(unknown("argument", flag.split("=")[0], known)))
        return parsed


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = make_parser()
    args = parser.parse_args(argv)
    func: Callable[[argparse.Namespace], int] | None = getattr(args, "func", None)
    if func is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        status = func(args)
        sys.stdout.flush()
        return status
    except TconvError as fault:
        return _fault(args, str(fault))
    except ModuleNotFoundError as fault:
        return _fault(args, f"needs {fault.name}, which is not installed: pip install 'tconv[all]'")
    except BrokenPipeError:
        # The reader of stdout has gone (head, less). That is not an error, but the interpreter's last flush
        # must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as fault:
        return _fault(args, str(fault))
    except (MemoryError, RuntimeError) as fault:
        # PyTorch has no exception class for it on a CPU.
        if isinstance(fault, RuntimeError) and "can't allocate memory" not in str(fault):
            raise
        amount = str(fault).partition("you tried to allocate ")[2].partition(".")[0]
        return _fault(args, f"not enough memory{amount and ' for '}{amount}; a smaller problem would fit")
    except KeyboardInterrupt:
        return 130


def make_parser() -> Parser:
    """The parser of the whole command line; its ``commands`` holds one parser per command."""
    parser = Parser(
        prog="tconv",
        description=HEAD,
    )
    parser.add_argument(
        "--version",
        action=_Version,
        nargs=0,
        help="print the version, the instruction sets in use and the number of threads",
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name in MODULES:
        importlib.import_module(name).add_parser(subparsers)
    parser.commands = dict(subparsers.choices)
    for name, command in parser.commands.items():
        command.set_defaults(command=name)
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        import platform

        import tconv
        from tconv.planning import isas
        from tconv.planning.tuning_file import place, tuned

        print(
            f"tconv {tconv.__version__} ({platform.machine()}, instruction sets {', '.join(isas())};"
            f" {tconv.get_num_threads()} threads)"
        )
        if tuned().why:
            print(f"results of tconv tune are ignored: {clean(place(), 300)}: {tuned().why}")
        parser.exit()


def _help_format(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=28)


def _fault(args: argparse.Namespace, message: str) -> int:
    print(f"tconv {args.command}: {clean(message, _LONGEST)}", file=sys.stderr)
    return 2
