"""Small sources that ask for much: each must end within seconds in a program, or in a message that names a limit.

    python tools/bombs.py                     all of them, and what each took
    python tools/bombs.py "paper tower" 0-9   one family, and the first ten

A family makes a source of at most a kilobyte for any scale; `bomb` draws family and scale from a seed. Every source goes through
parsing, formulas, planning and both backends in a process of its own, whose time and memory are measured (`explode`).
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache

import bracketc as bc
from bracketc import compiler
from bracketc.derivation import derived
from bracketc.options import make_options

LENGTH = 1_000
"""Characters of a source, at most."""
SECONDS = 2.0
BYTES = 500_000_000
COUNT = 300
GUARD = 5
"""Seconds of processor time after which the process is ended."""

Make = Callable[[int], str]
HEAD = "dim N\nparam x : N\n"
SQUARE = "dim N\nparam A : N, N\nparam x : N\n"


@dataclass(frozen=True, slots=True)
class Family:
    """Sources of one kind at scales from ``least`` to ``most``."""

    name: str
    least: int
    most: int
    make: Make


@dataclass(frozen=True, slots=True)
class Ending:
    """How a source ended: ``program`` or the class of the error, its message, seconds, and bytes of memory."""

    kind: str
    message: str
    seconds: float
    memory: int


def _wrapped(opening: str, inner: str, closing: str) -> Make:
    return lambda n: f"{SQUARE}y = {opening * n}{inner}{closing * n}\n"


def _joined(operator: str, operand: str = "x") -> Make:
    return lambda n: f"{SQUARE}y = " + operator.join([operand] * n) + "\n"


def _tower(step: str, first: str = "x", last: str = "J = sum(z{n})\ngradient J wrt x") -> Make:
    """Definitions z1, z2, …, each of which uses the one before, ``{z}``."""

    def make(n: int) -> str:
        lines = [f"z{k} = {step.replace('{z}', f'z{k - 1}')}" for k in range(1, n + 1)]
        return "\n".join([f"{SQUARE}z0 = {first}", *lines, last.replace("{n}", str(n))]) + "\n"

    return make


def _calls(body: str, first: str = "function f0(a) = a + 1", last: str = "y = f{n}(x)") -> Make:
    def make(n: int) -> str:
        lines = [f"function f{k}(a) = {body.replace('{f}', f'f{k - 1}')}" for k in range(1, n + 1)]
        return "\n".join([HEAD + first, *lines, last.replace("{n}", str(n))]) + "\n"

    return make


def _network(extent: int) -> Make:
    """A random contraction of n factors over many labels."""

    def make(n: int) -> str:
        chance = random.Random(n)
        labels = [f"i{k}" for k in range(n + 2)]
        factors = [sorted(chance.sample(labels, 3)) for _ in range(n)]
        lines = [f"dim N = {extent}", *(f"param T{k} : N, N, N" for k in range(n))]
        product = " ".join(f"T{k}_{{{','.join(chosen)}}}" for k, chosen in enumerate(factors))
        return "\n".join([*lines, f"J = ({product} | )", "gradient J wrt T0"]) + "\n"

    return make


def _complete(n: int) -> str:
    """n factors, each pair of which shares a label."""
    lines = ["dim N = 2"]
    product = []
    for k in range(n):
        own = [f"e{min(k, j)}x{max(k, j)}" for j in range(n) if j != k]
        lines.append(f"param T{k} : " + ", ".join(["N"] * len(own)))
        product.append(f"T{k}_{{{','.join(own)}}}")
    return "\n".join([*lines, f"J = ({' '.join(product)} | )", "gradient J wrt T0"]) + "\n"


def _layers(n: int) -> str:
    return (
        f"dim L = {n}\nparam W[j] : 3, 3 for j = 1..L\ninput X : 5, 3\nZ[0] = X\nZ[j] = tanh(Z[j-1] @ W[j]) for j = 1..L\n"
        "J = norm2(Z[L])\ngradient J wrt W\n"
    )


FAMILIES = (
    # nesting
    Family("parentheses", 100, 8_000, _wrapped("(", "x", ")")),
    Family("calls in calls", 50, 3_000, _wrapped("tanh(", "x", ")")),
    Family("fusions in fusions", 50, 8_000, _wrapped("[", "x", "]")),
    Family("braces in braces", 50, 8_000, _wrapped("{", "x", "}")),
    Family("brackets in brackets", 20, 2_000, _wrapped("(", "x_i", " | i)_i")),
    Family("indices in indices", 20, 2_000, _wrapped("x[", "1", "]")),
    Family("sums in sums", 10, 1_000, lambda n: f"{HEAD}y = " + "".join(f"sum[k{j}=1..9](" for j in range(n)) + "x[k0]" + ")" * n),
    Family("where in where", 20, 800, _wrapped("where(A > 0, A, ", "A", ")")),
    Family("signs", 100, 15_000, lambda n: f"{HEAD}y = {'-(' * n}x{')' * n}\n"),
    Family("bars", 100, 15_000, lambda n: f"{HEAD}y = {'~' * n}x\n"),
    Family("transposes", 20, 7_000, lambda n: f"{SQUARE}y = A{'^T' * n}\n"),
    Family("subscripts behind subscripts", 20, 5_000, lambda n: f"{SQUARE}y = A{'_21' * n}\n"),
    Family("gradients in gradients", 2, 1_000, lambda n: f"{HEAD}y = {'∇[x](' * n}x · x{')' * n}\n"),
    Family("differentials in differentials", 2, 1_000, lambda n: f"{HEAD}J = x · x\ny = {'d[x](' * n}J{')' * n}\n"),
    Family("unclosed", 100, 15_000, lambda n: f"{HEAD}y = {'(' * n}\n"),
    Family("unopened", 100, 15_000, lambda n: f"{HEAD}y = x{')' * n}\n"),
    Family("conditions in conditions", 20, 2_000, _wrapped("where(", "A > 0", ", A, A) > 0")),
    # operands and labels
    Family("sum", 100, 4_000, _joined(" + ")),
    Family("difference", 100, 4_000, _joined(" - ")),
    Family("entrywise product", 100, 4_000, _joined(" ⊙ ")),
    Family("quotient", 10, 4_000, _joined(" / ")),
    Family("outer product", 4, 4_000, _joined(" ⊗ ")),
    Family("space", 4, 4_000, _joined(" ")),
    Family("matrix product", 100, 4_000, _joined(" @ ", "A")),
    Family("power", 2, 4_000, _joined("**", "2")),
    Family("different summands", 10, 600, lambda n: f"{HEAD}y = " + " + ".join(f"tanh({k} x)" for k in range(n))),
    Family("different factors", 10, 600, lambda n: f"{HEAD}y = " + " ⊙ ".join(f"tanh({k} x)" for k in range(n)) + "\nJ = sum(y)\ngradient J wrt x"),
    Family("labels of a result", 2, 2_000, lambda n: f"{HEAD}y = ({' '.join(f'x_{{i{k}}}' for k in range(n))} | {','.join(f'i{k}' for k in range(n))})\n"),
    Family("summed labels", 2, 2_000, lambda n: f"{HEAD}y = ({' '.join(f'x_{{i{k}}}' for k in range(n))} | )\n"),
    Family("matrix chain by labels", 3, 700, lambda n: f"{SQUARE}y = ({' '.join(f'A_{{i{k},i{k + 1}}}' for k in range(n))} | )\ngradient y wrt A"),
    Family("deltas", 3, 900, lambda n: f"{SQUARE}y = (x_{{i0}} {' '.join(f'δ_{{i{k},i{k + 1}}}' for k in range(n))} | {{i{n}}})\n"),
    Family("axes of an argument", 10, 5_000, lambda n: f"dim N\nparam x : {', '.join(['N'] * n)}\nJ = x · x\ngradient J wrt x\n"),
    Family("axes of ones", 10, 5_000, lambda n: f"dim N\nJ = 𝟏⟨{','.join(['N'] * n)}⟩\n"),
    Family("large positions", 1, 15_000, lambda n: f"{SQUARE}y = A ^{{1,{'9' * n}}}·^12 A\nz = A ·_{{{'9' * n}}} x\n"),
    Family("large index", 1, 300, lambda n: f"{SQUARE}y = x[{'9' * n}]\nz = A[·, {'9' * n}..{'9' * (n + 1)}]\n"),
    Family("large shift", 1, 300, lambda n: f"{SQUARE}y[i] = x[i + {'9' * n}] for i = 1..{'9' * n}\n"),
    Family("symmetric network", 3, 60, lambda n: f"{SQUARE}J = ({' '.join(f'A_{{i{k},i{(k * k + 1) % n}}}' for k in range(n))} | )\ngradient J wrt A"),
    # sizes
    Family("extent", 1, 300, lambda n: f"dim N = 1{'0' * n}\nparam x : N\nJ = x · x\ngradient J wrt x\n"),
    Family("product of extents", 2, 60, lambda n: f"dim N = 1000000\nparam x : {', '.join(['N'] * n)}\nJ = x · x\ngradient J wrt x\n"),
    Family("hint", 1, 300, lambda n: f"dim N ~ 1{'0' * n}\nparam x : N\nparam A : N, N\nJ = x^T @ A @ x\ngradient J wrt x\nhessian J wrt x\n"),
    Family("polynomial of sizes", 2, 600, lambda n: f"dim A, B, C, D\nparam x : {' '.join(['(A + B + C + D)'] * n)}\nJ = x · x\n".replace(") (", ") * (")),
    Family("power of a size", 2, 3_000, lambda n: f"dim A, B\nparam x : (A + B)**{n}\nJ = x · x\n"),
    Family("result of known size", 2, 60, lambda n: f"dim N = 100000\nparam x : N\ny = {' '.join(['x'] * n)}\njacobian y wrt x\n"),
    Family("integers in", 1, 300, lambda n: f"dim N\ninput c : N integer in 1{'0' * n}\nE = eye(1{'0' * n})\ny = E[c]\n"),
    Family("dense derivative", 10_000, 10**9, lambda n: f"dim N = {n}\nparam x : N\ny = tanh(x) (𝟏⟨N⟩ · x)\njacobian y wrt x\n"),
    Family("identity", 10**3, 10**18, lambda n: f"dim N = {n}\nparam x : N\nJ = x · (eye(N) @ x)\ngradient J wrt x\n"),
    # numbers
    Family("digits", 10, 390, lambda n: f"{HEAD}y = {'9' * n} x\n"),
    Family("decimals", 10, 390, lambda n: f"{HEAD}y = 0.{'0' * n}1 x\n"),
    Family("exponent", 2, 10**18, lambda n: f"{HEAD}y = 1e{n} x\nz = 1e-{n} x\n"),
    Family("power of numbers", 10, 10**18, lambda n: f"const k = 7**{n}\n{HEAD}y = k x\nz = x**{n}\nw = 0.5**{n} x\n"),
    Family("powers of powers", 2, 500, lambda n: f"{HEAD}" + "const k0 = 3\n" + "".join(f"const k{j} = k{j - 1}**k{j - 1}\n" for j in range(1, n)) + f"y = k{n - 1} x\n"),
    Family("squares of constants", 4, 600, lambda n: "const k0 = 1.5\n" + "".join(f"const k{j} = k{j - 1} k{j - 1}\n" for j in range(1, n)) + f"{HEAD}y = k{n - 1} x\n"),
    Family("power of a square", 4, 600, _tower("{z} ⊙ {z}")),
    # sharing
    Family("doubled sum", 4, 700, _tower("{z} + {z}")),
    Family("doubled product", 4, 600, _tower("({z} · {z}) {z}")),
    Family("doubled rank", 2, 40, _tower("{z} ⊗ {z}")),
    Family("tanh of twice itself", 4, 500, _tower("tanh({z}) ⊙ sin({z})")),
    Family("matrix squares", 4, 600, _tower("{z} @ {z}", "A", "J = tr(z{n})\ngradient J wrt A")),
    Family("sums of products", 4, 500, _tower("({z} + x) ⊙ ({z} - x)")),
    Family("matrix sums of products", 2, 400, _tower("({z} + A) @ ({z} - A)", "A", "J = tr(z{n})\ngradient J wrt A")),
    Family("quotients of themselves", 4, 400, _tower("{z} / (1 ⊕ {z}**2)")),
    Family("softmax of itself", 4, 500, _tower("softmax({z}) + {z}")),
    Family("inverses", 4, 500, _tower("inv({z} + {z}^T)", "A", "J = tr(z{n})\ngradient J wrt A")),
    Family("where of twice itself", 4, 400, _tower("where({z} > 0, {z}, -{z})")),
    Family("calls that double", 4, 99, _calls("{f}({f}(a))")),
    Family("calls that double, two arguments", 4, 99, _calls("{f}({f}(a) + 1) ⊙ {f}(a)")),
    Family("calls of derivatives", 4, 99, _calls("{f}'({f}(a))", "function f0(a) = tanh(a)")),
    Family("definitions by where", 4, 300, lambda n: f"{HEAD}y = z{n} where " + ", ".join(f"z{k} = z{k - 1} + z{k - 1}" for k in range(1, n + 1)) + ", z0 = x"),
    Family("recurring hessians", 2, 60, _tower("tanh({z}) (x · {z})", "x", "J = sum(z{n})\nhessian J wrt x")),
    Family("jacobian of a tower", 2, 300, _tower("tanh(A @ {z})", "x", "jacobian z{n} wrt A")),
    # contraction networks
    Family("network of 1000", 4, 200, _network(1000)),
    Family("network of 10", 4, 200, _network(10)),
    Family("complete network", 4, 24, _complete),
    Family("flops", 100, 10**9, lambda n: f"dim N = {n}\nparam A : N, N\nparam B : N, N\nJ = tr(A @ B @ A @ B)\ngradient J wrt A\n"),
    Family("cubes of a hint", 100, 10**9, lambda n: f"dim N ~ {n}\nparam A : N, N, N\nparam B : N, N, N\nJ = (A_ijk B_klm A_mni B_jnl | )\ngradient J wrt A\n"),
    # derivatives
    Family("primes", 2, 5_000, lambda n: f"{HEAD}function f(a) = tanh(a) sin(a)\ny = f{chr(39) * n}(x)\n"),
    Family("primes of a polynomial", 2, 5_000, lambda n: f"{HEAD}function f(a) = a**{n}\ny = f{chr(39) * n}(x)\n"),
    Family("gradient tower", 2, 300, _tower("∇[x](sum({z}))", "exp(x) ⊙ sin(x)", "y = z{n}")),
    Family("paper tower", 2, 100, _tower("sum(Jac[x](∇[x](sum({z}))) @ x) x", "exp(x · x) x", "y = z{n}")),
    Family("jacobian tower", 2, 40, _tower("Jac[x]({z})", "tanh(x)", "y = z{n}")),
    Family("gradients of gradients of gradients", 2, 200, _tower("∇[x](sum(tanh({z})))", "x", "J = sum(z{n})\nhessian J wrt x")),
    Family("requests", 10, 300, lambda n: f"{HEAD}J = sum(tanh(x))\n" + "".join(f"hessian J wrt x as H{k}\n" for k in range(n))),
    Family("mixed hessians", 3, 200, lambda n: "dim N\n" + "".join(f"param x{k} : N\n" for k in range(n)) + "J = exp(" + " + ".join(f"sum(x{k}**2)" for k in range(n)) + f")\nhessian J wrt {', '.join(f'x{k}' for k in range(n))}\n"),
    # families and recurrences
    Family("layers", 10_002, 10**12, _layers),
    Family("members", 100, 10**18, lambda n: f"dim L = {n}\ndim D[0..L] = 3\nparam W[j] : 3 for j = 1..L\nJ = sum[k=1..L](W[k] · W[k])\ngradient J wrt W\n"),
    Family("sum over numbers", 100, 10**15, lambda n: f"{HEAD}J = sum[k=1..{n}](k sum(x**2))\ngradient J wrt x\n"),
    Family("sums over numbers", 2, 400, lambda n: f"{HEAD}J = sum[{', '.join(f'k{j}=1..9' for j in range(n))}](sum(x) {' '.join(f'k{j}' for j in range(n))})\n"),
    Family("offset", 2, 10**15, lambda n: f"dim T\nparam x : T\nZ[0] = 0\nZ[t] = Z[t-1] + x[t] + Z[t-{n}] for t = 1..T\nJ = Z[T]\ngradient J wrt x\n"),
    Family("steps", 2, 10**18, lambda n: f"dim T = {n}\nparam w : scalar\nZ[0] = 1\nZ[t] = tanh(w Z[t-1]) for t = 1..T\nJ = Z[T]\ngradient J wrt w\n"),
    Family("states", 2, 200, lambda n: "dim T\nparam w : scalar\n" + "".join(f"Z{k}[0] = 1\nZ{k}[t] = tanh(w Z{k}[t-1] + Z{(k + 1) % n}[t-1]) for t = 1..T\n" for k in range(n)) + "J = Z0[T]\ngradient J wrt w\n"),
    Family("recurrences of recurrences", 2, 100, lambda n: "dim T\nparam x : T\nZ0[t] = x[t] for t = 1..T\n" + "".join(f"Z{k}[0] = 0\nZ{k}[t] = Z{k}[t-1] + Z{k - 1}[t] for t = 1..T\n" for k in range(1, n)) + f"J = Z{n - 1}[T]\ngradient J wrt x\n"),
    Family("starts", 2, 600, lambda n: "dim T\n" + "".join(f"Z[{k}] = {k}\n" for k in range(n)) + f"Z[t] = Z[t-{min(n, 60)}] + Z[t-1] for t = {n}..T\nJ = Z[T]\n"),
    Family("cumulative sums", 2, 200, _tower("{z} + sum[s=1..1000000](s x)", "x")),
    Family("family of two numbers", 10, 10**9, lambda n: f"dim L = {n}\nF[0] = 1\nF[j] = F[j-1] + F[j-1] for j = 1..L\nG[0] = F[L]\nG[j] = G[j-1] + F[j] for j = 1..L\ny = G[L]\n"),
    # text
    Family("name", 100, 15_000, lambda n: f"param {'x' * n} : 3\ny = {'x' * (n - 1)}\n"),
    Family("combining marks", 100, 15_000, lambda n: f"param x{chr(0x301) * n} : 3\ny = x{chr(0x301) * (n - 1)}\n"),
    Family("mistakes", 100, 3_000, lambda n: "y = 2w\n" * n),
    Family("unknown names", 100, 1_000, lambda n: "".join(f"param name{k} : 3\n" for k in range(n // 2)) + "".join(f"y{k} = nome{k}\n" for k in range(n // 2))),
    Family("one long line", 100, 4_000, lambda n: "y = " + " + ".join(["2w"] * n)),
    Family("continued lines", 100, 4_000, lambda n: f"{HEAD}y = x +\n" + "x +\n" * n + "x\n"),
    Family("blank lines", 100, 15_000, lambda n: "\n" * n + f"{HEAD}y = x\n"),
    Family("comments", 100, 5_000, lambda n: f"{HEAD}y = x # {'# ' * n}\n"),
    Family("a circle", 10, 1_200, lambda n: "".join(f"z{k} = z{(k + 1) % n}\n" for k in range(n))),
    Family("long chain of names", 10, 1_200, lambda n: f"{HEAD}" + "".join(f"z{k} = z{k + 1}\n" for k in range(n)) + f"z{n} = x\n"),
    Family("outputs", 10, 1_000, lambda n: f"{HEAD}" + "".join(f"z{k} = {k} x\n" for k in range(n)) + f"output {', '.join(f'z{k}' for k in range(n))}\n"),
    Family("invisible characters", 100, 15_000, lambda n: f"{HEAD}y = x{chr(0x202e) * n}\n"),
    Family("equals", 100, 5_000, lambda n: f"{HEAD}y {'= ' * n}x\n"),
    Family("commas", 100, 15_000, lambda n: f"{HEAD}gradient y wrt {',' * n}\n"),
)  # fmt: skip


def bomb(seed: int) -> tuple[str, int, str]:
    """Family, scale and source of a seed: the families in turn, the largest scale first, then scales drawn evenly in size."""
    family = FAMILIES[seed % len(FAMILIES)]
    chance = random.Random(seed)
    turn = seed // len(FAMILIES)
    share = (1.0, 0.0)[turn] if turn < 2 else chance.random()
    scale = round(family.least * (family.most / family.least) ** share)
    while len(source := family.make(scale)) > LENGTH:
        scale = int(scale * 0.9)
    return family.name, scale, source


def through_all(source: str) -> None:
    """Parsing, formulas, planning and emission for both backends."""
    program = bc.parse(source)
    options = {backend: make_options({"backend": backend}) for backend in ("numpy", "c")}
    for formulas in derived(program, options["numpy"]):
        assert formulas.text is not None
    for chosen in options.values():
        compiler.emit(compiler.stages(program, chosen), "model", chosen)


def ending(source: str) -> Ending:
    """What becomes of a source in this process."""
    before = time.process_time()
    try:
        through_all(source)
        kind, message = "program", ""
    except bc.BracketError as error:
        kind, message = type(error).__name__, str(error)
    except MemoryError:
        kind, message = "MemoryError", "no memory left"
    except Exception:
        kind, message = "traceback", traceback.format_exc()
    seconds = time.process_time() - before
    return Ending(kind, message[:4000], seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


@cache
def warm() -> None:
    """What every process does once, such as reading templates, is done before."""
    through_all(f"{HEAD}J = tanh(x) · x\ngradient J wrt x\n")


def explode(source: str, guard: int = GUARD) -> Ending:
    """What becomes of a source in a process of its own, which is ended after ``guard`` seconds and cannot take all memory."""
    warm()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (guard, guard))
        resource.setrlimit(resource.RLIMIT_AS, (8 * BYTES, 8 * BYTES))
        with os.fdopen(write, "w", encoding="utf-8") as out:
            json.dump(asdict(ending(source)), out)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as answer:
        text = answer.read()
    _, status, used = os.wait4(child, 0)
    if text:
        return Ending(**json.loads(text))
    how = f"ended by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"status {os.WEXITSTATUS(status)}"
    return Ending("crash", how, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def problem(found: Ending) -> str | None:
    """What is wrong with an ending."""
    if found.kind in ("traceback", "crash", "MemoryError"):
        return f"{found.kind}: {found.message}"
    if found.seconds > SECONDS or found.memory > BYTES:
        return f"{found.kind} after {found.seconds:.1f} s with {found.memory / 1e6:.0f} MB"
    if found.kind == "LimitError" and "raise" not in found.message:
        return f"a limit without its option: {found.message}"
    return None


def _range(word: str) -> range:
    first, _, last = word.partition("-")
    return range(int(first), int(last or first) + 1)


def main(arguments: list[str]) -> int:
    bad = 0
    numbers = [number for word in arguments if word.replace("-", "").isdecimal() for number in _range(word)]
    for seed in range(COUNT):
        name, scale, source = bomb(seed)
        if arguments and name not in arguments and seed not in numbers:
            continue
        found = explode(source)
        wrong = problem(found)
        bad += wrong is not None
        first = (wrong or found.message).strip().splitlines() or [""]
        told = first[-1] if wrong and found.kind == "traceback" else first[0]
        print(f"{'BAD ' if wrong else 'ok  '}{seed:3} {name} {scale}: {len(source)} characters, {found.kind},"
              f" {found.seconds:.2f} s, {found.memory / 1e6:.0f} MB: {told[:150]}", flush=True)  # fmt: skip
    print(f"{bad} of {COUNT} bad")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
