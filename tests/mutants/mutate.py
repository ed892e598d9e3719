"""Small faults for a module's source: each one a tree to compile, its line and what it changes."""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Lt: ast.LtE, ast.LtE: ast.Lt,
    ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}  # fmt: skip
#: a condition of these kinds is changed by itself
JUDGED = (ast.Compare, ast.BoolOp, ast.UnaryOp)
#: what only words a sentence or a log is left alone
WORDS = {"_", "gettext", "gettext_lazy", "format_lazy", "warning", "info", "debug"}


@dataclass(frozen=True)
class Mutant:
    line: int
    what: str
    function: str  # qualified, as code objects name it; "" at the module's own level
    tree: ast.Module


def mutants(source: str) -> Iterator[Mutant]:
    """Yield every mutant of a source."""
    tree = ast.parse(source)
    for number, (node, function) in enumerate(_places(tree, "")):
        for changed in _variants(node):
            other = copy.deepcopy(tree)
            place = list(_places(other, ""))[number][0]
            _Put(place, changed).visit(other)
            what = f"{_said(node)}  ->  {_said(changed)}"
            yield Mutant(node.lineno, what, function, ast.fix_missing_locations(other))


def _said(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())[:70]


def _places(node: ast.AST, function: str) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Walk what may be changed, with the innermost function it is in."""
    if (
        isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", "")) in WORDS
    ):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, ast.ClassDef) and any("Enum" in _said(base) for base in node.bases):
        return  # the names of its members are what is tested
    if isinstance(node, ast.expr | ast.stmt):
        yield node, function
    inside, skipped = function, ()
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        local = f"{function}." if function else ""
        name = f"{local}{node.name}"
        inside = f"{name}.<locals>" if isinstance(node, ast.FunctionDef) else name
        skipped = (*node.decorator_list, getattr(node, "returns", None))
    for child in ast.iter_child_nodes(node):
        if child not in skipped and not isinstance(child, ast.arguments):
            yield from _places(child, inside)


def _variants(node: ast.AST) -> Iterator[ast.AST]:
    yield from _other_values(node)
    yield from _other_ways(node)


def _other_values(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(ops=[op]) if type(op) in SWAPS:
            yield ast.Compare(node.left, [SWAPS[type(op)]()], node.comparators)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(SWAPS[type(op)](), values)
            for rest in _without_one(values):
                yield rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.BinOp(left, op, right) if type(op) in SWAPS:
            yield ast.BinOp(left, SWAPS[type(op)](), right)
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(str() as value) if value:
            yield ast.Constant(f"{value}X")
        case ast.Set(elts) if len(elts) > 1:
            yield from (ast.Set(rest) for rest in _without_one(elts))
        case ast.Tuple(elts, ast.Load()) if len(elts) > 1:
            yield from (ast.Tuple(rest, ast.Load()) for rest in _without_one(elts))


def _other_ways(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.Attribute(ast.Name("State" | "Right" | "Role" | "Call"), name) if name.isupper():
            yield ast.Constant(f"not {name}")
        case ast.If(test, body, orelse) if not isinstance(test, JUDGED):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.IfExp(test, body, orelse):
            yield ast.IfExp(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Return(value) if value is not None and not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(ast.Call()) | ast.AugAssign() | ast.Raise():
            yield ast.Pass()


def _without_one(parts: list[ast.expr]) -> Iterator[list[ast.expr]]:
    for n in range(len(parts)):
        yield parts[:n] + parts[n + 1 :]


class _Put(ast.NodeTransformer):
    def __init__(self, place: ast.AST, new: ast.AST) -> None:
        self.place, self.new = place, copy.deepcopy(new)

    def visit(self, node: ast.AST) -> ast.AST:
        return ast.copy_location(self.new, node) if node is self.place else self.generic_visit(node)
