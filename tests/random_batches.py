"""Random programs over the rows of a batch: what stands in one row of a value needs that row of the others alone, and parameters.

    source = batch_program(seed)

Sums over the batch come last, so that callers can compute ranges of it apart.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

WIDTHS = ("M", "K", "H")
BATCH = "N"

SMOOTH = ("tanh({})", "sin({})", "sigmoid({})", "softplus({})", "exp(-({}) ⊙ ({}))", "relu({})", "cos({}) ⊙ {}", "0.5 {}")


@dataclass
class Batches:
    """Grows one program. ``rows`` are values with the batch in front, by their other size (none for a number a row)."""

    rng: random.Random
    lines: list[str] = field(default_factory=lambda: [f"dim {BATCH}, {', '.join(WIDTHS)}"])
    rows: dict[str, str | None] = field(default_factory=dict)
    params: list[str] = field(default_factory=list)
    count: int = 0

    def fresh(self, letter: str) -> str:
        self.count += 1
        return f"{letter}{self.count}"

    def given(self, width: str | None, kind: str = "input") -> str:
        name = self.fresh("X" if width else "y")
        self.lines.append(f"{kind} {name} : {BATCH}{f', {width}' if width else ''}")
        self.rows[name] = width
        if kind == "param":
            self.params.append(name)
        return name

    def param(self, *sizes: str) -> str:
        """A parameter without the batch, or one that others make."""
        name = self.fresh("w")
        self.lines.append(f"param {name} : {', '.join(sizes)}")
        self.params.append(name)
        if len(sizes) == 2 and self.rng.random() < 0.3:
            made = self.fresh("Q")
            self.lines.append(f"{made} = tanh({name} @ ({name}^T @ {name}))")
            return made
        return name

    def some(self, matrix: bool) -> str:
        found = [name for name, width in self.rows.items() if (width is not None) == matrix]
        return self.rng.choice(found) if found else self.given(self.rng.choice(WIDTHS) if matrix else None)

    def define(self, text: str, width: str | None, index: str = "") -> None:
        name = self.fresh("Z")
        self.lines.append(f"{name}{index} = {text}")
        self.rows[name] = width

    # -------------------------------------------------------------------------------------------- definitions
    def product(self) -> None:
        """All rows times a matrix, and a row of its own added to each."""
        left, out = self.some(True), self.rng.choice(WIDTHS)
        text = f"{left} @ {self.param(str(self.rows[left]), out)}"
        if self.rng.random() < 0.5:
            text += f" + 𝟏 {self.param(out)}"
        self.define(self.rng.choice(("tanh({})", "{}", "relu({})")).format(text), out)

    def pointwise(self) -> None:
        name = self.some(self.rng.random() < 0.7)
        self.define(self.rng.choice(SMOOTH).replace("{}", name), self.rows[name])

    def pair(self) -> None:
        """Two values of one shape."""
        name = self.some(True)
        same = [other for other, width in self.rows.items() if width == self.rows[name]]
        text = self.rng.choice(("{} ⊙ {}", "{} + sin({})", "{} - 0.5 {}"))
        self.define(text.format(name, self.rng.choice(same)), self.rows[name])

    def softmax(self) -> None:
        name = self.some(True)
        self.define(f"softmax^1({name})", self.rows[name])

    def reduced(self) -> None:
        """One number a row."""
        name, at = self.some(True), self.rng.choice(("sum", "max", "logsumexp", "weighted"))
        if at == "weighted":
            self.define(f"{name} @ {self.param(str(self.rows[name]))}", None)
        else:
            self.define(f"{at}[k]({name}[n,k])", None, "[n]")

    def scaled(self) -> None:
        """Each row by a number of its own."""
        name, number = self.some(True), self.some(False)
        self.define(f"{name}[n,k] {number}[n]", self.rows[name], "[n,k]")

    def outer(self) -> None:
        number, out = self.some(False), self.rng.choice(WIDTHS)
        self.define(f"{number} {self.param(out)}", out)

    def target(self) -> str:
        """A sum over the batch, now and then with a term that has no batch."""
        last = [*self.rows][-3:]
        terms = [self.rng.choice(("sum({0} ⊙ {0})", "sum(sin({0}))", "sum({0})")).format(name) for name in last]
        if self.params and self.rng.random() < 0.4:
            name = self.params[0]
            terms.append(f"0.1 sum({name} ⊙ {name})")
        return " + ".join(terms)


def batch_program(seed: int) -> str:
    """A scalar ``J`` and its gradient by all parameters, now and then results with the batch."""
    rng = random.Random(seed)
    made = Batches(rng)
    made.given(rng.choice(WIDTHS))
    if rng.random() < 0.5:
        made.given(None if rng.random() < 0.5 else rng.choice(WIDTHS), rng.choice(("input", "param")))
    ways: tuple[Callable[[], None], ...] = (
        made.product, made.pointwise, made.pair, made.softmax, made.reduced, made.scaled, made.outer,
    )  # fmt: skip
    made.product()
    for _ in range(rng.choice((1, 2, 3, 4))):
        rng.choice(ways)()
    made.lines.append(f"J = {made.target()}")
    outputs = ["J", *([name for name in made.rows if name[0] == "Z"][-1:] if rng.random() < 0.4 else [])]
    made.lines.append(f"output {', '.join(outputs)}")
    made.lines.append(f"gradient J wrt {', '.join(made.params)}")
    return "\n".join(made.lines) + "\n"
