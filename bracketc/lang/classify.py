"""Which functions of a file are scalar functions, applied element by element, and which take tensors."""

from __future__ import annotations

from bracketc.lang import syntax, words
from bracketc.lang.builtins import ARITY
from bracketc.lang.declarations import Declarations
from bracketc.lang.scope import Scope
from bracketc.lang.values import FunctionValue

SCALAR = (
    syntax.Number,
    syntax.Name,
    syntax.Paren,
    syntax.FormalProduct,
    syntax.Elementwise,
    syntax.Sum,
    syntax.Power,
    syntax.Call,
    syntax.Operator,
    syntax.Where,
    syntax.Comparison,
    syntax.Stop,
)
"""What the body of a scalar function is made of."""


def bind_functions(declarations: Declarations, scope: Scope) -> None:
    """Bind the functions of a file.

    With no rank given and nothing in its body but numbers, spaces, ``+ - ⊙ / **`` and element-wise functions it is a
    scalar function; with anything else an argument without a rank is a vector.
    """
    scalar: dict[str, bool] = {}
    uses: dict[str, list[str]] = {}
    for name, function in declarations.functions.items():
        own = all(parameter.rank is None for parameter in function.parameters)
        bodies = (function.body, *(binding.value for binding in function.where))
        calls: list[str] = []
        scalar[name] = own and all(_scalar(body, declarations, calls) for body in bodies)
        for called in calls:
            uses.setdefault(called, []).append(name)
    pending = [name for name, is_scalar in scalar.items() if not is_scalar]
    while pending:  # a function that calls a function of tensors is one
        for caller in uses.get(pending.pop(), ()):
            if scalar[caller]:
                scalar[caller] = False
                pending.append(caller)
    for name, function in declarations.functions.items():
        ranks = tuple(1 if parameter.rank is None else parameter.rank for parameter in function.parameters)
        scope.bindings[name] = FunctionValue(function, scalar[name], ranks)


def _scalar(body: syntax.Expr, declarations: Declarations, calls: list[str]) -> bool:
    for node in syntax.walk(body):
        if not isinstance(node, SCALAR):
            return False
        if isinstance(node, syntax.Operator) and not node.plain:
            return False
        if isinstance(node, syntax.Call):
            name = node.function.base
            if node.positions is not None:
                return False
            if name in declarations.functions:
                calls.append(name)
            elif name in words.TENSOR_FUNCTIONS and not (
                name in words.ELEMENTWISE and len(node.arguments) == ARITY.get(name, 1)
            ):
                return False
    return True
