"""Schedules written by hand, one for each kind of step and view that the C backend distinguishes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bracketc.ir.dims import Dim
from bracketc.plan.schedule import (
    Access,
    Buffer,
    Carry,
    Contract,
    Gather,
    Instruction,
    Join,
    Loop,
    Map,
    Place,
    Product,
    Scatter,
    Schedule,
    Step,
    Store,
    Take,
    Variant,
)

N, D, H, T = (Dim.named(name) for name in "NDHT")
LOAD = Instruction("load", operand=0)
LOAD1 = Instruction("load", operand=1)
ACCUMULATOR = Instruction("accumulator")


# schedules
def schedule(arguments: list[Buffer], results: list[Buffer], *steps: Step) -> Schedule:
    named = tuple((b.name, b) for b in results)
    return Schedule("evaluate", tuple(arguments), (), named, (Variant((), steps),), Dim.of(0), Dim.of(0))


def dense_layer() -> Schedule:
    """tanh(2 X W + b), and its derivative stored beside it by the same epilogue."""
    x, w, b = Buffer("X", (N, D)), Buffer("W", (D, H)), Buffer("b", (H,))
    z, slope = Buffer("Z", (N, H)), Buffer("S", (N, H))
    program = (
        ACCUMULATOR,
        LOAD,
        Instruction("add", (0, 1)),
        Instruction("call", (2,), function="tanh"),
        Instruction("square", (3,)),
        Instruction("constant", number=1.0),
        Instruction("subtract", (5, 4)),
    )
    product = Product(2.0, Access(x, (0, 2)), Access(w, (2, 1)))
    stores = (Store(z, (0, 1), 3), Store(slope, (0, 1), 6))
    return schedule([x, w, b], [z, slope], Contract((product,), (0, 1), (Access(b, (1,)),), program, stores, (N, H, D)))


def dense_layer_of_columns() -> Schedule:
    """The same tile with an operand along rows, one that is transposed, sizes as numbers, and a condition."""
    x, w, r, m = Buffer("X", (D, N)), Buffer("W", (H, D)), Buffer("r", (N,)), Buffer("M", (H, N))
    z = Buffer("Z", (N, H))
    program = (
        ACCUMULATOR,
        LOAD,
        LOAD1,
        Instruction("compare", (0, 1), function="<"),
        Instruction("size", dim=N * 2 + 1),
        Instruction("divide", (0, 4)),
        Instruction("select", (3, 2, 5)),
    )
    product = Product(1.0, Access(x, (2, 0)), Access(w, (1, 2)))
    operands = (Access(r, (0,)), Access(m, (1, 0)))
    step = Contract((product,), (0, 1), operands, program, (Store(z, (0, 1), 6),), (N, H, D))
    return schedule([x, w, r, m], [z], step)


def two_products() -> Schedule:
    """Z W + X U in one tile, the result transposed."""
    z, w, x, u = Buffer("Z", (N, H)), Buffer("W", (H, T)), Buffer("X", (N, D)), Buffer("U", (D, T))
    out = Buffer("O", (T, N))
    products = (
        Product(1.0, Access(z, (1, 2)), Access(w, (2, 0))),
        Product(-0.5, Access(x, (1, 3)), Access(u, (3, 0))),
    )
    step = Contract(products, (0, 1), (), (ACCUMULATOR,), (Store(out, (0, 1), 0),), (T, N, H, D))
    return schedule([z, w, x, u], [out], step)


def summed(stored: bool) -> Schedule:
    """tanh(X W) + b, its sums over rows, over columns and over both, with the tile or without."""
    x, w, b, z = Buffer("X", (N, D)), Buffer("W", (D, H)), Buffer("b", (H,)), Buffer("Z", (N, H))
    rows, columns, total, squares = Buffer("c", (H,)), Buffer("r", (N,)), Buffer("J", ()), Buffer("q", (H,))
    program = (
        ACCUMULATOR,
        Instruction("call", (0,), function="tanh"),
        LOAD,
        Instruction("add", (1, 2)),
        Instruction("square", (3,)),
    )
    stores = [Store(rows, (1,), 3, "sum"), Store(columns, (0,), 4, "sum"), Store(total, (), 4, "sum")]
    stores = [Store(z, (0, 1), 3), *stores] if stored else [*stores, Store(squares, (1,), 0, "sum")]
    product = Product(0.5, Access(x, (0, 2)), Access(w, (2, 1)))
    step = Contract((product,), (0, 1), (Access(b, (1,)),), program, tuple(stores), (N, H, D))
    return schedule([x, w, b], [store.target for store in stores], step)


def masked_rows() -> Schedule:
    """Scores of each t, below the diagonal and on it, shifted there, with their sums along each row."""
    a, b, z, r = Buffer("A", (T, N, D)), Buffer("B", (T, H, D)), Buffer("Z", (T, N, H)), Buffer("r", (T, N))
    program = (
        ACCUMULATOR,
        Instruction("index", label=1),
        Instruction("index", label=2),
        Instruction("compare", (2, 1), function="<="),
        Instruction("constant", number=-2),
        Instruction("delta", label=1, label2=2),
        Instruction("add", (0, 5)),
        Instruction("select", (3, 6, 4)),
    )
    stores = (Store(z, (0, 1, 2), 7), Store(r, (0, 1), 7, "sum"))
    product = Product(1, Access(a, (0, 1, 3)), Access(b, (0, 2, 3)))
    return schedule([a, b], [z, r], Contract((product,), (0, 1, 2), (), program, stores, (T, N, H, D)))


def batched(output: tuple[int, ...]) -> Schedule:
    extents = (N, D, H, T)
    a, b = Buffer("A", (T, N, D)), Buffer("B", (H, N, T))
    c = Buffer("C", tuple(extents[x] for x in output))
    product = Product(1.0, Access(a, (3, 0, 1)), Access(b, (2, 0, 3)))
    return schedule([a, b], [c], Contract((product,), output, (), (ACCUMULATOR,), (Store(c, output, 0),), extents))


def groups_without_one_stride() -> Schedule:
    """(A_{i p j q} B_{k q l p} | j k l i): every group of labels needs a table."""
    extents = (N, D, H, T, Dim.of(3), Dim.of(2))
    i, j, k, m, p, q = range(6)
    a = Buffer("A", tuple(extents[x] for x in (i, p, j, q)))
    b = Buffer("B", tuple(extents[x] for x in (k, q, m, p)))
    output = (j, k, m, i)
    c = Buffer("C", tuple(extents[x] for x in output))
    product = Product(1.0, Access(a, (i, p, j, q)), Access(b, (k, q, m, p)))
    return schedule([a, b], [c], Contract((product,), output, (), (ACCUMULATOR,), (Store(c, output, 0),), extents))


def vectors() -> Schedule:
    """Matrix-vector products both ways, an outer product and a dot product."""
    a, x, y = Buffer("A", (N, D)), Buffer("x", (D,)), Buffer("y", (N,))
    ax, ya, yx, s = Buffer("Ax", (N,)), Buffer("yA", (D,)), Buffer("yx", (N, D)), Buffer("s", ())
    return schedule(
        [a, x, y],
        [ax, ya, yx, s],
        Contract(
            (Product(1.0, Access(a, (0, 1)), Access(x, (1,))),), (0,), (), (ACCUMULATOR,), (Store(ax, (0,), 0),), (N, D)
        ),
        Contract(
            (Product(1.0, Access(y, (1,)), Access(a, (1, 0))),), (0,), (), (ACCUMULATOR,), (Store(ya, (0,), 0),), (D, N)
        ),
        Contract(
            (Product(3.0, Access(y, (0,)), Access(x, (1,))),),
            (0, 1),
            (),
            (ACCUMULATOR,),
            (Store(yx, (0, 1), 0),),
            (N, D),
        ),
        Contract((Product(1.0, Access(ax, (0,)), Access(y, (0,))),), (), (), (ACCUMULATOR,), (Store(s, (), 0),), (N,)),
    )


def diagonals() -> Schedule:
    """A_ii + tr-like strides, δ and labels as numbers."""
    a, x, z, w = Buffer("A", (N, N)), Buffer("x", (N,)), Buffer("z", (N,)), Buffer("W", (N, N))
    first = Map(
        (0,),
        (Access(a, (0, 0)), Access(x, (0,))),
        (LOAD, LOAD1, Instruction("multiply", (0, 1))),
        (Store(z, (0,), 2),),
        (N,),
    )
    program = (
        LOAD,
        Instruction("delta", label=0, label2=1),
        Instruction("index", label=1),
        Instruction("multiply", (1, 2)),
        Instruction("add", (0, 3)),
        Instruction("index", label=0),
        Instruction("subtract", (4, 5)),
    )
    second = Map((0, 1), (Access(a, (1, 0)),), program, (Store(w, (0, 1), 6),), (N, N))
    return schedule([a, x], [z, w], first, second)


def reductions(labels: tuple[int, ...]) -> Schedule:
    """Every way of reducing over ``labels`` of (n, d, h), in one pass."""
    extents = (N, D, H)
    kept = tuple(x for x in range(3) if x not in labels)
    x = Buffer("X", extents)
    results = [Buffer(mode, tuple(extents[k] for k in kept)) for mode in ("sum", "max", "min", "prod")]
    stores = tuple(Store(r, kept, 0 if r.name != "prod" else 3, r.name) for r in results)  # type: ignore[arg-type]
    tenth = Instruction("constant", number=0.1)
    program = (LOAD, tenth, Instruction("multiply", (0, 1)), Instruction("call", (2,), function="exp"))
    step = Map((0, 1, 2), (Access(x, (0, 1, 2)),), program, stores, extents)
    return schedule([x], results, step)


def softmax_rows() -> Schedule:
    """Three passes over rows, with a whole sum beside them."""
    x, m, e, s, p, total = (
        Buffer("X", (N, D)), Buffer("m", (N,)), Buffer("E", (N, D)), Buffer("s", (N,)), Buffer("P", (N, D)),
        Buffer("J", ()),
    )  # fmt: skip
    load2 = Instruction("load", operand=2)
    return schedule(
        [x],
        [m, e, s, p, total],
        Map((0, 1), (Access(x, (0, 1)),), (LOAD,), (Store(m, (0,), 0, "max"),), (N, D)),
        Map(
            (0, 1),
            (Access(x, (0, 1)), Access(m, (0,))),
            (LOAD, LOAD1, Instruction("subtract", (0, 1)), Instruction("call", (2,), function="exp")),
            (Store(e, (0, 1), 3), Store(s, (0,), 3, "sum"), Store(total, (), 3, "sum")),
            (N, D),
        ),
        Map(
            (0, 1),
            (Access(e, (0, 1)), Access(s, (0,)), Access(total, ())),
            (LOAD, LOAD1, load2, Instruction("divide", (0, 1)), Instruction("multiply", (3, 2))),
            (Store(p, (0, 1), 4),),
            (N, D),
        ),
    )


def softmax() -> Schedule:
    """Maximum, exponentials, their sum, a root of it and the division, all by rows."""
    x, m, e, s, q, p = (
        Buffer("X", (N, D)), Buffer("m", (N,)), Buffer("E", (N, D)), Buffer("s", (N,)), Buffer("q", (N,)), Buffer("P", (N, D)),
    )  # fmt: skip
    minus, times = Instruction("subtract", (0, 1)), Instruction("multiply", (0, 1))
    exponential = (LOAD, LOAD1, minus, Instruction("call", (2,), function="exp"))
    return schedule(
        [x],
        [p, q],
        Map((0, 1), (Access(x, (0, 1)),), (LOAD,), (Store(m, (0,), 0, "max"),), (N, D)),
        Map(
            (0, 1), (Access(x, (0, 1)), Access(m, (0,))), exponential,
            (Store(e, (0, 1), 3), Store(s, (0,), 3, "sum")), (N, D),
        ),
        Map((0,), (Access(s, (0,)),), (LOAD, Instruction("power", (0,), number=-0.5)), (Store(q, (0,), 1),), (N,)),
        Map((0, 1), (Access(e, (0, 1)), Access(q, (0,))), (LOAD, LOAD1, times), (Store(p, (0, 1), 2),), (N, D)),
    )  # fmt: skip


def functions() -> Schedule:
    """Every scalar operation of the schedule IR."""
    x, y = Buffer("X", (N, D)), Buffer("Y", (D, N))
    unary = [
        "exp", "log1p", "expm1", "abs", "sign", "step", "sin", "cos", "tan", "atan", "sinh", "cosh", "tanh", "sigmoid",
        "softplus", "relu", "erf", "lgamma", "digamma", "trigamma",
    ]  # fmt: skip
    results, steps = [], []
    for name in unary:
        z = Buffer(f"u_{name}", (N, D))
        program: tuple[Instruction, ...] = (LOAD, Instruction("call", (0,), function=name))
        results.append(z)
        steps.append(Map((0, 1), (Access(x, (0, 1)),), program, (Store(z, (0, 1), 1),), (N, D)))
    for exponent in (2, 3, 4, -1, -2, -3, 0.5, -0.5, 1.5, -1.5, 2.5, 0.3):
        z = Buffer(f"p_{str(exponent).replace('-', 'm').replace('.', '_')}", (N, D))
        program = (LOAD, Instruction("call", (0,), function="abs"), Instruction("power", (1,), number=float(exponent)))
        results.append(z)
        steps.append(Map((0, 1), (Access(x, (0, 1)),), program, (Store(z, (0, 1), 2),), (N, D)))
    for name in ("max", "min", "pow", "<", "<=", ">", ">=", "==", "!="):
        z = Buffer("b_" + "".join(c if c.isalpha() else f"{ord(c)}" for c in name), (N, D))
        last = (
            Instruction("call", (2, 1), function=name)
            if name.isalpha()
            else Instruction("compare", (0, 1), function=name)
        )
        program = (LOAD, LOAD1, Instruction("call", (0,), function="abs"), last)
        results.append(z)
        steps.append(Map((0, 1), (Access(x, (0, 1)), Access(y, (1, 0))), program, (Store(z, (0, 1), 3),), (N, D)))
    z, w = Buffer("clean", (N, D)), Buffer("mixed", (N, D))
    program = (
        LOAD,
        Instruction("call", (0,), function="ln"),
        Instruction("finite_or_zero", (1,)),
        Instruction("negate", (2,)),
        Instruction("compare", (0, 3), function=">"),
        Instruction("constant", number=0.25),
        Instruction("compare", (0, 5), function="<"),
        Instruction("select", (4, 6, 4)),
        Instruction("add", (7, 5)),
    )
    stores = (Store(z, (0, 1), 3), Store(w, (0, 1), 8))
    steps.append(Map((0, 1), (Access(x, (0, 1)),), program, stores, (N, D)))
    return schedule([x, y], [*results, z, w], *steps)


def windows() -> Schedule:
    x, y, z = Buffer("X", (T + 2, D)), Buffer("Y", (T, Dim.of(3), D)), Buffer("Z", (T + 2, D))
    last, flat, flipped = Buffer("last", (D,)), Buffer("F", (N, T)), Buffer("R", (N, T))
    return schedule(
        [x, flat],
        [y, z, last, flipped],
        Take(y, x, 0, Dim.of(0), (1, 1), (T, Dim.of(3))),
        Place(z, y, 0, Dim.of(0), (1, 1)),
        Take(last, x, 0, T + 1, (), ()),
        Take(flipped, flat, 1, T - 1, (-1,), (T,)),
    )


def rows_by_label() -> Schedule:
    table, index = Buffer("E", (D + 1, H)), Buffer("c_i", (N,), "integer")
    rows, back, pair = Buffer("R", (N, H)), Buffer("S", (D + 1, H)), Buffer("P", (Dim.of(2), D + 1, H))
    copy = Buffer("I", (N,), "integer")
    return schedule(
        [table, index],
        [rows, back, pair, copy],
        Gather(rows, table, index),
        Scatter(back, rows, index),
        Join(pair, (table, back)),
        Map((0,), (Access(index, (0,)),), (LOAD,), (Store(copy, (0,), 0),), (N,)),
    )


def recurrence(reverse: bool, stacked: bool) -> Schedule:
    """z_t = tanh(z_{t-1} W) + 2 z_{t-2} + x_t, by one state and one shifted state."""
    x, w, z0, z1 = Buffer("X", (T, H)), Buffer("W", (H, H)), Buffer("z0", (H,)), Buffer("z1", (H,))
    xt, zt, before, before2 = Buffer("x_t", (H,)), Buffer("z_t", (H,)), Buffer("z_prev", (H,)), Buffer("z_prev2", (H,))
    final, stack, slow = Buffer("final", (H,)), Buffer("stack", (T, H)), Buffer("lagged", (T, H))
    two = Instruction("constant", number=2.0)
    program = (
        ACCUMULATOR, LOAD, LOAD1, two, Instruction("multiply", (1, 3)), Instruction("call", (0,), function="tanh"),
        Instruction("add", (4, 2, 5)),
    )  # fmt: skip
    step = Contract(
        (Product(1.0, Access(before, (1,)), Access(w, (1, 0))),),
        (0,),
        (Access(before2, (0,)), Access(xt, (0,))),
        program,
        (Store(zt, (0,), 6),),
        (H, H),
    )
    stacks = ((zt, stack), (before2, slow)) if stacked else ((before2, slow),)
    loop = Loop(
        T, reverse, (Carry(before, zt, z1, final), Carry(before2, before, z0, None)), ((xt, x),), stacks, (step,)
    )
    return schedule([x, w, z0, z1], [final, slow, *([stack] if stacked else [])], loop)


HAND_BUILT: dict[str, Schedule] = {
    "dense_layer": dense_layer(),
    "dense_layer_of_columns": dense_layer_of_columns(),
    "two_products": two_products(),
    "batched_ndh": batched((0, 1, 2)),
    "batched_hdn": batched((2, 1, 0)),
    "batched_dhn": batched((1, 2, 0)),
    "groups_without_one_stride": groups_without_one_stride(),
    "vectors": vectors(),
    "diagonals": diagonals(),
    "reduced_h": reductions((2,)),
    "summed": summed(True),
    "summed_alone": summed(False),
    "masked_rows": masked_rows(),
    "reduced_n": reductions((0,)),
    "reduced_d": reductions((1,)),
    "reduced_dh": reductions((1, 2)),
    "reduced_nh": reductions((0, 2)),
    "reduced_ndh": reductions((0, 1, 2)),
    "softmax_rows": softmax_rows(),
    "softmax": softmax(),
    "functions": functions(),
    "windows": windows(),
    "rows_by_label": rows_by_label(),
    "loop": recurrence(False, False),
    "loop_stacked": recurrence(False, True),
    "loop_reversed": recurrence(True, False),
    "loop_reversed_stacked": recurrence(True, True),
}
EXTENTS: list[dict[str, int]] = [
    {"N": 0, "D": 0, "H": 0, "T": 0},
    {"N": 0, "D": 3, "H": 2, "T": 1},
    {"N": 3, "D": 0, "H": 2, "T": 0},
    {"N": 1, "D": 1, "H": 1, "T": 1},
    {"N": 2, "D": 3, "H": 5, "T": 4},
    {"N": 7, "D": 4, "H": 9, "T": 2},
    {"N": 8, "D": 16, "H": 15, "T": 3},
    {"N": 17, "D": 31, "H": 10, "T": 5},
    {"N": 33, "D": 5, "H": 70, "T": 7},
    {"N": 19, "D": 66, "H": 33, "T": 12},
    {"N": 150, "D": 3, "H": 40, "T": 2},
]


def example(plan_of: Schedule, sizes: Mapping[str, int], dtype: str) -> dict[str, Any]:
    """Arguments of a schedule, exact in float32."""
    rng = np.random.default_rng(sum(sizes.values()))
    given: dict[str, Any] = {}
    for buffer in plan_of.arguments:
        shape = tuple(d.evaluate(sizes) for d in buffer.shape)
        real = rng.normal(size=shape).astype(np.float32).astype(np.float64)
        given[buffer.name] = real if buffer.dtype == "real" else rng.integers(0, sizes["D"] + 1, shape)
    return given
