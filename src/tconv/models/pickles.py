"""A look at the pickles of a file before PyTorch reads them: would hashing a tuple of it ever end?

PyTorch's reader makes nothing but tensors and plain containers, but it uses what the pickle says as keys of
dictionaries. A tuple that holds a tuple twice, which again holds one twice, and so on, is short in the file.
Its hash visits all of it: 2^40 steps for 40 lines.
"""

from __future__ import annotations

import pickletools
from typing import IO

__all__ = ["check_pickles"]

_MOST = 1_000_000  # values in a tuple, each counted as often as it occurs
_IN_A_ROW = 5  # pickles in a file of PyTorch before 1.6
_MARK = -1


def check_pickles(file: IO[bytes]) -> None:
    """Check the pickles that follow each other in a file, as many as are complete.

    Raises:
        ValueError: a tuple with too many values, or what is no pickle.
    """
    for _ in range(_IN_A_ROW):
        try:
            if not _counted(file):
                return
        except ValueError as fault:
            if "tuple" in str(fault):
                raise
            return  # raw bytes follow, or PyTorch's reader says what is wrong


def _counted(file: IO[bytes]) -> int:
    """Follow one pickle with the number of values of each object in its place; how many opcodes it has."""
    stack: list[int] = []
    memo: dict[object, int] = {}
    count = 0
    for count, (opcode, argument, _) in enumerate(pickletools.genops(file), 1):  # noqa: B007
        name = opcode.name
        if "PUT" in name or name == "MEMOIZE":
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1] if stack else 1
            continue
        if "GET" in name:
            stack.append(memo.get(argument, 1))
            continue
        if name == "DUP":
            stack.append(stack[-1] if stack else 1)
            continue
        taken = _taken(stack, opcode)
        if name.startswith("TUPLE") or name == "EMPTY_TUPLE":
            whole = 1 + sum(taken)
            if whole > _MOST:
                raise ValueError(f"a tuple in it stands for more than {_MOST:,} values")
            stack.append(whole)
        else:
            stack += [_MARK if each is pickletools.markobject else 1 for each in opcode.stack_after]
    return count


def _taken(stack: list[int], opcode: pickletools.OpcodeInfo) -> list[int]:
    """Take what an opcode takes from the stack."""
    before = opcode.stack_before
    if pickletools.markobject not in before:
        first = max(0, len(stack) - len(before))
        taken, stack[first:] = stack[first:], []
        return taken
    taken = []
    while stack and (top := stack.pop()) != _MARK:
        taken.append(top)
    for _ in range(before.index(pickletools.markobject)):
        if stack:
            stack.pop()
    return taken
