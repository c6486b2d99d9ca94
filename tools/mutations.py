"""Small changes of a Python source that its tests should notice: one at a time, each as a whole text.

After R. DeMillo, R. Lipton and F. Sayward, "Hints on test data selection" (Computer 11, 1978). Changed are comparisons, arithmetic,
conditions, filters, numbers, truth values, order (`reversed`, `sorted`), jumps, and calls made for their effect; not strings,
annotations, decorators, docstrings, `strict=` of zip, and limits.

    >>> [m.after for m in mutations("def f(a):\\n    return a + 1\\n")]
    ['a - 1', '2']
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

PLAIN = (ast.Compare, ast.UnaryOp, ast.BoolOp, ast.Constant)
"""Conditions that are changed by themselves, so that they need not be turned round."""
LIMIT = 10
"""From here on a number of a module is a limit of effort, digits or entries, where one more is as right as none more: that it holds
is tested with a small one in its place."""
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.BitXor: ast.BitOr,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutation:
    """``text`` is the whole source with ``before`` replaced by ``after`` on ``line`` of ``function`` (dotted, or ``module``)."""

    line: int
    function: str
    before: str
    after: str
    text: str


def mutations(source: str) -> list[Mutation]:
    """All changes, in the order of the text."""
    lines = [line.encode() for line in source.splitlines(keepends=True)]
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    data = source.encode()
    found: list[Mutation] = []
    for function, node, after in _changes(ast.parse(source)):
        first = starts[node.lineno - 1] + node.col_offset
        last = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        new = f"({after})" if isinstance(node, ast.expr) else after
        text = (data[:first] + new.encode() + data[last:]).decode()
        found.append(Mutation(node.lineno, function, ast.unparse(node), after, text))
    return sorted(found, key=lambda m: m.line)


Change = tuple[str, ast.expr | ast.stmt, str]


def _changes(tree: ast.Module) -> Iterator[Change]:
    """What could be changed: the function, the node, its new text."""
    pending: list[tuple[str, ast.AST]] = [("", child) for child in _bodies(tree)]
    while pending:
        path, node = pending.pop()
        name = path or "module"
        match node:
            case ast.FunctionDef() | ast.ClassDef():
                path = f"{path}.{node.name}".lstrip(".")
            case ast.JoinedStr():
                continue  # the nodes within have no places of their own
            case ast.Constant(value=int(value)) if not path and value >= LIMIT:
                continue
            case ast.keyword(arg="strict"):
                continue  # zip(strict=True) asserts: what it says holds in every right program
            case ast.comprehension(ifs=tests):
                yield from ((name, test, "True") for test in tests)
            case ast.If(test=test) | ast.While(test=test) if not isinstance(test, PLAIN):
                yield name, test, f"not ({ast.unparse(test)})"
            case ast.expr() | ast.stmt():
                yield from ((name, node, text) for text in _texts(node))
        pending.extend((path, child) for child in _bodies(node))


def _bodies(node: ast.AST) -> Iterator[ast.AST]:
    """The children that are computed: no annotations, decorators, docstrings, and nothing that is there for type checkers only."""
    match node:
        case ast.FunctionDef():
            yield from (default for default in (*node.args.defaults, *node.args.kw_defaults) if default is not None)
            yield from node.body
        case ast.ClassDef():
            yield from node.body
        case ast.AnnAssign(value=ast.expr() as value):
            yield value
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.AnnAssign():
            return
        case _:
            yield from ast.iter_child_nodes(node)


def _texts(node: ast.expr | ast.stmt) -> Iterator[str]:
    """The new texts of one node."""
    match node:
        case ast.Compare(ops=ops):
            for k, op in enumerate(ops):
                yield _with(node, ops=[*ops[:k], COMPARISONS[type(op)](), *ops[k + 1 :]])
        case ast.BinOp(op=op) if type(op) in ARITHMETIC and not _text_like(node):
            yield _with(node, op=ARITHMETIC[type(op)]())
        case ast.BoolOp(op=op):
            yield _with(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield ast.unparse(operand)
        case ast.Constant(value=bool(value)):
            yield str(not value)
        case ast.Constant(value=int(value)):
            yield str(value + 1)
        case ast.Constant(value=float(value)):
            yield repr(2 * value + 1)
        case ast.IfExp(test=test):
            yield _with(node, test=ast.UnaryOp(ast.Not(), test))
        case ast.Call(func=ast.Name(id="reversed" | "sorted"), args=[argument, *_]):
            yield f"list({ast.unparse(argument)})"
        case ast.Call(func=ast.Name(id="min" | "max" | "any" | "all" as name)):
            other = {"min": "max", "max": "min", "any": "all", "all": "any"}[name]
            yield _with(node, func=ast.Name(other))
        case ast.Expr(value=ast.Call()):
            yield "pass"
        case ast.Continue():
            yield "break"
        case ast.Break():
            yield "continue"
        case ast.AugAssign(op=op) if type(op) in ARITHMETIC:
            yield _with(node, op=ARITHMETIC[type(op)]())


def _text_like(node: ast.BinOp) -> bool:
    """Text is not changed."""
    return any(isinstance(n, ast.JoinedStr) or (isinstance(n, ast.Constant) and isinstance(n.value, str)) for n in ast.walk(node))


def _with(node: ast.expr | ast.stmt, **fields: object) -> str:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return ast.unparse(ast.fix_missing_locations(changed))
