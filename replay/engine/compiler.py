"""numba's njit with this package's cache, which replay.engine.accelerate loads and calls.

numba serves stale machine code when a function that a cached one calls changes in another file, so
the cache folder's name holds a hash of every source that may be compiled. Where no folder can be
written, functions are compiled in each process.
"""

from __future__ import annotations

import gc
import os
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numba
from numba import njit
from numba.core import caching, codegen, compiler, config, event

from replay.engine.accelerate import HOOKS

settings: Any = config


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


_PART = {
    "pipeline_class": _PartCompiler,
    "_nrt": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "error_model": "numpy",
}


def compiled(function: Any, *, cache: bool = True, part: bool = False, **options: Any) -> Any:
    """Hand `function` to numba with this package's cache folder, where there is one.

    `part`: only compiled functions call it; `cache` is as for numba, and so are the others.
    """
    if part:
        options |= _PART
    folder = _cache_folder(_hooks_of(function)) if cache else None
    before = settings.CACHE_DIR
    settings.CACHE_DIR = folder or before
    try:
        made: Any = njit(nogil=True, cache=folder is not None, **options)(function)
        if folder and not options.get("_nrt", True):
            made._cache = (_PartCache if part else _Cache)(function)
    finally:
        settings.CACHE_DIR = before
    return made


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
