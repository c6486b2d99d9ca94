"""Rewrites that leave the meaning of a program as it is: bracket algebra, stable forms, structure, recurrences.

``stabilise`` runs before differentiation, so that softmax and its relatives are differentiated in the forms that do not
overflow; ``simplify`` runs after it, and may use the traits of arguments. Both take all roots of a program at once, for
what is shared stays shared. Each pass is a function of its own, with the bracket before and after in its docstring:

    room            passes
    flatten         fold_brackets, inline_brackets, pull_scalars, pull_outer, flatten_products, join_sums, absorb_scales
    deltas          eliminate_deltas, split_deltas, distribute_deltas
    powers          split_sizes, merge_powers, simplify_powers
    canonical       canonicalise
    sums            merge_terms, pull_common, pull_outer_terms, cancel_terms, flatten_sums
    broadcasts      fold_constants, spread_late, fold_selects
    stable          stable_logarithms, stable_quotients, stable_powers, stable_differences, stable_exponentials,
                    shift_logsumexp, complement_sigmoids
    traits          sum_rows, use_diagonals, use_orthogonality, use_signs, declared_powers, canonical_under_symmetry
    windows         compose_windows, fold_overlaps, sum_overlaps, place_rows, fold_gathers, fold_stacks
    solves          simplify_solves
    linalg          cancel_inverses, undo_inverses, log_determinants
    stops           drop_stops
    sharing         share_transposes
    recurrences     drop_unused, hoist, sink
"""

from __future__ import annotations

from collections.abc import Callable

from bracketc.ir.nodes import (
    Add,
    Einsum,
    Gather,
    Linalg,
    Overlap,
    Pointwise,
    Reduce,
    Scatter,
    Select,
    Size,
    Stack,
    Window,
)
from bracketc.ir.rewrite import Roots
from bracketc.simplify.broadcasts import fold_constant, fold_select, spread_later
from bracketc.simplify.canonical import canonical_bracket
from bracketc.simplify.deltas import distribute_deltas, eliminate_delta, split_delta
from bracketc.simplify.fixpoint import Normaliser, Rules
from bracketc.simplify.flatten import (
    absorb_scales,
    flatten_products,
    fold_bracket,
    inline_bracket,
    join_sums,
    pull_outer_factor,
    pull_scalar,
)
from bracketc.simplify.linalg import cancel_inverse, log_determinant, undo_inverse
from bracketc.simplify.powers import merge_power, simplify_power, split_size
from bracketc.simplify.recurrences import drop_unused, hoist, in_bodies, sink
from bracketc.simplify.sharing import share_transposes
from bracketc.simplify.solves import simplify_solve
from bracketc.simplify.stable import (
    complement_sigmoids,
    shift_logsumexps,
    stable_difference,
    stable_exponential,
    stable_logarithm,
    stable_power,
    stable_quotient,
)
from bracketc.simplify.stops import drop_stop
from bracketc.simplify.sums import cancel_term, flatten_sums, merge_term, pull_common_scalars, pull_outer_term
from bracketc.simplify.traits import (
    declared_power,
    declared_product,
    sum_row,
    symmetric_canonical,
    use_diagonal,
    use_orthogonal,
    use_sign,
)
from bracketc.simplify.windows import compose_window, fold_gather, fold_overlap, fold_stack, place_row, sum_overlap

ROUNDS = 6
"""How often the rules and the passes that need to see all uses of a node take turns, at most."""

ALWAYS: Rules = {
    Size: (split_size,),
    Einsum: (
        fold_bracket,
        inline_bracket,
        eliminate_delta,
        cancel_inverse,
        merge_power,
        stable_quotient,
        sum_overlap,
        place_row,
        split_delta,
        pull_scalar,
        pull_outer_factor,
        canonical_bracket,
    ),
    Add: (merge_term, stable_difference, spread_later, cancel_term, pull_common_scalars, pull_outer_term),
    Pointwise: (
        fold_constant,
        spread_later,
        stable_power,
        simplify_power,
        stable_logarithm,
        log_determinant,
        stable_exponential,
    ),
    Select: (fold_select, spread_later),
    Reduce: (shift_logsumexps,),
    Linalg: (simplify_solve, undo_inverse),
    Window: (compose_window,),
    Overlap: (fold_overlap,),
    Scatter: (fold_overlap,),
    Gather: (fold_gather,),
    Stack: (fold_stack,),
}
"""Rules that hold whatever the arguments are."""

UNDER_TRAITS: Rules = {
    **ALWAYS,
    Einsum: (
        fold_bracket,
        inline_bracket,
        eliminate_delta,
        cancel_inverse,
        use_diagonal,
        use_orthogonal,
        sum_row,
        declared_product,
        stable_quotient,
        sum_overlap,
        place_row,
        split_delta,
        pull_scalar,
        pull_outer_factor,
        symmetric_canonical,
    ),
    Pointwise: (drop_stop, *ALWAYS[Pointwise], use_sign, declared_power),
}
"""The same with those that need the traits of arguments, and those that are right only after differentiation."""


def stabilise(roots: Roots) -> Roots:
    """Before differentiation: normal form and stable forms, every entry of every argument taken as free."""
    normal = Normaliser(ALWAYS)
    roots = in_bodies(normal(roots), complement_sigmoids)
    roots = _shortened(_alternate(roots, normal))
    return Normaliser(_order(ALWAYS))(in_bodies(_alternate(roots, normal), absorb_scales))


def simplify(roots: Roots) -> Roots:
    """After differentiation: normal form under the traits of the arguments, short loops, shared transposes."""
    return simplifier()(roots)


def simplifier() -> Callable[[Roots], Roots]:
    """:func:`simplify` for several graphs: what it did for one is not done again for another."""
    normal, last = Normaliser(UNDER_TRAITS), Normaliser(_order(UNDER_TRAITS))

    def apply(roots: Roots) -> Roots:
        roots = _shortened(_alternate(roots, normal))
        return last(in_bodies(normal(in_bodies(_alternate(roots, normal), share_transposes)), absorb_scales))

    return apply


def _shortened(roots: Roots) -> Roots:
    """Loops that hold their states alone. Sums over the steps go first: their products must not be stacked before."""
    return drop_unused(hoist(drop_unused(sink(drop_unused(roots)))))


def _order(rules: Rules) -> Rules:
    """The order of factors and terms, which whole contractions bring."""
    return {Einsum: rules[Einsum][-1:], Add: rules[Add][:1]}


def _join(roots: Roots) -> Roots:
    """The passes that look at how often a node is used."""
    return flatten_sums(distribute_deltas(join_sums(flatten_products(roots))))


def _alternate(roots: Roots, normal: Normaliser) -> Roots:
    """Rules and the joining of sums and products in turn, until nothing changes."""
    for _ in range(ROUNDS):
        roots = normal(roots)
        before = roots.nodes
        roots = in_bodies(roots, _join)
        if roots.nodes == before:
            break
    return normal(roots)
