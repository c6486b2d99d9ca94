"""A whole program as a source text, every definition in one notation: what the compiler read, not what was typed.

    dim N, D
    input X : N, D
    param w : D
    r = (X_ij w_j | i)
    J = (r_i r_i | )
    gradient J wrt w
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from bracketc.calculus.derivatives import expand_derivatives
from bracketc.emit.formulas import Equation, equations, names_of, taken_names, typeset
from bracketc.emit.notation import FormName, StyleName, notation
from bracketc.ir.nodes import Literal, Node, Project, Tensor
from bracketc.ir.passes import over_program
from bracketc.ir.program import Program, Request
from bracketc.ir.rewrite import topological

_MEMBER = re.compile(r"([^\W_]+'*)\[(\d+)\]")


def program_equations(program: Program, style: StyleName = "unicode", form: FormName = "auto") -> tuple[Equation, ...]:
    """Every definition as formulas, in an order in which each uses only those above it."""
    program = over_program(program, expand_derivatives)
    names = _names(program)
    place = {node: number for number, node in enumerate(topological(node for _, node in program.definitions))}
    defined = [(name, node) for node, name in names.items() if node in place and not isinstance(node, Tensor | Literal)]
    defined.sort(key=lambda pair: place[pair[1]])
    known = {name for name, _ in defined}
    aliases = [(own, node) for name, node in program.definitions if (own := _member(name)) not in known]
    spelling = notation(style)
    roots = [(spelling.name(name).text, node) for name, node in [*defined, *aliases]]
    return equations(roots, names, style, form, taken_names(program))


def program_text(program: Program, style: StyleName = "unicode", form: FormName = "auto") -> str:
    """The program as a source file; in LaTeX its definitions alone."""
    found = program_equations(program, style, form)
    if style not in ("unicode", "ascii"):
        return typeset(found, style)
    spelling = notation(style)
    lines = [*_declarations(program), ""]
    lines += [spelling.equation(e.left, e.right, e.condition) for e in found]
    lines += ["", f"output {', '.join(_member(name) for name, _ in program.results)}"]
    lines += map(_request, program.requests)
    return "\n".join(lines) + "\n"


def _member(name: str) -> str:
    """``Z[2]``, a member of a family, as a name of its own."""
    found = _MEMBER.fullmatch(name)
    return name if found is None else found[1] + found[2]


def _names(program: Program) -> dict[Node, str]:
    """Names that definitions of their own can have: those of arguments, constants, definitions and, once, local ones."""
    members = {name: _member(name) for name, _ in program.definitions}
    taken = {tensor.name for tensor in program.arguments} | {name for name, _ in program.definitions}
    below = set(topological(node for _, node in program.definitions))
    names: dict[Node, str] = {}
    seen: set[str] = set()
    for node, name in names_of(program).items():
        if isinstance(node, Tensor):
            if not node.name.startswith("%"):
                names[node] = name
        elif name in members:
            names[node] = members[name]
        elif isinstance(node, Literal):
            names[node] = name
        elif node in below and "[" not in name and name not in taken and name not in seen and not isinstance(node, Project):
            names[node] = name
            seen.add(name)
    return names


def _declarations(program: Program) -> Iterable[str]:
    for size in program.sizes:
        value = "" if size.value is None else f" = {size.value}"
        yield f"dim {size.name}{value}" + ("" if size.hint is None else f" ~ {size.hint}")
    for tensor in program.arguments:
        dims = ", ".join(map(str, tensor.shape)) or "scalar"
        traits = f"integer in {tensor.bound}" if tensor.dtype == "integer" else " ".join(tensor.traits)
        yield f"{program.kinds[tensor.name]} {tensor.name} : {dims}  {traits}".rstrip()
    for name, value in _constants(program).items():
        yield f"const {name} = {value}"


def _constants(program: Program) -> Mapping[str, str]:
    spelling = notation("ascii")
    return {
        name: spelling.number(node.value).text
        for node, name in _names(program).items()
        if isinstance(node, Literal)
    }


def _request(request: Request) -> str:
    text = f"{request.kind} {_member(request.output)} wrt {', '.join(map(_member, request.wrt))}"
    if request.layout:
        text += f" layout {request.layout}"
    return text + (f" as {request.name}" if request.name else "")



