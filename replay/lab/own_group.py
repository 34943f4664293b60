"""One scheduling group for everything that the bench runs.

Linux gives every terminal session an equal share of a CPU, and nice values count only within
one. So server, spinner and client must be of one session, or the idle spinner would take half
of the server's CPU; and the session as a whole must come before the others.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from replay.lab import machine, system
from replay.lab.interrupt import SIGNALS

AUTOGROUP = Path("/proc/self/autogroup")


def run(work: Callable[[], int]) -> int:
    """Do the work in a child process with a session of its own; returns its exit status."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    child = os.fork()
    if child == 0:
        _be_the_child(work)
    # A terminal's Ctrl-C reaches only this process: pass it on.
    before = {
        number: signal.signal(number, lambda received, _: os.kill(child, received))
        for number in SIGNALS
    }
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    _, status = os.waitpid(child, 0)
    for number, handler in before.items():
        signal.signal(number, handler)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _be_the_child(work: Callable[[], int]) -> None:
    status = 1
    try:
        system.die_with_parent()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.setsid()
        if AUTOGROUP.exists():
            AUTOGROUP.write_text(f"{machine.FIRST}\n")
        status = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
