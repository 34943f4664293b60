"""replay.engine.intrinsics, as numba compiles them."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np import arrayobj

from replay.engine.intrinsics_python import LINE

arrays: Any = arrayobj


@intrinsic
def bit_length(typing: Any, value: Any) -> Any:
    """Build the number of bits of an int64, not negative."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zeros = builder.ctlz(arguments[0], ir.IntType(1)(0))
        return builder.sub(ir.IntType(64)(64), zeros)

    return types.int64(types.int64), build


@intrinsic
def trailing_zeros(typing: Any, value: Any) -> Any:
    """Build the zero bits below the lowest one."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, True))

    return types.int64(types.int64), build


@intrinsic
def folded(typing: Any, one: Any, other: Any) -> Any:
    """Build the exclusive or of the halves of a product."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(*(builder.sext(it, wide) for it in arguments))
        upper = builder.ashr(product, wide(64))
        return builder.trunc(builder.xor(product, upper), ir.IntType(64))

    return types.int64(types.int64, types.int64), build


@intrinsic
def prefetch(typing: Any, array: Any, index: Any) -> Any:
    """Build a request for an item that is soon to be written, to be near, of data."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = arrays.make_array(array)(context, builder, arguments[0]).data
        flag, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, flag, flag, flag])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
        item = builder.bitcast(builder.gep(data, [arguments[1]]), pointer)
        builder.call(function, [item, flag(1), flag(3), flag(1)])
        return context.get_dummy_value()

    return types.void(array, index), build


@intrinsic
def add_line(typing: Any, array: Any, to: Any, line: Any) -> Any:
    """Build the sum of two lines as one vector."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = arrays.make_array(array)(context, builder, arguments[0]).data
        vector = ir.VectorType(ir.IntType(64), LINE).as_pointer()
        places = [builder.bitcast(builder.gep(data, [it]), vector) for it in arguments[1:]]
        numbers = [builder.load(it, align=8) for it in places]
        builder.store(builder.add(*numbers), places[0], align=8)
        return context.get_dummy_value()

    return types.void(array, to, line), build


def array_at(dtype: Any) -> Any:
    """Return a function (address, count) -> array of memory that somebody else keeps alive."""
    array_type = types.Array(numba.from_dtype(np.dtype(dtype)), 1, "C")
    item_size = np.dtype(dtype).itemsize

    @intrinsic
    def made(typing: Any, address: Any, count: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = arrays.make_array(array_type)(context, builder)
            size = context.get_constant(types.intp, item_size)
            data = builder.inttoptr(arguments[0], array.data.type)
            arrays.populate_array(array, data, [arguments[1]], [size], size, None)
            return array._getvalue()

        return array_type(types.int64, types.int64), build

    return made
