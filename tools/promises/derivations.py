"""What bracketc writes as the derivation of a gradient is one: every step of it holds."""

from __future__ import annotations

from random_programs import FOLDER, Source, random_program
from readback import agrees, claims_of, read_back

import bracketc as bc
from bracketc.cli.steps import step_blocks
from promises.programs import parse, shrunk_source
from promises.promise import Breach, Counted, Promise, Skip


def check(source: Source, seed: int) -> Counted:
    """The steps of all gradients that the program asks for, read as text under the program and judged at random points."""
    program = parse(source)
    try:
        blocks, left_out = step_blocks(program, ("matrix", "index", "bracket")[seed % 3])
    except bc.UnsupportedError:
        raise Skip("nothing that has steps") from None
    count = 0
    for block in blocks:
        try:
            found = read_back(source.text, block, str(FOLDER / "random.brk"))
        except bc.SourceError as error:
            raise Breach(f"{block}\ncannot be read:\n{error}") from None
        for claim in claims_of(found):
            if not agrees(claim, found):
                raise Breach(f"{block}\ndoes not hold: {claim.text}")
            count += 1
    return Counted(count, {"derivations": len(blocks), "requests without steps": len(left_out)})


def derivations(seed: int) -> Counted:
    return check(random_program(seed), seed)


PROMISES = (
    Promise(
        "derivations", "every step of a derivation that bracketc writes holds",
        "`derive --steps` for the gradients of random programs, in one of three notations; the text is read under the program, and"
        " both sides of every step are compared at random points of several sizes",
        derivations, shrunk_source(check, random_program), 2_000, "steps",
    ),
)  # fmt: skip
