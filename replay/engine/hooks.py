"""Where a mechanism that no kernel has yet can be tried: three decisions, as the kernel makes them.

A mechanism of your own is a Python file that defines any of the three functions below anew, with
the same arguments, in arithmetic on whole numbers. The environment variable REPLAY_HOOKS names the
file and is read once, as the engine is imported; `replay whatif --hooks FILE` sets it. The hooks
decide for policies that are `hooked`, the kernel for all others and for what the file leaves out.

Times are int64 ns since the trace's start. Hooks only see their arguments: they keep no state. What
they return is kept within what can happen: no interrupt before it is armed, no negative duration,
and none above 60 s, the longest timer that the kernel's knobs can ask for. A division by zero is 0.
"""

from __future__ import annotations

from pathlib import Path

from replay.engine.accelerate import HOOKS, jit_inline
from replay.engine.hook_file import read_hooks
from replay.units import NEVER, SECOND

LONGEST = 60 * SECOND


def _at_first(first_ns: int, armed_ns: int, last_ns: int) -> int:
    return first_ns


def _as_the_kernel(timeout_ns: int, work: int, count: int) -> int:
    return timeout_ns


def _sleep(spun_ns: int) -> int:
    return 0


#: The file that is in force.
FILE = Path(HOOKS).resolve() if HOOKS else None

#: DECIDES names the hooks that the file defines.
_hooks, DECIDES = read_hooks(
    FILE,
    {"interrupt_at": _at_first, "after_poll": _as_the_kernel, "found_nothing": _sleep},
)
_interrupt_at, _after_poll, _found_nothing = _hooks.values()

#: Whether the file says when the device signals, instead of its coalescing.
INTERRUPTS = "interrupt_at" in DECIDES


@jit_inline
def interrupt_at(first_ns: int, armed_ns: int, last_ns: int) -> int:
    """Return when the device signals: there is work since `first_ns`, it last signalled at
    `last_ns`, and the driver armed the interrupt at `armed_ns`, before which it cannot.

    It decides for received packets and for transmissions, instead of all coalescing.
    """
    return int(min(max(_interrupt_at(first_ns, armed_ns, last_ns), armed_ns), NEVER))


@jit_inline
def after_poll(timeout_ns: int, work: int, count: int) -> int:
    """Return the timer to start after a poll that found `work` packets; 0 arms the interrupt.

    `timeout_ns` is what the kernel would do, `count` the empty polls that deferral still has.
    """
    return int(min(max(_after_poll(timeout_ns, work, count), 0), LONGEST))


@jit_inline
def found_nothing(spun_ns: int) -> int:
    """Return how long to look on where epoll_wait found nothing after `spun_ns`; 0 sleeps.

    What arrives meanwhile is noticed at the end of that time.
    """
    return int(min(max(_found_nothing(spun_ns), 0), LONGEST))
