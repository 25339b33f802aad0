"""The compiler's side of `rtdenoise.kernels.sized`: a record type whose arrays have sizes that are data."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import intrinsic, models, register_model
from numba.np import arrayobj, numpy_support

from rtdenoise.kernels.sized import PLACE

_I32, _I64 = ir.IntType(32), ir.IntType(64)


class SizedRecord(types.Record):  # type: ignore[misc]  # numba has no type hints
    """A header with its arrays as attributes."""

    name: str
    fields: dict[str, Any]

    def __init__(self, fields: Any, size: int, aligned: bool) -> None:
        super().__init__(fields, size, aligned)
        self.name = f"Sized{self.name}"
        # numba would take a whole record for a header, whose fields are its leading fields: not in another order
        self.fields = dict(reversed(self.fields.items()))
        self.arrays = {}
        for place in self.fields:
            if place.startswith(PLACE):
                _, n_dimensions, kind, name = place.split("_", 3)
                dtype = numpy_support.from_dtype(np.dtype(kind))
                self.arrays[name] = (place, types.Array(dtype, int(n_dimensions), "C"))

    def can_convert_to(self, typingctx: Any, other: Any) -> Any:
        """Return None: unlike other records, it is not one of a type with fewer fields."""
        return None


register_model(SizedRecord)(models.RecordModel)


@infer_getattr
class _Attributes(AttributeTemplate):  # type: ignore[misc]
    key = SizedRecord

    def generic_resolve(self, record: Any, name: str) -> Any:
        if name in record.arrays:
            return record.arrays[name][1]
        kind = record.typeof(name)  # no shape in the type: what takes such an array is compiled once for all
        return types.Array(kind.dtype, kind.ndim, "C") if isinstance(kind, types.NestedArray) else kind


@lower_getattr_generic(SizedRecord)  # type: ignore[untyped-decorator]
def _attribute(context: Any, builder: Any, kind: Any, record: Any, name: str) -> Any:
    if name not in kind.arrays:
        return arrayobj.record_getattr(context, builder, kind, record, name)
    place, array = kind.arrays[name]
    start, *shape = _place(builder, cgutils.get_record_member(builder, record, kind.offset(place), _I32))
    itemtype = context.get_data_type(array.dtype)
    itemsize = context.get_abi_sizeof(itemtype)
    shape = shape[-array.ndim :]
    strides = [_I64(itemsize)]
    if array.ndim > 1:
        strides.insert(0, builder.mul(shape[1], _I64(itemsize), flags=("nsw",)))
    view = context.make_array(array)(context, builder)
    at = builder.gep(builder.bitcast(record, cgutils.voidptr_t), [start], inbounds=True)
    arrayobj.populate_array(
        view,
        data=builder.bitcast(at, itemtype.as_pointer()),
        shape=cgutils.pack_array(builder, shape),
        strides=cgutils.pack_array(builder, strides),
        itemsize=_I64(itemsize),
        meminfo=None,
        parent=None,
    )
    return view._getvalue()


def _place(builder: Any, at: Any) -> list[Any]:
    """Start in bytes, rows and columns; the compiler may take it that no one writes them."""
    numbers = []
    for k in range(3):
        number = builder.load(builder.gep(at, [_I64(k)]), align=4)
        number.set_metadata("invariant.load", builder.module.add_metadata([]))
        numbers.append(builder.zext(number, _I64))  # from 32 bits: known to be positive
    return numbers


@intrinsic  # type: ignore[untyped-decorator]
def opened(typingctx: Any, record: Any) -> Any:
    """Return a record whose arrays can be read as its attributes; one that is not a header is returned as it is."""
    fields = [(name, field._asdict()) for name, field in record.fields.items()]
    is_header = any(name.startswith(PLACE) and name.split("_", 3)[3] not in record.fields for name, _ in fields)
    kind = SizedRecord(fields, record.size, record.aligned) if is_header else record

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return args[0]

    return kind(record), codegen
