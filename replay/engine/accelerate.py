"""The only place that compiles: `jit` is numba's njit with this package's cache.

numba serves stale machine code when a function that a cached one calls changes in another file, so
the cache folder's name holds a hash of every source that may be compiled. Where no folder can be
written, functions are compiled in each process.
"""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable
from functools import cache, lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.core import caching, codegen, compiler, config, event
from numba.extending import intrinsic
from numba.np import arrayobj

settings: Any = config
arrays: Any = arrayobj
Function = TypeVar("Function", bound=Callable[..., Any])

#: The user's file of hooks (see replay.engine.hooks), one a process.
HOOKS = os.environ.get("REPLAY_HOOKS", "")


def jit(function: Function) -> Function:
    """Compile `function` without Python objects and without the GIL, cached for this user."""
    return _compile(function)


def jit_here(function: Function) -> Function:
    """Compile like `jit` a function that calls addresses of this process: it cannot be cached."""
    return cast(Function, njit(nogil=True)(function))


def jit_in_place(function: Function) -> Function:
    """Compile like `jit` a function that allocates nothing: its arguments are not counted."""
    return _compile(function, _nrt=False)


def jit_inside(function: Function) -> Function:
    """Compile like `jit_in_place` a function that only compiled functions call."""
    return _compile(function, **_INSIDE, forceinline=False)  # unset, it takes its caller's


def jit_inline(function: Function) -> Function:
    """Compile like `jit_inside` a function whose calls are replaced by its code."""
    return _compile(function, **_INSIDE, forceinline=True)


class _Cache(caching.FunctionCache):
    """numba's cache, of functions that need nothing but their machine code.

    numba fills its registries of types and functions before it loads the first one: that takes
    three times as long as loading, and is for compiling, which sees to it as well.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)  # type: ignore[no-untyped-call]


class _NoCollection(event.Listener):
    """No garbage is collected while numba compiles: it takes a tenth of the time and finds little.

    What compiles is compiled under numba's lock, and what that calls within it.
    """

    def __init__(self) -> None:
        self.depth, self.enabled = 0, False

    def on_start(self, event: Any) -> None:
        if self.depth == 0:
            self.enabled = gc.isenabled()
            gc.disable()
        self.depth += 1

    def on_end(self, event: Any) -> None:
        self.depth -= 1
        if self.depth == 0 and self.enabled:
            gc.enable()


event.register("numba:compile", _NoCollection())  # type: ignore[no-untyped-call]


class _Part(codegen.JITCodeLibrary):
    """Code of a function that only compiled ones call: no machine code is made of it alone.

    It is linked into its callers' code and optimised there, once, instead of at every level.
    """

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        return 0

    @property
    def codegen(self) -> Any:
        return self

    def set_env(self, name: str, environment: Any) -> None:
        """Without machine code there is no variable that holds the environment."""

    def serialize_using_object_code(self) -> Any:
        return self.serialize_using_bitcode()  # type: ignore[no-untyped-call]


class _PartCompiler(compiler.Compiler):
    """numba's compiler, into a `_Part`."""

    def __init__(self, typing: Any, target: Any, library: Any, *rest: Any) -> None:
        part = library or _Part(target.codegen(), "part")  # type: ignore[no-untyped-call]
        super().__init__(typing, target, part, *rest)  # type: ignore[no-untyped-call]


class _PartLoader(caching.CompileResultCacheImpl):
    """Loads a `_Part` as one: of any other library the code is compiled, as it is, and called."""

    def rebuild(self, target: Any, payload: Any) -> Any:
        generator = target.codegen()
        generator._library_class = _Part
        try:
            return super().rebuild(target, payload)  # type: ignore[no-untyped-call]
        finally:
            del generator._library_class  # the generator's class has its own


class _PartCache(caching.FunctionCache):
    """numba's cache, of `_Part`s."""

    _impl_class = _PartLoader


_INSIDE = {
    "pipeline_class": _PartCompiler,
    "_nrt": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "error_model": "numpy",
}


def _compile(function: Function, **options: Any) -> Function:
    """Hand `function` to numba with this package's cache folder, where there is one."""
    folder = _cache_folder(_hooks_of(function))
    before = settings.CACHE_DIR
    settings.CACHE_DIR = folder or before
    try:
        compiled: Any = njit(nogil=True, cache=folder is not None, **options)(function)
        if folder and not settings.DISABLE_JIT and not options.get("_nrt", True):
            kept = _PartCache if "pipeline_class" in options else _Cache
            compiled._cache = kept(function)
    finally:
        settings.CACHE_DIR = before
    return cast(Function, compiled)


def _hooks_of(function: Any) -> str:
    """Return the file whose hooks `function` may call, if there is one: all else stays compiled."""
    callers = ("replay.engine.general.", "replay.engine.hooks", "replay_hooks_")
    return HOOKS if function.__module__.startswith(callers) else ""


@cache
def _cache_folder(hooks: str) -> str | None:
    """Return this user's folder for these sources, made where it is missing; None without one."""
    home = os.environ.get("REPLAY_CACHE") or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(home).expanduser() / "replay" / _sources_hash(hooks)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return str(folder) if os.access(folder, os.W_OK) else None


def compiled_sources() -> list[Path]:
    """Return the files that hold compiled functions, and those whose numbers are frozen in them."""
    package = Path(__file__).parent.parent
    numbers = [package / "units.py", package / "trace" / "schema.py"]
    rooms = (package / room for room in ("engine", "ingest", "layout"))
    return numbers + [source for room in rooms for source in sorted(room.glob("**/*.py"))]


def _sources_hash(hooks: str) -> str:
    """Return a hash of all that decides the machine code: sources, hooks, numba, bounds checks."""
    state = blake2b(digest_size=10)
    state.update(f"{numba.__version__} {settings.BOUNDSCHECK}".encode())
    for source in compiled_sources():
        state.update(source.read_bytes())
    if hooks and os.path.isfile(hooks):  # where it is not, replay.engine.hooks says so
        state.update(Path(hooks).read_bytes())
    return state.hexdigest()


def _bit_length() -> Any:
    """Return a function (value): the number of bits of an int64, not negative."""

    def typed(typing: Any, value: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            zeros = builder.ctlz(arguments[0], ir.IntType(1)(0))
            return builder.sub(ir.IntType(64)(64), zeros)

        return types.int64(types.int64), build

    def interpreted(value: int) -> int:
        return int(value).bit_length()

    return interpreted if settings.DISABLE_JIT else intrinsic(typed)


bit_length = _bit_length()


@jit_inline
def at(index: int) -> Any:
    """Return `index`, not negative, as numba need not ask whether it counts from an array's end."""
    return np.uint64(index)


def _folded() -> Any:
    """Return a function (one, other): the halves of the product of two int64, lower xor upper."""

    def typed(typing: Any, one: Any, other: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            wide = ir.IntType(128)
            product = builder.mul(*(builder.sext(it, wide) for it in arguments))
            upper = builder.ashr(product, wide(64))
            return builder.trunc(builder.xor(product, upper), ir.IntType(64))

        return types.int64(types.int64, types.int64), build

    def interpreted(one: int, other: int) -> Any:
        product = int(one) * int(other)
        return np.int64(((product ^ product >> 64) + (1 << 63)) % (1 << 64) - (1 << 63))

    return interpreted if settings.DISABLE_JIT else intrinsic(typed)


folded = _folded()


def _prefetch() -> Any:
    """Return a function (array, index): ask the CPU for an item that is soon to be read."""

    def typed(typing: Any, array: Any, index: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            data = arrays.make_array(array)(context, builder, arguments[0]).data
            flag, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
            kind = ir.FunctionType(ir.VoidType(), [pointer, flag, flag, flag])
            function = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
            item = builder.bitcast(builder.gep(data, [arguments[1]]), pointer)
            builder.call(function, [item, flag(1), flag(3), flag(1)])  # to write, near, data
            return context.get_dummy_value()

        return types.void(array, index), build

    def interpreted(array: Any, index: int) -> None:
        pass

    return interpreted if settings.DISABLE_JIT else intrinsic(typed)


prefetch = _prefetch()


LINE = 8  # numbers of a cache line


def _add_line() -> Any:
    """Return a function (array, to, line): add the LINE numbers at `line` to those at `to`."""

    def typed(typing: Any, array: Any, to: Any, line: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            data = arrays.make_array(array)(context, builder, arguments[0]).data
            vector = ir.VectorType(ir.IntType(64), LINE).as_pointer()
            places = [builder.bitcast(builder.gep(data, [it]), vector) for it in arguments[1:]]
            numbers = [builder.load(it, align=8) for it in places]
            builder.store(builder.add(*numbers), places[0], align=8)
            return context.get_dummy_value()

        return types.void(array, to, line), build

    def interpreted(array: Any, to: int, line: int) -> None:
        array[to : to + LINE] += array[line : line + LINE]

    return interpreted if settings.DISABLE_JIT else intrinsic(typed)


add_line = _add_line()


def _trailing_zeros() -> Any:
    """Return a function value -> number of zero bits below its lowest one; value is not 0."""

    def typed(typing: Any, value: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.cttz(arguments[0], context.get_constant(types.boolean, True))

        return types.int64(types.int64), build

    def interpreted(value: int) -> int:
        return (int(value) & -int(value)).bit_length() - 1

    return interpreted if settings.DISABLE_JIT else intrinsic(typed)


trailing_zeros = _trailing_zeros()


def array_at(dtype: Any) -> Any:
    """Return a function (address, count) -> array of memory that somebody else keeps alive."""
    item = numba.from_dtype(np.dtype(dtype))
    item_size = np.dtype(dtype).itemsize

    def typed(typing: Any, address: Any, count: Any) -> Any:
        array_type = types.Array(item, 1, "C")

        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = arrays.make_array(array_type)(context, builder)
            size = context.get_constant(types.intp, item_size)
            data = builder.inttoptr(arguments[0], array.data.type)
            arrays.populate_array(array, data, [arguments[1]], [size], size, None)
            return array._getvalue()

        return array_type(types.int64, types.int64), build

    @lru_cache(maxsize=64)
    def interpreted(address: int, count: int) -> npt.NDArray[Any]:
        raw = (ctypes.c_uint8 * (int(count) * item_size)).from_address(int(address))
        array: npt.NDArray[Any] = np.frombuffer(raw, dtype)
        return array if array.dtype.names is None else array.view(np.recarray)

    return interpreted if settings.DISABLE_JIT else intrinsic(typed)


int64s_at = array_at(np.int64)
bytes_at = array_at(np.uint8)
