"""Whether a forward always computes what its trace shows.

torch.fx runs a forward once, with proxies for tensors. What it decides without looking at a tensor (an
option that is None, a flag, `with torch.no_grad():`) is frozen in the trace or lost. Here its source is read:
a forward is accepted if it is a straight line over its arguments, its submodules and PyTorch's functions.
Numbers that it reads from its module or from globals are recorded, and compared at each call.

Graphs of torch.export or TorchDynamo do not say the same: they accept a branch, a changed attribute or a
random number, hold for the shapes of one example, show operators instead of modules, and cost a hundred
times more.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from copy import deepcopy
from types import FunctionType, MethodType, ModuleType
from typing import Any

from torch import Tensor, nn

from tconv.torch.accelerate.conditions import Unknown, evaluated, is_constant

__all__ = ["Reading", "read"]

_CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.Sequential)
_BUILTINS = frozenset(("enumerate", "float", "int", "len", "list", "range", "reversed", "tuple", "zip"))
_REFUSED: dict[tuple[type[ast.AST], ...], str] = {
    (ast.With,): "a with block",
    (ast.Try, ast.TryStar): "a try block",
    (ast.Match,): "a match",
    (ast.ClassDef,): "a class in it",
    (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda): "a function in it",
    (ast.While,): "a while loop",
    (ast.Raise,): "a raise",
    (ast.Assert,): "an assert",
    (ast.Global,): "a global statement",
    (ast.Yield, ast.YieldFrom): "a yield",
    (ast.NamedExpr,): "a := in it",
    (ast.Import, ast.ImportFrom): "an import",
}


class Reading:
    """What a forward reads besides tensors, with the values during the trace."""

    def __init__(self) -> None:
        """It starts empty."""
        self.attributes: list[tuple[Any, str, Any]] = []  #: of modules and of what they contain
        self.globals: list[tuple[dict[str, Any], str, Any]] = []
        self.outside: list[tuple[Any, str, Any]] = []  #: attributes of global objects
        self.containers: list[tuple[nn.Module, list[tuple[str, Any]]]] = []  #: with their members

    def __deepcopy__(self, memo: dict[int, Any]) -> Reading:
        """A copy for the copied modules, with the same globals."""
        made = Reading()
        made.attributes, made.globals = deepcopy(self.attributes, memo), self.globals
        made.containers, made.outside = deepcopy(self.containers, memo), self.outside
        return made

    def holds(self) -> bool:
        """Whether everything still has the value of the trace."""
        return (
            all(_same(getattr(holder, name, None), value) for holder, name, value in self.attributes)
            and all(_same(getattr(holder, name, None), value) for holder, name, value in self.outside)
            and all(_same(names.get(name), value) for names, name, value in self.globals)
            and all(list(holder._modules.items()) == members for holder, members in self.containers)
        )


class _No(Exception):
    """Why the forward is not accepted."""


def read(module: nn.Module) -> Reading | str:
    """What the forward of `module` depends on, or a phrase that says why a trace may be incomplete."""
    found = Reading()
    try:
        found.attributes.append((type(module), "forward", type(module).forward))
        _function(module, type(module).forward, found, set(), bound=True)
    except _No as no:
        return str(no)
    return found


def _same(now: Any, then: Any) -> bool:
    """Whether it is the same object, or a constant of the same type and value."""
    return now is then or (type(now) is type(then) and is_constant(then) and bool(now == then))


def _function(module: nn.Module, function: Any, found: Reading, seen: set[Any], bound: bool) -> None:
    function = inspect.unwrap(function)
    if not isinstance(function, FunctionType):
        raise _No(f"{type(module).__name__}.forward is not written in Python")
    if function in seen:
        return
    seen.add(function)
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, TypeError, SyntaxError):
        raise _No(f"the source of {function.__qualname__} is not available") from None
    if not isinstance(tree, ast.FunctionDef) or function.__closure__:
        raise _No(f"{function.__qualname__} is not a plain function")
    if tree.decorator_list:
        raise _No(
            f"{function.__qualname__} is decorated; "
            "with torch.no_grad() or the like around the call it can be read"
        )
    if tree.args.vararg or tree.args.kwarg:
        raise _No(f"{function.__qualname__} takes any number of arguments")
    _Body(module, function, tree, found, seen, bound).check()


class _Body:
    """One function whose source is read."""

    def __init__(
        self,
        module: nn.Module,
        function: FunctionType,
        tree: ast.FunctionDef,
        found: Reading,
        seen: set[Any],
        bound: bool,
    ) -> None:
        self.module, self.function, self.tree, self.found, self.seen = module, function, tree, found, seen
        names = [
            argument.arg for argument in (*tree.args.posonlyargs, *tree.args.args, *tree.args.kwonlyargs)
        ]
        self.itself = names[0] if bound and names else None
        stored = (node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not _is_load(node))
        self.local = {*names, *stored}

    def no(self, node: ast.AST, what: str) -> _No:
        first = self.function.__code__.co_firstlineno
        line = first + getattr(node, "lineno", 1) - 1
        return _No(f"{self.function.__qualname__} has {what} (line {line}), of which a trace shows one way")

    def check(self) -> None:
        inside = [node for statement in self.tree.body for node in self.live(statement)]
        for node in inside:
            self.statement(node)
        for owner in _owners(inside):
            self.reference(owner)

    def live(self, node: ast.AST) -> Iterator[ast.AST]:
        """The node and what is inside it, without arms that are not taken as long as the reading holds."""
        yield node
        children: list[ast.AST] = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.If | ast.IfExp) and self.settled(node.test):
            try:
                taken = node.body if evaluated(node.test, self.module, self.itself) else node.orelse
            except Unknown:
                pass
            else:
                children = [node.test, *(taken if isinstance(taken, list) else [taken])]
        for child in children:
            yield from self.live(child)

    def statement(self, node: ast.AST) -> None:
        for kinds, what in _REFUSED.items():
            if isinstance(node, kinds):
                raise self.no(node, what)
        if isinstance(node, ast.If | ast.IfExp) and not self.settled(node.test):
            raise self.no(node, "a branch")
        if isinstance(node, ast.comprehension) and not all(map(self.settled, node.ifs)):
            raise self.no(node.target, "a branch")
        if isinstance(node, ast.BoolOp) and not self.settled(node):
            raise self.no(node, f"{'and' if isinstance(node.op, ast.And) else 'or'}")
        if isinstance(node, ast.Attribute) and not _is_load(node):
            raise self.no(node, f"a change of .{node.attr}")
        if isinstance(node, ast.Call) and not (node.args or node.keywords) and self.is_outside(node.func):
            raise self.no(node, "a call without arguments")
        if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):
            raise self.no(node, "a call whose result is not used")

    def is_outside(self, node: ast.expr) -> bool:
        """Whether a name, or an attribute of one, refers to something outside the function and its module."""
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and node.id not in self.local

    def settled(self, test: ast.expr) -> bool:
        """Whether a condition depends only on constants and numbers of the module."""
        for node in ast.walk(test):
            if isinstance(node, ast.Call | ast.Subscript):
                return False
            if isinstance(node, ast.Name) and node.id in self.local and node.id != self.itself:
                return False
        return True

    def reference(self, node: ast.Name | ast.Attribute) -> None:
        """Check the object of a name outside of the function, or of a chain of attributes from it."""
        parts: list[str] = []
        at: ast.expr = node
        while isinstance(at, ast.Attribute):
            parts.insert(0, at.attr)
            at = at.value
        if isinstance(at, ast.Subscript) or (
            isinstance(at, ast.Name) and at.id in self.local - {self.itself}
        ):
            # It may be a module, whose numbers a trace freezes.
            if parts and not any(hasattr(kind, parts[0]) for kind in (Tensor, list, dict)):
                raise self.no(node, f".{parts[0]} of something local")
            return
        if not isinstance(at, ast.Name):
            return  # an attribute of what was computed
        if at.id == self.itself:
            self.follow(node, self.module, parts, self.found.attributes)
        elif at.id not in self.local:
            names = self.function.__globals__
            if at.id not in names:
                if at.id not in _BUILTINS:
                    raise self.no(node, f"{at.id} in it")
                return
            value = names[at.id]
            if isinstance(value, Tensor):
                raise self.no(node, f"a tensor, {at.id}, that is not a buffer")
            self.found.globals.append((names, at.id, value))
            if not is_constant(value):
                self.follow(node, value, parts, self.found.outside)

    def follow(self, node: ast.AST, value: Any, parts: list[str], noted: list[tuple[Any, str, Any]]) -> None:
        """Follow `parts` from `value`; what may change until the next call is recorded."""
        for left, part in enumerate(parts, 1 - len(parts)):
            holder, value = value, getattr(value, part, None)
            if is_constant(value) or isinstance(value, nn.Module) or (left and not _of_torch(value)):
                noted.append((holder, part, value))
            if isinstance(value, _CONTAINERS):  # a trace has unrolled loops over them
                inner = (each for each in value.modules() if isinstance(each, _CONTAINERS))
                self.found.containers += [(each, list(each._modules.items())) for each in inner]
            if isinstance(value, Tensor):
                if part in vars(holder):  # neither parameter nor buffer: a trace makes it a constant
                    raise self.no(node, f"a tensor, {part}, that is not a buffer")
                return
            if is_constant(value):
                return
            if isinstance(holder, _CONTAINERS) and callable(value):
                return  # .items() and the like
        if isinstance(value, MethodType) and value.__self__ is self.module:
            _function(self.module, value.__func__, self.found, self.seen, bound=True)
        elif isinstance(value, FunctionType) and not _of_torch(value):
            _function(self.module, value, self.found, self.seen, bound=False)
        elif not (isinstance(value, nn.Module | ModuleType) or _of_torch(value) or is_constant(value)):
            raise self.no(node, f"{'.'.join(parts) or type(value).__name__} in it")


def _of_torch(value: Any) -> bool:
    home = str(getattr(value, "__module__", None) or getattr(type(value), "__module__", ""))
    return home.split(".")[0] in ("torch", "tconv", "math", "_operator")


def _is_load(node: ast.Name | ast.Attribute) -> bool:
    return isinstance(node.ctx, ast.Load)


def _owners(nodes: list[ast.AST]) -> Iterator[ast.Name | ast.Attribute]:
    """Every name that is read, with all attributes after it."""
    inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
        if isinstance(node, ast.Name | ast.Attribute) and id(node) not in inner and _is_load(node):
            yield node
