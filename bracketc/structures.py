"""Derivatives that are stored by what is not zero in them: what a compiled module returns instead of a dense array.

    H_ijkl = δ_ik B_ijl     ->     BlockDiagonal over the blocks B

NumPy alone: generated modules carry the text below the marker, so that they stand without bracketc.
"""

from __future__ import annotations

from collections.abc import Iterable as _Iterable
from collections.abc import Sequence as _Sequence
from typing import Any as _Any

import numpy as np

from bracketc.errors import ArgumentError

NAMES = ("Structured", "Product", "Symmetric", "Kronecker", "BlockDiagonal", "Diagonal", "Sum")
"""The classes below, which a module with structured results exports."""

# ------------------------------------------------------------------------------- what generated modules carry
_Array = np.ndarray[tuple[int, ...], np.dtype[_Any]]
_Axes = tuple[int, ...]
_Factor = tuple[_Array, _Axes]
_Term = tuple[_Sequence[_Axes], _Sequence[_Factor]]


class Structured:
    """A tensor of derivatives, rows (the first ``rows`` axes) by columns (the other axes), stored without its zeros.

    ``.dense()`` is the array, ``.diagonal()`` its entries of equal row and column in the shape of the rows, ``.nbytes`` counts
    what is stored. ``A @ x`` takes ``x`` in the shape of the columns or flat, with further axes behind; ``x @ A`` in that of
    the rows, with further axes in front; a flat ``x`` gives a flat product. Sums and multiples by numbers stay structured.
    ``numpy.asarray``, every ufunc and ``A[…]`` see the dense array, written anew each time.

    ``products`` are pairs (equal, factors), to be added: an entry is the product of the entries of all factors where the
    axes of each group of ``equal`` agree, and 0 elsewhere. A factor is a pair (array, axes): axis m of the array lies along
    axis ``axes[m]`` of the whole; the first axis of a group stands for all of it.
    """

    __slots__ = ("products", "rows", "shape", "symmetric")

    def __init__(self, shape: _Axes, rows: int, products: _Iterable[_Term], symmetric: bool = False) -> None:
        self.shape = shape
        self.rows = rows
        self.products = tuple(products)
        self.symmetric = symmetric

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def arrays(self) -> tuple[_Array, ...]:
        """What is stored, in order."""
        return tuple({id(array): array for _, factors in self.products for array, _ in factors}.values())

    @property
    def dtype(self) -> np.dtype[_Any]:
        return self.arrays[0].dtype

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.arrays)

    @property
    def T(self) -> Structured:
        """Rows and columns exchanged; shares the stored arrays."""
        if self.symmetric:
            return self
        shape = (*self.shape[self.rows :], *self.shape[: self.rows])
        columns = self.ndim - self.rows
        return type(self)(shape, columns, [_exchanged(term, self.rows, columns) for term in self.products])

    def dense(self, out: _Array | None = None) -> _Array:
        """The array with all its zeros: a new one, or written to ``out``."""
        ordered = sorted(self.products, key=lambda term: bool(term[0]))  # what fills the array goes first
        if out is None:
            out = self._zeros()
        elif out.shape != self.shape or out.dtype != self.dtype:
            raise ArgumentError(f"out: {self.dtype} of shape {self.shape} needed; got {out.dtype}, {out.shape}")
        elif ordered[0][0]:
            out[...] = 0
        for place, (equal, factors) in enumerate(ordered):
            _write(out, _labels(self.ndim, equal), factors, add=place > 0)
        return out

    def _zeros(self) -> _Array:
        try:
            return np.zeros(self.shape, self.dtype)
        except (MemoryError, ValueError):
            size = _size(self.shape) * self.dtype.itemsize
            raise ArgumentError(
                f"dense: {self.dtype} of shape {self.shape} takes {size:,} bytes, for which there is no memory; this"
                f" {type(self).__name__} stores {self.nbytes:,}: take A @ x, x @ A or A.diagonal() instead"
            ) from None

    def diagonal(self) -> _Array:
        """Entries whose row is their column, in the shape of the rows."""
        if self.shape[: self.rows] != self.shape[self.rows :]:
            raise ArgumentError(f"diagonal: {self.shape[: self.rows]} rows are not the {self.shape[self.rows :]} columns")
        result: _Array = np.zeros(self.shape[: self.rows], self.dtype)
        for equal, factors in self.products:
            labels = _labels(self.ndim, equal)
            for row in range(self.rows):
                labels = [labels[row] if label == labels[self.rows + row] else label for label in labels]
            relabelled = [(array, tuple(labels[axis] for axis in axes)) for array, axes in factors]
            result = result + _multiplied(relabelled, labels[: self.rows], self.shape)
        return result

    def solve(self, b: _Any) -> _Array:
        """x with ``self @ x = b``, shapes as for ``@``, where every product is zero off the same blocks: block by block.

        ``LinAlgError`` where a block is singular, ``ArgumentError`` where there are no such blocks.
        """
        return _blockwise(self, b)

    def __matmul__(self, x: _Any) -> _Array:
        x = np.asarray(x)
        x, shape = _opened(x, self.shape[self.rows :], self.shape[: self.rows], "@")
        result: _Array | None = None
        for equal, factors in self.products:
            labels = _labels(self.ndim, equal)
            given = (x, (*labels[self.rows :], self.ndim))
            extents = (*self.shape, x.shape[-1])
            part = _multiplied([*factors, given], [*labels[: self.rows], self.ndim], extents)
            result = part if result is None else result + part
        assert result is not None
        return result.reshape(shape)

    def __rmatmul__(self, x: _Any) -> _Array:
        x = np.asarray(x)
        whole = x.ndim >= self.rows and x.shape[x.ndim - self.rows :] == self.shape[: self.rows]
        front = max(0, x.ndim - (self.rows if whole else 1))
        behind = np.moveaxis(x, range(front), range(x.ndim - front, x.ndim))
        product = self.T @ behind
        return np.moveaxis(product, range(product.ndim - front, product.ndim), range(front))

    def __mul__(self, number: _Any) -> _Any:
        if np.ndim(number):
            return self.dense() * number
        scaled = [(equal, ((number * first[0], first[1]), *rest)) for equal, (first, *rest) in self.products]
        return type(self)(self.shape, self.rows, scaled, self.symmetric)

    __rmul__ = __mul__

    def __truediv__(self, number: _Any) -> _Any:
        return self.dense() / number if np.ndim(number) else self * (1 / number)

    def __neg__(self) -> _Any:
        return self * -1

    def __add__(self, other: _Any) -> _Any:
        if not isinstance(other, Structured) or (self.shape, self.rows) != (other.shape, other.rows):
            return self.dense() + np.asarray(other)
        terms = [term for given in (self, other) for term in (given.terms if isinstance(given, Sum) else [given])]
        return Sum(terms, self.symmetric and other.symmetric)

    def __radd__(self, other: _Any) -> _Any:
        return self + other

    def __sub__(self, other: _Any) -> _Any:
        return self + -other

    def __rsub__(self, other: _Any) -> _Any:
        return -self + other

    def __getitem__(self, index: _Any) -> _Any:
        return self.dense()[index]

    def __array__(self, dtype: _Any = None, copy: bool | None = None) -> _Array:
        if copy is False:
            raise ValueError(f"{type(self).__name__} holds no dense array: this makes one")
        array = self.dense()
        return array if dtype is None else array.astype(dtype, copy=False)

    def __array_ufunc__(self, ufunc: _Any, method: str, *inputs: _Any, **options: _Any) -> _Any:
        if ufunc is np.matmul and method == "__call__" and not options:
            left, right = inputs
            return left @ right if isinstance(left, Structured) else right.__rmatmul__(left)
        arrays = (given.dense() if isinstance(given, Structured) else given for given in inputs)
        return getattr(ufunc, method)(*arrays, **options)

    def __repr__(self) -> str:
        dense = _size(self.shape) * self.dtype.itemsize
        return f"<{type(self).__name__} {self.shape} {self.dtype}, {self.nbytes:,} bytes instead of {dense:,}>"


class Product(Structured):
    """A product of smaller tensors, and of identities over the groups of axes that must agree."""

    __slots__ = ()

    @property
    def factors(self) -> tuple[_Factor, ...]:
        return tuple(self.products[0][1])


class Symmetric(Product):
    """A product that exchanging rows and columns leaves as it is: ``x x^T`` is stored as ``x``."""

    __slots__ = ()


class Kronecker(Product):
    """A product of tensors over different axes, and of identities over the groups of axes that no factor has."""

    __slots__ = ()

    def solve(self, b: _Any) -> _Array:
        """x with ``self @ x = b``, shapes as for ``@``, factor by factor; all must be square."""
        return _solution(self, b)


class BlockDiagonal(Product):
    """A block for each value of the axes that rows and columns share.

    ``.blocks`` has the shared axes first, then the other axes of the rows, then those of the columns.
    """

    __slots__ = ()

    @property
    def blocks(self) -> _Array:
        labels = _labels(self.ndim, self.products[0][0])
        rows, columns = labels[: self.rows], labels[self.rows :]
        own = [*(x for x in rows if x not in columns), *(x for x in columns if x not in rows)]
        return _multiplied(self.factors, [*(x for x in rows if x in columns), *own], self.shape)

    def solve(self, b: _Any) -> _Array:
        """x with ``self @ x = b``, shapes as for ``@``, block by block; ``LinAlgError`` where a block is singular."""
        return _solution(self, b)


class Diagonal(BlockDiagonal):
    """Zero off the diagonal: every axis of the rows equals one of the columns. ``.values`` has the shape of the rows."""

    __slots__ = ()

    @property
    def values(self) -> _Array:
        return self.factors[0][0]


class Sum(Structured):
    """The sum of the structures in the list ``.terms``."""

    __slots__ = ("terms",)

    def __init__(self, terms: _Sequence[Structured], symmetric: bool = False) -> None:
        super().__init__(terms[0].shape, terms[0].rows, [p for term in terms for p in term.products], symmetric)
        self.terms = list(terms)

    @property
    def T(self) -> Structured:
        return self if self.symmetric else Sum([term.T for term in self.terms])

    def __mul__(self, number: _Any) -> _Any:
        return self.dense() * number if np.ndim(number) else Sum([term * number for term in self.terms], self.symmetric)

    __rmul__ = __mul__


def _size(shape: _Iterable[int]) -> int:
    count = 1
    for extent in shape:
        count *= extent
    return count


def _labels(rank: int, equal: _Iterable[_Axes]) -> list[int]:
    """A label an axis; axes that must agree have one."""
    labels = list(range(rank))
    for group in equal:
        for axis in group:
            labels[axis] = group[0]
    return labels


def _exchanged(term: _Term, rows: int, columns: int) -> _Term:
    """A product with its first ``rows`` axes behind the others."""
    equal, factors = term
    moved = [*range(columns, columns + rows), *range(columns)]
    groups = sorted(tuple(sorted(moved[axis] for axis in group)) for group in equal)
    labels = _labels(rows + columns, groups)
    return tuple(groups), tuple((array, tuple(labels[moved[axis]] for axis in axes)) for array, axes in factors)


def _opened(x: _Array, given: _Axes, wanted: _Axes, what: str) -> tuple[_Array, _Axes]:
    """``x`` of the shape ``given``, or flat, with all further axes as one, and the shape of the result."""
    if x.shape[: len(given)] == given:
        shape = (*wanted, *x.shape[len(given) :])
    elif x.ndim and x.shape[0] == _size(given):
        shape = (_size(wanted), *x.shape[1:])
    else:
        raise ArgumentError(f"{what}: shape {given}, or flat, needed in front; got {x.shape}")
    behind = x.shape[len(given) :] if x.shape[: len(given)] == given else x.shape[1:]
    return x.reshape(*given, _size(behind)), shape


def _along(array: _Array, axes: _Sequence[int], order: _Sequence[int]) -> _Array:
    """``array`` with one axis for each label of ``order``, of length 1 where it has none."""
    moved = np.transpose(array, [list(axes).index(label) for label in order if label in axes])
    return moved[tuple(slice(None) if label in axes else None for label in order)]


def _write(out: _Array, labels: list[int], factors: _Sequence[_Factor], add: bool) -> None:
    """Assign a product, or add it, to the entries of ``out`` that are not zero by structure."""
    order = list(dict.fromkeys(labels))
    there = np.einsum(out, labels, order) if len(order) < len(labels) else out  # a view
    value, *others = [_along(array, axes, order) for array, axes in factors]
    for other in others[1:]:
        value = value * other
    if add:
        there += value * others[0] if others else value
    elif others:
        np.multiply(value, others[0], out=there)
    else:
        there[...] = value


def _multiplied(factors: _Sequence[_Factor], output: _Sequence[int], extents: _Sequence[int]) -> _Array:
    """The sum of products of labelled arrays over the labels outside ``output``; there a label may stand twice (zero where the
    two differ) or belong to no array (constant along it)."""
    carried = {label for _, labels in factors for label in labels}
    distinct = list(dict.fromkeys(output))
    inner = [label for label in distinct if label in carried]
    operands: list[_Any] = [part for array, labels in factors for part in (array, list(labels))]
    value: _Array = np.einsum(*operands, inner, optimize=len(factors) > 1)
    if inner == list(output):
        return value
    result = np.zeros([extents[label] for label in output], value.dtype)
    there = np.einsum(result, list(output), distinct)
    there[...] = _along(value, inner, distinct)
    return result


def _pieces(factors: _Iterable[_Factor]) -> list[list[_Factor]]:
    """Factors in groups that share no axis."""
    pieces: list[list[_Factor]] = []
    for factor in factors:
        touched = [any(set(axes) & set(factor[1]) for _, axes in piece) for piece in pieces]
        joined = [other for piece, touches in zip(pieces, touched, strict=True) if touches for other in piece]
        pieces = [piece for piece, touches in zip(pieces, touched, strict=True) if not touches]
        pieces.append([*joined, factor])
    return pieces


def _solution(matrix: Product, b: _Any) -> _Array:
    """x with ``matrix @ x = b``: the blocks of one piece after another are solved for."""
    labels = _labels(matrix.ndim, matrix.products[0][0])
    rows, columns, last = labels[: matrix.rows], labels[matrix.rows :], matrix.ndim
    x, shape = _opened(np.asarray(b), matrix.shape[: matrix.rows], matrix.shape[matrix.rows :], "solve")
    names = [*rows, last]
    for piece in _pieces(matrix.factors):
        own = sorted({axis for _, axes in piece for axis in axes})
        both = [axis for axis in own if axis in rows and axis in columns]
        left = [axis for axis in own if axis not in columns]
        right = [axis for axis in own if axis not in rows]
        batch, behind = [matrix.shape[axis] for axis in both], [name for name in names if name not in (*both, *left)]
        height, width = (_size(matrix.shape[axis] for axis in side) for side in (left, right))
        if height != width:
            raise ArgumentError(f"solve: a block of {height} rows and {width} columns is not square")
        blocks = _multiplied(piece, (*both, *left, *right), matrix.shape).reshape(*batch, height, width)
        x = np.transpose(x, [names.index(name) for name in (*both, *left, *behind)])
        rest = x.shape[len(both) + len(left) :]
        x = _solved(blocks, x.reshape(*batch, height, _size(rest)))
        x = x.reshape(*batch, *(matrix.shape[axis] for axis in right), *rest)
        names = [*both, *right, *behind]
    if sorted(names) != sorted([*columns, last]):
        raise np.linalg.LinAlgError("solve: singular, it is constant along some axes")
    return np.transpose(x, [names.index(name) for name in (*columns, last)]).reshape(shape)


def _shared(matrix: Structured) -> list[tuple[int, int]]:
    """Pairs of an axis of the rows and one of the columns that agree wherever an entry is not zero, each axis once."""
    common: set[tuple[int, int]] | None = None
    for equal, _ in matrix.products:
        own = {(row, column) for group in equal for row in group for column in group if row < matrix.rows <= column}
        common = own if common is None else common & own
    pairs: list[tuple[int, int]] = []
    for row, column in sorted(common or ()):
        if all(row != other and column != another for other, another in pairs):
            pairs.append((row, column))
    return pairs


def _blockwise(matrix: Structured, b: _Any) -> _Array:
    """x with ``matrix @ x = b`` by the blocks that all products share."""
    pairs = _shared(matrix)
    if not pairs:
        raise ArgumentError(
            f"solve: there are no blocks off which this {type(matrix).__name__} is zero; numpy.linalg.solve takes A.dense()"
            " as a matrix, and methods such as scipy.sparse.linalg.cg take A @ x"
        )
    rows, columns, last = range(matrix.rows), range(matrix.rows, matrix.ndim), matrix.ndim
    both, ours = [row for row, _ in pairs], [column for _, column in pairs]
    left, right = [axis for axis in rows if axis not in both], [axis for axis in columns if axis not in ours]
    batch = [matrix.shape[axis] for axis in both]
    height, width = (_size(matrix.shape[axis] for axis in side) for side in (left, right))
    if height != width:
        raise ArgumentError(f"solve: a block of {height} rows and {width} columns is not square")
    x, shape = _opened(np.asarray(b), matrix.shape[: matrix.rows], matrix.shape[matrix.rows :], "solve")
    blocks = np.zeros((*batch, height, width), matrix.dtype)
    for equal, factors in matrix.products:
        labels = _labels(matrix.ndim, equal)
        blocks += _multiplied(factors, [labels[axis] for axis in (*both, *left, *right)], matrix.shape).reshape(blocks.shape)
    x = np.transpose(x, (*both, *left, matrix.rows))
    x = _solved(blocks, x.reshape(*batch, height, x.shape[-1]))
    x = x.reshape(*batch, *(matrix.shape[axis] for axis in right), x.shape[-1])
    names = [*ours, *right, last]
    return np.transpose(x, [names.index(name) for name in (*columns, last)]).reshape(shape)


def _solved(blocks: _Array, b: _Array) -> _Array:
    """Solutions for the matrices in the last two axes; of 1 × 1 by division."""
    if blocks.shape[-1] != 1:
        try:
            return np.linalg.solve(blocks, b)
        except np.linalg.LinAlgError:
            raise np.linalg.LinAlgError("solve: singular, a block has no inverse") from None
    zeros = blocks.size - np.count_nonzero(blocks)
    if zeros:
        raise np.linalg.LinAlgError(f"solve: singular, {zeros} entries of the diagonal are zero")
    return np.asarray(b / blocks)
