"""The factor of a product that the product makes: see :mod:`bracketc.plan.making`."""

from __future__ import annotations

from bracketc.loops.kernel import Address, Epilogue, EpilogueOperand, Reference, Storage
from bracketc.loops.memory import Memory
from bracketc.plan.schedule import Access, Map


def made_factor(memory: Memory, step: Map) -> tuple[Storage, Epilogue]:
    """The factor that ``step`` makes, stored nowhere, and the program of its entries."""
    (store,) = step.stores
    names = dict(zip(step.labels, memory.fresh(len(step.labels)), strict=True))
    first_axis, second_axis = (names[label] for label in store.labels)

    def operand(access: Access) -> EpilogueOperand:
        reference = memory.reference(access.buffer, access.labels, names)
        address = reference.address
        first = Reference(reference.storage, Address(address.offset, ()))
        return EpilogueOperand(first, address.stride(first_axis), address.stride(second_axis))

    target = store.target
    storage = Storage(target.name, "made", target.shape, target.dtype)
    return storage, Epilogue(tuple(operand(a) for a in step.operands), step.program, store.value, ())

