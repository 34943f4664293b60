"""The only place that compiles: `jit` is numba's njit with this package's cache.

Where NUMBA_DISABLE_JIT is set, or `interpret` was called first, functions stay Python's and numba
is not loaded: that takes longer than a small input does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])

#: The user's file of hooks (see replay.engine.hooks), one a process.
HOOKS = os.environ.get("REPLAY_HOOKS", "")

_interpreted = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")


def interpreted() -> bool:
    """Whether this process leaves functions as they are."""
    return _interpreted


def interpret() -> None:
    """Leave functions as they are in all modules that this process loads from now on."""
    global _interpreted
    _interpreted = True


def jit(function: Function) -> Function:
    """Compile `function` without Python objects and without the GIL, cached for this user."""
    return _compile(function)


def jit_here(function: Function) -> Function:
    """Compile like `jit` a function that calls addresses of this process: it cannot be cached."""
    return _compile(function, cache=False)


def jit_in_place(function: Function) -> Function:
    """Compile like `jit` a function that allocates nothing: its arguments are not counted."""
    return _compile(function, _nrt=False)


def jit_inside(function: Function) -> Function:
    """Compile like `jit_in_place` a function that only compiled functions call."""
    return _compile(function, part=True, forceinline=False)  # unset, it takes its caller's


def jit_inline(function: Function) -> Function:
    """Compile like `jit_inside` a function whose calls are replaced by its code."""
    return _compile(function, part=True, forceinline=True)


def _compile(function: Function, **options: Any) -> Function:
    """Hand `function` to the compiler, if this process has one."""
    if _interpreted:
        return function
    from replay.engine.compiler import compiled

    return cast(Function, compiled(function, **options))
