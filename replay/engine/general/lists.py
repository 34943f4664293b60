"""First-in-first-out lists of queues and tasks: run queues, poll lists, threads to wake.

Each queue and each task is in at most one list at a time, so one link a node is enough.
"""

from __future__ import annotations

from typing import Any

from replay.engine.accelerate import jit_inline, jit_inside
from replay.engine.general.state import NOTHING, lists_at
from replay.engine.intrinsics import at, int64s_at

# A CPU's lists of queues and of tasks; every task has one of queues besides
POLL_LIST, THIS_PASS, AGAIN, FIFO, WAITING, IPIS, LISTS_PER_CPU = 0, 1, 2, 3, 4, 5, 6


@jit_inline
def cpu_list(cpu: int, which: int) -> int:
    """Return the number of a CPU's list."""
    return cpu * LISTS_PER_CPU + which


@jit_inline
def task_list(g: Any, task: int) -> int:
    """Return the number of a NAPI thread's list of queues."""
    return int(g.cpu_count * LISTS_PER_CPU + task)


@jit_inline
def task_node(g: Any, task: int) -> int:
    """Return a task's node; a queue's node is its number."""
    return int(g.queue_count + task)


@jit_inline
def first(g: Any, number: int) -> int:
    """Return the first node of a list, or NOTHING."""
    return int(lists_at(g.lists, g.list_count)[at(number)].first)


@jit_inside
def push(g: Any, number: int, node: int) -> None:
    """Append a node."""
    links = int64s_at(g.links, g.link_count)
    item = lists_at(g.lists, g.list_count)[at(number)]
    links[at(node)] = NOTHING
    if item.first == NOTHING:
        item.first = node
    else:
        links[at(item.last)] = node
    item.last = node


@jit_inside
def pop(g: Any, number: int) -> int:
    """Remove the first node and return it; NOTHING where there is none."""
    links = int64s_at(g.links, g.link_count)
    item = lists_at(g.lists, g.list_count)[at(number)]
    node = int(item.first)
    if node != NOTHING:
        item.first = links[at(node)]
    return node


@jit_inside
def move_all(g: Any, source: int, target: int) -> None:
    """Append all of one list to another."""
    links = int64s_at(g.links, g.link_count)
    lists = lists_at(g.lists, g.list_count)
    one, other = lists[at(source)], lists[at(target)]
    if one.first == NOTHING:
        return
    if other.first == NOTHING:
        other.first = one.first
    else:
        links[at(other.last)] = one.first
    other.last = one.last
    one.first = NOTHING


@jit_inside
def remove(g: Any, number: int, node: int) -> bool:
    """Take a node out of the middle; whether it was there."""
    links = int64s_at(g.links, g.link_count)
    item = lists_at(g.lists, g.list_count)[at(number)]
    before, here = NOTHING, int(item.first)
    while here != NOTHING and here != node:
        before, here = here, int(links[here])
    if here == NOTHING:
        return False
    if before == NOTHING:
        item.first = links[at(node)]
    else:
        links[before] = links[node]
    if item.last == node:
        item.last = before
    return True
