"""A file of hooks: read, checked and compiled before anything runs, or refused in one line."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable
from inspect import isfunction, signature
from pathlib import Path
from types import ModuleType
from typing import Any

from replay.engine.accelerate import interpreted, jit_inline
from replay.errors import PolicyError, nearest

Hook = Callable[..., Any]


def read_hooks(path: Path | None, defaults: dict[str, Hook]) -> tuple[dict[str, Hook], list[str]]:
    """Return a compiled hook for each name in `defaults`, and which of them the file has.

    Functions of the file whose names begin with an underscore are compiled too: hooks may call
    them. Raises PolicyError, in one line that names the file, and the line where there is one.
    """
    kernels = {name: jit_inline(function) for name, function in defaults.items()}
    if path is None:
        return kernels, []
    module = _execute(path)
    own = {
        name: function
        for name, function in vars(module).items()
        if name in defaults or (isfunction(function) and function.__module__ == module.__name__)
    }
    for name, function in own.items():
        _check(path, name, function, defaults)
        setattr(module, name, jit_inline(function))
    found = {name: getattr(module, name) for name in defaults if name in own}
    if not found:
        raise PolicyError(f"{path}: defines none of {', '.join(defaults)}")
    if not interpreted():
        for name, hook in found.items():
            _compile(path, own[name], hook)
    return kernels | found, list(found)


def _execute(path: Path) -> ModuleType:
    """Run the file as a module. No byte code is kept: it would outlive a quick edit."""
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except OSError as error:
        raise PolicyError(f"{path}: cannot be read: {error.strerror}") from None
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise PolicyError(f"{path}:{line}: {getattr(error, 'msg', error)}") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise | ast.Assert):
            raise PolicyError(
                f"{path}:{node.lineno}: hooks cannot raise or assert: nobody could catch it"
            )
    module = ModuleType(f"replay_hooks_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where numba looks for a function's globals
    try:
        exec(compile(tree, str(path), "exec"), vars(module))
    except (Exception, SystemExit) as error:
        line, at = 1, error.__traceback__
        while at:
            line = at.tb_lineno if at.tb_frame.f_code.co_filename == str(path) else line
            at = at.tb_next
        raise PolicyError(f"{path}:{line}: {type(error).__name__}: {error}") from None
    return module


def _arguments(function: Hook) -> str:
    """Return the names of a function's arguments, as one writes them."""
    return ", ".join(signature(function).parameters)


def _check(path: Path, name: str, function: Hook, defaults: dict[str, Hook]) -> None:
    """Refuse what is no hook, or takes other arguments."""
    if not isfunction(function):
        raise PolicyError(f"{path}: {name} is no plain function; it is compiled for you")
    line = function.__code__.co_firstlineno
    if name not in defaults:
        if name.startswith("_"):
            return
        raise PolicyError(
            f"{path}:{line}: {name} is none of {', '.join(defaults)}{nearest(name, defaults)}"
            " (a helper's name begins with _)"
        )
    given, asked = _arguments(function), _arguments(defaults[name])
    if given != asked:
        raise PolicyError(f"{path}:{line}: {name}({given}) must be {name}({asked})")


def _compile(path: Path, function: Hook, hook: Any) -> None:
    """Compile for int64, so that what cannot be compiled is said here and not in the engine."""
    from numba import types

    try:
        hook.compile((types.int64,) * len(signature(function).parameters))
    except Exception as error:
        text = str(error)
        at = re.search(re.escape(str(path)) + r" \((\d+)\)", text)
        line = at[1] if at else function.__code__.co_firstlineno
        said = [part for part in text.splitlines() if part and not part.startswith("Failed in")]
        raise PolicyError(
            f"{path}:{line}: {function.__name__} cannot be compiled, only arithmetic on whole"
            f" numbers can: {said[0] if said else type(error).__name__}"
        ) from None
    (answer,) = {each.return_type for each in hook.nopython_signatures}
    if not isinstance(answer, types.Integer):
        raise PolicyError(
            f"{path}:{function.__code__.co_firstlineno}: {function.__name__} returns {answer},"
            " a whole number of ns is needed on every path"
        )
