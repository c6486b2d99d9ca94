"""One function of a module: names, checks, results and calls as the words of ``templates/module/module.py.j2``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod

from bracketc.emit import expressions as ex
from bracketc.emit.c_module import CText
from bracketc.emit.checks import Argument, CheckView, shape_checks
from bracketc.emit.formulas import docstring_lines
from bracketc.emit.layout import assignment, definition, literal, wrapped
from bracketc.emit.memory import array_maker, saved_maker
from bracketc.emit.module_views import (
    ArgumentView,
    FieldView,
    FunctionView,
    NativeCallView,
    QuickCallView,
    RecordView,
    ResultView,
    RoomView,
)
from bracketc.emit.names import MODULE_NAMES, python_name, python_names
from bracketc.emit.numpy_kernel import Kernel
from bracketc.emit.structures import CLASSES, PublicView, class_name, constructor
from bracketc.errors import SourceError
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import DType, Shape
from bracketc.ir.program import Entry, Program
from bracketc.plan.schedule import Buffer, Schedule
from bracketc.structures import NAMES


@dataclass(frozen=True, slots=True)
class Head:
    """What a module is called and made for."""

    name: str
    dtype: str
    backend: str
    version: str
    max_memory: int


class FunctionWriter:
    """Names and expressions of one entry."""

    def __init__(
        self,
        head: Head,
        program: Program,
        entry: Entry,
        schedule: Schedule,
        kernels: Mapping[str, Kernel],
        sizes: Mapping[str, str],
        code: CText | None,
        twin_of: Entry | None = None,
    ) -> None:
        """``twin_of`` is the function that this one computes dense arrays for."""
        self.code = code
        self.program = program
        self.entry = entry
        self.schedule = schedule
        self.kernel = kernels[entry.name]
        self.sizes = sizes
        self.module = head.name
        self.dtype = head.dtype
        self.real = 4 if head.dtype == "float32" else 8
        self.name = function_name(entry.name)
        self.label = self.name
        if twin_of is not None:
            self.name, self.label = f"_{self.name}", python_name(twin_of.name, RESERVED)
        self.twin_of = twin_of
        self.twin = "" if entry.twin is None else f"_{python_name(entry.twin, RESERVED)}"
        self.backward = entry.name == "backward"
        self.forward = entry.name == "forward"
        own = [t.name for t in entry.arguments]
        self.extras = [_extra_name(t.name, self.backward) for t in entry.extras]
        names = python_names([*own, *self.extras]) if not self.backward else python_names(own)
        extra_names = python_names(self.extras)
        self.buffers = dict(zip(schedule.arguments, [*own, *self.extras], strict=True))
        extra_buffers = set(schedule.arguments[len(own) :])
        self.variable: dict[Buffer, str] = {}
        for buffer, name in self.buffers.items():
            if buffer in extra_buffers:
                self.variable[buffer] = extra_names[name]
                if self.backward and extra_names[name] in names.values():
                    raise SourceError(f"{name!r} is an argument and a result; rename one")
            else:
                self.variable[buffer] = names[name]
        self.own = schedule.arguments[: len(own)]
        self.extra_buffers = schedule.arguments[len(own) :]
        self.result_names = python_names(_result_names(entry))
        self.results = [
            ResultView(
                name=self.result_names[name],
                variable=f"{self.result_names[name]}_out",
                shape=ex.shape(buffer.shape, sizes),
                dtype=_dtype_constant(buffer.dtype),
                dtype_name=dtype_name(buffer.dtype, head.dtype),
                dims=literal(tuple(str(d) for d in buffer.shape)),
                maker=array_maker(buffer, sizes, self.real) if code is not None else "_empty",
            )
            for name, (_, buffer) in zip(_result_names(entry), schedule.results, strict=True)
        ]
        self.result_buffers = [buffer for _, buffer in schedule.results]
        self.public = self._public()
        self.places = tuple(accumulate((len(view.stored) or 1 for view in self.public), initial=0))

    # ------------------------------------------------------------------------------------------- results
    @property
    def structured(self) -> bool:
        return any(form.structure for form in self.entry.forms)

    def _public(self) -> tuple[PublicView, ...]:
        """The results as a caller sees them: arrays, or structures over several of the stored ones."""
        found = []
        rest = iter(zip(self.results, self.result_buffers, strict=True))
        for form in self.entry.forms:
            structure = form.structure
            if structure is None:
                result, _ = next(rest)
                found.append(
                    PublicView(result.name, result.shape, result.dtype_name, result.dims, "()", form.symmetric, "", (), ())
                )
                continue
            assert form.node is not None
            parts = [next(rest) for _ in range(structure.count)]
            name = python_name(form.name)
            shape = ex.shape(form.node.shape, self.sizes)
            entries = sum((prod(buffer.shape, start=Dim.of(1)) for _, buffer in parts), Dim.of(0))
            found.append(
                PublicView(
                    name,
                    shape,
                    parts[0][0].dtype_name,
                    literal(tuple(str(extent) for extent in form.node.shape)),
                    literal(tuple(term.kind for term in structure.terms)),
                    structure.symmetric,
                    str(entries),
                    tuple(result.name for result, _ in parts),
                    constructor(f"{name}_result", structure, shape, [result.variable for result, _ in parts]),
                )
            )
        if found:
            return tuple(found)
        return tuple(PublicView(r.name, r.shape, r.dtype_name, r.dims, "()", False, "", (), ()) for r in self.results)

    @property
    def form(self) -> str:
        """``pair`` (value, gradients), ``tuple`` or ``single``."""
        request = self.entry.request
        if request is not None and request.kind == "gradient" and not self.backward:
            return "pair"
        return "tuple" if self.entry.name in _OWN or len(self.public) > 1 else "single"

    @property
    def record(self) -> str:
        """The named tuple of the results; the inner one of a pair."""
        if self.entry.name in ("evaluate", "forward"):
            return "Outputs"
        if self.entry.name in ("backward", "value_and_grad"):
            return "Gradients"
        return f"{self.label}_Gradients" if self.form == "pair" else f"{self.label}_Results"

    @property
    def pair_record(self) -> str:
        return "ValueAndGradients" if self.entry.name == "value_and_grad" else f"{self.label}_ValueAndGradients"

    def records(self) -> list[RecordView]:
        if self.form == "single":
            return []
        fields = tuple(self._field(k) for k in range(len(self.public)))
        if self.form == "pair":
            value = FieldView("value", fields[0].type, fields[0].precise_type, fields[0].note)
            gradients = FieldView("gradients", self.record, self.record, "one for each name behind wrt")
            return [
                RecordView(self.record, f"Gradients of {self.entry.results[0][0]}.", fields[1:]),
                RecordView(self.pair_record, f"Result of ``{self.name}``.", (value, gradients)),
            ]
        titles = {"Outputs": "Results of ``evaluate`` and ``forward``.", "Gradients": "Result of ``backward``."}
        return [RecordView(self.record, titles.get(self.record, f"Result of ``{self.name}``."), fields)]

    def _field(self, index: int) -> FieldView:
        form = self.entry.forms[index] if self.entry.forms else None
        name = self.public[index].name
        if form is not None and form.structure is not None:
            assert form.node is not None
            return FieldView(name, "Structured | np.ndarray", f"{class_name(form.structure)} | {self._array(index)}",
                             _shape_text(form.node.shape))  # fmt: skip
        buffer = self._buffer(index)
        scalar = f"np.{self.public[index].dtype_name}"
        precise = self._array(index) if buffer.rank else scalar
        note = _shape_text(buffer.shape) if buffer.rank else "scalar"
        return FieldView(name, "np.ndarray" if buffer.rank else scalar, precise, note)

    def _array(self, index: int) -> str:
        return f"NDArray[np.{self.public[index].dtype_name}]"

    def _result(self, index: int) -> ResultView:
        """The array that a public result without structure is."""
        return self.results[self.places[index]]

    def _buffer(self, index: int) -> Buffer:
        return self.result_buffers[self.places[index]]

    def _read(self, index: int) -> str:
        if self.public[index].stored:
            return f"{self.public[index].name}_result"
        variable = self._result(index).variable
        return variable if self._buffer(index).rank else f"{variable}[()]"

    def _tuple(self, indices: Sequence[int]) -> str:
        return ex.tuple_of([self._read(k) for k in indices])

    def _returned(self) -> tuple[str, tuple[str, ...], str]:
        """The value of a call; what a bound call makes once; the value of a bound call."""
        count = len(self.public)
        constants: tuple[str, ...] = ()
        if self.form == "single":
            text = bound = self._read(0)
        elif self.form == "pair":
            gradients = f"_new({self.record}, {self._tuple(range(1, count))})"
            text = f"_new({self.pair_record}, ({self._read(0)}, {gradients}))"
            if count > 1 and all(self._constant(k) for k in range(1, count)):
                constants = (f"_gradients = {gradients}",)
                bound = f"_new({self.pair_record}, ({self._read(0)}, _gradients))"
            else:
                bound = text
        else:
            text = bound = f"_new({self.record}, {self._tuple(range(count))})"
            if all(self._constant(k) for k in range(count)):
                constants, bound = (f"_results = {text}",), "_results"
        if self.forward:
            inputs = ex.tuple_of([self.variable[b] for b in self.own])
            sizes = ex.tuple_of([self.sizes[n] for n in self._residual_sizes()])
            saved = "_saved" if self.schedule.residuals else "()"
            residuals = f"Residuals({inputs}, {saved}, {sizes})"
            text, bound = f"{text}, {residuals}", f"{bound}, {residuals}"
        return text, constants, bound

    def _constant(self, index: int) -> bool:
        """Whether a bound call returns the same object each time: it fills arrays, and makes scalars anew."""
        return bool(self.public[index].stored) or self._buffer(index).rank > 0

    def _residual_sizes(self) -> list[str]:
        """The sizes that the arguments of the program determine, in their order."""
        names = {name for t in self.program.arguments for extent in t.shape for name in extent.names}
        return [name for name in self.sizes if name in names]

    # ------------------------------------------------------------------------------------------- the view
    def view(self) -> FunctionView:
        own = [self.variable[b] for b in self.own]
        extras = [self.variable[b] for b in self.extra_buffers]
        options = ["*", *(["dense=None"] if self.entry.forms and self.label == self.name else []), "out=None", "strict=False"]
        defaults: list[str] = []
        unpack: list[str] = []
        if self.backward:
            call = ["residuals", *extras]
            signature = ["residuals", *(f"{name}=None" for name in extras), *options]
            defaults = self._cotangent_defaults()
            unpack = self._unpack()
            checked = list(self.extra_buffers)
        else:
            call = [*own, *extras]
            signature = [*call, *options]
            checked = list(self.schedule.arguments)
        returned, constants, bound = self._returned()
        kernel_arguments = [self.sizes[n] for n in self.kernel.sizes]
        kernel_arguments += [self.variable[b] for b in self.kernel.arguments]
        if self.backward:
            kernel_arguments += self._saved_names()
        prepared = [*kernel_arguments]
        if self.forward:
            prepared += [self.sizes[n] for n in self._residual_sizes() if self.sizes[n] not in prepared]
            prepared += [self.variable[b] for b in self.own if self.variable[b] not in prepared]
        if self.structured:  # the shapes of structures
            mentioned = {n for f in self.entry.forms if f.structure and f.node for d in f.node.shape for n in d.names}
            prepared += [self.sizes[n] for n in self.sizes if n in mentioned and self.sizes[n] not in prepared]
        prepared += [name for name in map(self.sizes.__getitem__, self._counted()) if name not in prepared]
        prepared += [r.variable for r in self.results]
        kernel_arguments += [r.variable for r in self.results]
        kernel_call = f"{self.kernel.view.name}({', '.join(kernel_arguments)})"
        if self.forward and self.schedule.residuals:
            kernel_call = f"_saved = {kernel_call}"
        known = self._residual_sizes() if self.backward else ()
        checks = shape_checks(
            self.label,
            [Argument(self.variable[b], b.shape) for b in checked],
            self.sizes,
            known,
            () if self.backward else self.program.constraints,
            self._needed_sizes(),
        )
        whole = self.code is not None and self.schedule.residuals
        saved = "residuals._saved" if whole else "*residuals._saved"
        claimed = [*call] if not self.backward else [*extras, "*residuals._inputs", saved]
        names = [r.name for r in self.public]
        listed = tuple((view.name, view.stored, "structure") if view.stored else view.name for view in self.public)
        fields = literal(("value", ("gradients", tuple(names[1:])))) if self.form == "pair" else literal(listed)
        counted = sorted({*self.schedule.flops.names, *self.schedule.bytes.names})
        return FunctionView(
            name=self.name,
            label=self.label,
            title=self._title(),
            about=self._about(checked),
            head=definition(self.name, signature),
            bind_head=definition(f"_bind_{self.name}", signature),
            checked_head=definition(f"_{self.name}_checked", (*call, "out", "strict")),
            preparation=assignment(prepared, f"_{self.name}_checked({', '.join((*call, 'out', 'strict'))})"),
            prepared_return=tuple(wrapped(f"return {ex.tuple_of(prepared)}")),
            typed_parameters=self._typed(checked),
            takes_residuals=self.backward,
            unpack=tuple(unpack),
            defaults=tuple(defaults),
            arguments=tuple(ArgumentView(self.variable[b], _dtype_constant(b.dtype)) for b in checked),
            checks=checks,
            results=tuple(self.results),
            public=self.public,
            made=tuple(line for view in self.public for line in view.made),
            forms=bool(self.entry.forms) and self.label == self.name,
            structured=self.structured,
            room=self._room(),
            twin=self.twin,
            twin_call=f"({', '.join((*call, 'out=out', 'strict=strict'))})",
            plain_call=f"({', '.join((*call, 'dense=False', 'strict=strict'))})",
            own_inputs=ex.tuple_of([*call]) if call else "()",
            public_names=literal(tuple(names)),
            out_fields=fields,
            claimed_inputs=ex.tuple_of(claimed) if claimed else "()",
            kernel_call=tuple(wrapped(kernel_call)),
            labels=self._labels(),
            native=self._native() if self.code is not None else None,
            quick=self._quick(checks),
            returned=returned,
            bound_constants=constants,
            bound_returned=bound,
            return_type=self._return_type(),
            argument_names=literal(tuple(call)),
            count_sizes=literal(tuple(counted)),
            count_parameters=" " * bool(counted) + ", ".join(self.sizes[name] for name in counted),
            flops=ex.size(self.schedule.flops, self.sizes).text,
            bytes=ex.size(self.schedule.bytes, self.sizes).text,
            split=self._split(),
        )

    def _room(self) -> tuple[RoomView, ...]:
        """The dense derivatives; those with a structure are told what it is and takes."""
        if not self.entry.forms:
            return ()
        instead: dict[str, str] = {}
        rest = iter(self.twin_of.results if self.twin_of is not None else ())
        for form in self.twin_of.forms if self.twin_of is not None else ():
            parts = [next(rest)[1] for _ in range(form.structure.count if form.structure is not None else 1)]
            if form.structure is not None:
                kinds = " + ".join(CLASSES[term.kind] for term in form.structure.terms)
                entries = sum((prod(part.shape, start=Dim.of(1)) for part in parts), Dim.of(0))
                instead[form.name] = f', "{kinds}", _DTYPE.itemsize * ({ex.size(entries, self.sizes).text})'
        found = []
        for k, view in enumerate(self.public):
            if not view.stored:
                result, name = self._result(k), self.entry.forms[k].name
                found.append(RoomView(result.name, result.shape, instead.get(name, "")))
        return tuple(found)

    def _split(self) -> str:
        """How the entry runs in blocks of a batch, and how each result comes of them; ``None`` where it does not."""
        split = self.schedule.split
        if split is None:
            return "None"
        outputs = {name: how for name, (_, how) in zip(_result_names(self.entry), split.outputs, strict=True)}
        return literal({"label": split.label, "stages": split.stages, "outputs": outputs, "ranges": not split.whole})

    def _needed_sizes(self) -> list[str]:
        """The sizes that the kernel and the shapes of the results use."""
        used = {*self.kernel.sizes, *(n for b in self.result_buffers for extent in b.shape for n in extent.names), *self._counted()}
        return [name for name in self.sizes if name in used]

    def _integers(self) -> list[tuple[str, Dim]]:
        """The arguments with labels that the kernel reads, and what they count."""
        bounds = {tensor.name: tensor.bound for tensor in self.entry.arguments}
        found = [(self.variable[buffer], bounds.get(self.buffers[buffer])) for buffer in self.kernel.arguments]
        return [(name, bound) for name, bound in found if bound is not None]

    def _counted(self) -> list[str]:
        """The sizes of which there are labels."""
        return sorted({name for _, bound in self._integers() for name in bound.names})

    def _labels(self) -> str:
        """The arguments with labels, for the error of one that is out of range; empty where there are none."""
        parts = [f"({literal(name)}, {name}, {literal(str(bound))}, {ex.size(bound, self.sizes).text})"
                 for name, bound in self._integers()]  # fmt: skip
        return ex.tuple_of(parts) if parts else ""

    def _native(self) -> NativeCallView:
        """The call of the flat C function: sizes, arguments, residuals, results."""
        assert self.code is not None
        entry = self.code.entries[self.entry.name]
        names = {buffer.name: self.variable[buffer] for buffer in self.schedule.arguments}
        arrays = [names[name] for name in entry.arguments]
        results = [result.variable for result in self.results]
        sizes = [self.sizes[name] for name in entry.sizes]

        def call(address: str, saved: str) -> tuple[str, ...]:
            values = [address.format(name) for name in arrays]
            values += [saved] if entry.residuals else []
            values += [address.format(name) for name in results]
            return tuple(wrapped(f"_status = _lib.{entry.function}({', '.join((*sizes, *values))})"))

        fixed = [*arrays, *results] if self.forward or not entry.residuals else [*arrays, "_saved", *results]
        taken = [f"{name}_at" for name in fixed]
        values = [f"_address({name})" for name in fixed]
        addresses: tuple[str, ...] = tuple(f"{at} = {value}" for at, value in zip(taken, values, strict=True))
        if len(fixed) > 1:
            addresses = assignment(taken, ", ".join(values))
        saved_size = ""
        if self.forward and self.code.residual_sizes is not None:
            among = ", ".join(self.sizes[name] for name in self.code.residual_sizes)
            saved_size = f"_lib.{self.module}_call_residuals({among})"
        return NativeCallView(
            call=call("_address({})", "_address(_saved)"),
            addresses=addresses,
            bound_call=call("{}_at", "_address(_saved)" if self.forward else "_saved_at"),
            saved_size=saved_size,
            saved_maker=saved_maker(self.schedule, self.real),
            recycled=tuple(result.variable for result in self.results if result.maker != "_empty"),
        )

    def _quick(self, checks: Sequence[CheckView]) -> QuickCallView | None:
        """The call on arrays that need no conversion."""
        entry = None if self.code is None else self.code.entries[self.entry.name]
        if entry is None or entry.quick is None:
            return None
        sizes: list[str] = []
        for check in checks:
            sizes += [f"if {check.condition}:", "    raise ValueError"] if check.constraint else check.assignments
        names = {buffer.name: self.variable[buffer] for buffer in self.schedule.arguments}
        objects = [*(names[name] for name in entry.quick.arrays), *(["_saved"] if entry.residuals else [])]
        objects += [result.variable for result in self.results]
        given = [*(self.sizes[name] for name in entry.quick.sizes), "_brought", *(f"_id({name})" for name in objects)]
        call = tuple(wrapped(f"_status = _lib.{entry.quick.function}({', '.join(given)})"))
        return QuickCallView(tuple(sizes), () if self.structured or self.backward else self._parts(), call)

    def _parts(self) -> tuple[str, ...]:
        """Results of the caller, given as the function returns them."""
        def apart(targets: Sequence[str], given: str) -> tuple[str, ...]:
            return (f"if not isinstance({given}, tuple):", "    raise TypeError", *assignment(targets, given))

        first, *others = (result.variable for result in self.results)
        if self.form == "single":
            return (f"{first} = out",)
        if self.form == "pair":
            return (*apart([first, "_inner"], "out"), *apart(others, "_inner"))
        return apart([first, *others], "out")

    def _saved_names(self) -> list[str]:
        if self.code is not None:
            return ["_saved"] if self.schedule.residuals else []
        return [f"_saved_{k}" for k, b in enumerate(self.schedule.residuals) if b in self.kernel.residuals]

    def _unpack(self) -> list[str]:
        """Inputs, saved arrays and sizes out of the residuals: only those that are needed."""
        lines = []
        for k, buffer in enumerate(self.own):
            if buffer in self.kernel.arguments:
                lines.append(f"{self.variable[buffer]} = residuals._inputs[{k}]")
        if self.code is not None and self.schedule.residuals:
            lines.append("_saved = residuals._saved")
        for k, buffer in enumerate(self.schedule.residuals):
            if buffer in self.kernel.residuals and self.code is None:
                lines.append(f"_saved_{k} = residuals._saved[{k}]")
        sizes = self._residual_sizes()
        if sizes:
            lines += assignment([self.sizes[n] for n in sizes], "residuals._sizes")
        return lines

    def _cotangent_defaults(self) -> list[str]:
        """With no cotangent given, the target's is 1; an omitted one is 0."""
        extras = [self.variable[b] for b in self.extra_buffers]
        target = self._target_index()
        lines = []
        for k, (name, buffer) in enumerate(zip(extras, self.extra_buffers, strict=True)):
            shape = ex.shape(buffer.shape, self.sizes)
            if k == target:
                others = [other for other in extras if other != name]
                none_given = " and ".join(f"{other} is None" for other in others)
                value = f"1.0 if {none_given} else 0.0" if others else "1.0"
                lines.append(f"{name} = _default({name}, {shape}, {value})")
        for k, (name, buffer) in enumerate(zip(extras, self.extra_buffers, strict=True)):
            if k != target:
                lines.append(f"{name} = _default({name}, {ex.shape(buffer.shape, self.sizes)}, 0.0)")
        return lines

    def _target_index(self) -> int:
        request = self.entry.request
        target = request.output if request is not None else self.extras[0]
        return self.extras.index(target) if target in self.extras else 0

    def _return_type(self) -> str:
        if self.form == "single":
            return self._field(0).precise_type
        if self.form == "pair":
            return self.pair_record
        return f"tuple[{self.record}, Residuals]" if self.forward else self.record

    def _typed(self, checked: Sequence[Buffer]) -> tuple[str, ...]:
        if self.backward:
            return ("residuals: Residuals", *(f"{self.variable[b]}: ArrayLike | None = None" for b in checked))
        return tuple(f"{self.variable[b]}: ArrayLike" for b in checked)

    def _title(self) -> str:
        request = self.entry.request
        target = request.output if request is not None else ""
        return {
            "evaluate": "The results of the model.",
            "forward": "The results of the model, and the residuals that ``backward`` needs.",
            "backward": "Gradients from the residuals of ``forward`` and cotangents of the results.",
            "value_and_grad": f"{target} and its gradients, in one pass.",
        }.get(self.entry.name) or _request_title(self.entry)

    def _about(self, checked: Sequence[Buffer]) -> tuple[str, ...]:
        lines = ["Arguments"]
        if self.backward:
            lines.append("    residuals: from ``forward``; never written: several calls and threads may share it")
        for buffer in checked:
            lines.append(f"    {self.variable[buffer]}: {self._kind(buffer)}")
        if self.structured:
            lines.append("    dense: arrays with all their zeros instead of structures; by default where out has an array")
        elif self.entry.forms:
            lines.append("    dense: without effect, no result has a structure that saves memory")
        lines += [
            "    out: arrays to fill, as a tuple like the result or a mapping",
            "    strict: refuse arrays that would have to be converted",
            "",
            "Results",
        ]
        for k, view in enumerate(self.public):
            lines.append(f"    {view.name}: {self._described(k)}")
        formulas = docstring_lines(self.program, self.entry.whole)
        if formulas:
            lines += ["", "Formulas", *(f"    {formula}" for formula in formulas)]
        return tuple(docstring_text(line) for line in lines)

    def _described(self, index: int) -> str:
        form = self.entry.forms[index] if self.entry.forms else None
        if form is None or form.structure is None or form.node is None:
            text = self._kind(self._buffer(index))
            return f"{text}, symmetric" if form is not None and form.symmetric else text
        kinds = [term.kind for term in form.structure.terms]
        shape, name = _shape_text(form.node.shape), class_name(form.structure)
        how = f"{name} of {' + '.join(kinds)}" if len(kinds) > 1 else name
        count = self.public[index].entries
        return f"{how}, shape {shape}{', symmetric' if form.structure.symmetric else ''}; stores {count} entries"

    def _kind(self, buffer: Buffer) -> str:
        dtype = dtype_name(buffer.dtype, self.dtype)
        return f"{dtype} array of shape {_shape_text(buffer.shape)}" if buffer.rank else f"{dtype} scalar"


RESERVED = MODULE_NAMES | {"bind", *NAMES}
"""Names that a function of a module cannot have."""

_OWN = ("evaluate", "forward", "backward", "value_and_grad")


def function_name(entry: str) -> str:
    """What the function of an entry is called in a module: ``np`` is ``np_``."""
    return entry if entry in _OWN else python_name(entry, RESERVED)


def _extra_name(name: str, backward: bool) -> str:
    """``backward`` takes cotangents under the names of the outputs; others as they are called (``bar_y``, ``d_x``)."""
    return name.removeprefix("bar_") if backward else name


def _result_names(entry: Entry) -> list[str]:
    """Public names of results: gradients are called like what they are gradients by."""
    names = [name for name, _ in entry.results]
    request = entry.request
    if request is not None and request.kind == "gradient":
        offset = len(names) - len(request.wrt)
        if offset in (0, 1):
            return [*names[:offset], *request.wrt]
    return names


def _request_title(entry: Entry) -> str:
    request = entry.request
    if request is None:
        return f"{entry.name} of the model."
    wrt = ", ".join(request.wrt)
    kinds = {
        "gradient": f"Gradients of {request.output} by {wrt}.",
        "jacobian": f"The Jacobian of {request.output} by {wrt}.",
        "hessian": f"The second derivative of {request.output} by {wrt}.",
        "jvp": f"The differential of {request.output} for an increment of {wrt}.",
        "vjp": f"The cotangent of {wrt} for one of {request.output}.",
        "hvp": f"The second derivative of {request.output} by {wrt}, times a vector.",
    }
    return kinds[request.kind]


def _shape_text(shape: Shape) -> str:
    return f"({', '.join(str(extent) for extent in shape)}{',' if len(shape) == 1 else ''})"


def docstring_text(text: str) -> str:
    text = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return "".join(c if c.isprintable() or c == " " else " " for c in text)


def dtype_name(kind: DType, dtype: str) -> str:
    return {"real": dtype, "integer": "int64", "boolean": "bool"}[kind]


def _dtype_constant(kind: DType) -> str:
    return {"real": "_DTYPE", "integer": "_INTEGER", "boolean": "_BOOLEAN"}[kind]
