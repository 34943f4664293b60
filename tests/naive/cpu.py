"""A CPU: interrupt handlers, then softirqs, then SCHED_FIFO threads, then all others in turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from replay.units import NEVER
from tests.naive.polls import handle_softirqs, leave
from tests.naive.task import Background, Ksoftirqd, Kworker, Task


class Cpu:
    def __init__(self, number: int, domain: int, island) -> None:
        self.number, self.domain, self.island, self.host = number, domain, island, island.host
        self.handler: dict | None = None
        # softirq
        self.poll_list: list = []
        self.softirq: Iterator | None = None
        self.softirq_work = ["softirq", 0]
        self.in_exit = False
        self.leaving = 0  # the timers that completions of this softirq started, to be paid for
        self.bh_off: Task | None = None  # a thread that polls: softirqs wait until it has polled
        # threads
        self.fifo: list[Task] = []
        self.fifo_waits = False  # without kernel preemption: for the end of a system call
        self.throttled, self.unthrottle = False, NEVER
        self.rt_window = self.rt_used = 0
        self.running: Task | None = None
        self.waiting: deque[Task] = deque()
        self.slice_end = NEVER
        self.need_resched = False
        self.ipis: deque[tuple[int, Task]] = deque()
        self.ksoftirqd, self.background = Ksoftirqd(self), Background(self)
        self.kworker = Kworker(self)
        period = self.host.background_period_ns if self.host.background_ns else 0
        self.background_at = period or NEVER
        # time
        self.idle_since: int | None = None
        self.to_idle = self.host.idle_ns  # what is left of the way back to the idle task
        self.leaving_idle = 0  # time on the way out of C-states
        self.time = dict.fromkeys(["hardirq", "softirq", "kernel", "app", "other"], 0)

    @property
    def now(self) -> int:
        return self.island.now

    # --- who has the CPU ------------------------------------------------------------------

    def choose(self) -> tuple[str, Task | None]:
        if self.handler is not None:
            return "handler", None
        if self.bh_off is not None:
            return "task", self.bh_off
        if self.softirq is not None:
            return "softirq", None
        if self.fifo and not self.throttled and not self.fifo_waits:
            return "task", self.fifo[0]
        return ("task", self.running) if self.running else ("idle", None)

    def idle(self) -> bool:
        """idle_cpu: no thread runs or is about to; a handler or a softirq may."""
        return self.running is None and not self.ipis and not self.fifo

    def remaining(self) -> int:
        context, task = self.choose()
        if context == "handler":
            return self.handler["exit"] + self.handler["left"]
        if context == "softirq":
            return self.softirq_work[1]
        return task.work[1] if task else NEVER

    def act(self) -> bool:
        """End what is at its end, or take an interrupt; whether there was anything to do."""
        context, task = self.choose()
        if self.remaining() == 0:
            self.finish(context, task)
            return True
        return context != "handler" and self.now < self.island.end and self.take_interrupt()

    def finish(self, context: str, task: Task | None) -> None:
        if context == "handler":
            handler, self.handler = self.handler, None
            self.end_handler(handler["what"], handler["target"], handler["since"], handler["in"])
        elif context == "softirq":
            step = next(self.softirq, None)
            self.softirq_work = [*step] if step else self.softirq_work
            self.softirq = self.softirq if step else None
        else:
            self.need_resched = task.fresh = False
            task.work = [*next(task.steps)]
            self.fifo_waits = self.fifo_waits and task.napi

    def spend(self, spent: int) -> None:
        """Let the one that has the CPU work for `spent` ns."""
        context, task = self.choose()
        if context == "idle":
            self.idle_since = self.now if self.idle_since is None else self.idle_since
            back = min(spent, self.to_idle)
            self.to_idle -= back
            self.time["hardirq"] += back
        elif context == "handler":
            waking = min(spent, self.handler["exit"])  # from a C-state
            self.handler["exit"] -= waking
            self.leaving_idle += waking
            self.handler["left"] -= spent - waking
            self.time["hardirq"] += spent - waking
        else:
            work = self.softirq_work if context == "softirq" else task.work
            work[1] -= spent
            self.time[work[0]] += spent
            self.rt_used += spent if work[0] == "softirq" else 0
            if task:
                self.need_resched = task.fresh = False

    # --- interrupts -----------------------------------------------------------------------

    def interrupts(self) -> list[tuple[int, str, object]]:
        """What will interrupt this CPU: when, what, whom it is for. At equal times, the first."""
        queues, workers = self.island.queues, self.island.workers
        found = [(queue.next_irq(), "irq", queue) for queue in queues if queue.cpu is self]
        found += [
            (queue.timer_due(), "timer", queue) for queue in queues if queue.timer_cpu is self
        ]
        found += [(worker.wakes_at, "timeout", worker) for worker in workers if worker.bed is self]
        found += [(time, "ipi", task) for time, task in list(self.ipis)[:1]]
        found.append((self.background_at, "background", self.background))
        found.append((self.unthrottle, "unthrottle", None))
        context, task = self.choose()
        if context == "task" and task is self.running and not (task.napi or task.holds):
            found.append((self.slice_end, "slice", None))
        return found

    def take_interrupt(self) -> bool:
        due = [(what, target) for time, what, target in self.interrupts() if time <= self.now]
        if not due:
            return False
        what, target = due[0]
        host = self.host
        context, task = self.choose()
        in_thread = context == "task" and not task.napi
        in_call = in_thread and not task.serving
        since, cost = self.now, host.timer_ns
        if what == "irq":
            self.island.counts["irqs"] += 1
            target.count_interrupt()
            since, cost = target.irq_due - host.irq_latency_ns, host.irq_ns
            target.armed, target.irq_due, target.signal = False, NEVER, NEVER
        elif what == "timer":
            self.island.counts["timers"] += 1
            since = target.timer
            target.timer, target.timer_cpu = NEVER, None
        elif what == "timeout":
            target.wakes_at = NEVER
        elif what == "ipi":
            self.ipis.popleft()
            cost = 0
        elif what == "background":
            self.background_at += host.background_period_ns
        elif what == "unthrottle":
            self.unthrottle, self.throttled = NEVER, False
            self.fifo_waits = in_call and not host.preemption
            self.rt_window, self.rt_used = self.now // host.rt_period_ns, 0
        else:
            self.rotate()
        self.to_idle = host.idle_ns
        if in_thread and what in ("irq", "timer"):
            task.work[1] += host.interrupted_ns
        if what not in ("unthrottle", "slice"):
            waking = self.leave_idle() if context == "idle" else 0
            handler = {"what": what, "target": target, "since": since, "in": in_call}
            self.handler = {**handler, "exit": waking, "left": cost}
        return True

    def leave_idle(self) -> int:
        """How long leaving the C-state takes: the deepest that paid for this stay."""
        idle = 0 if self.idle_since is None else self.now - self.idle_since
        self.idle_since = None
        return max([0, *(leave for stay, leave in self.host.cstates if stay <= idle)])

    def end_handler(self, what: str, target, since: int, in_call: bool) -> None:
        if what == "irq" and target.owner != "none":  # napi_schedule_prep
            target.missed = True
        elif what == "irq":
            target.trigger, target.interrupted = ("coalescing", since), True
            self.schedule(target, in_call)
        elif what == "timer" and target.owner == "none":  # napi_watchdog
            target.prefer_bit, target.trigger = False, ("timer", since)
            self.schedule(target, in_call)
        elif what in ("timeout", "background") and target.asleep:
            self.island.wake(target, self, in_call)
        elif what == "ipi":
            self.enqueue(target, in_call)
        self.run_softirq()  # irq_exit

    # --- softirq --------------------------------------------------------------------------

    def schedule(self, queue, in_call: bool = False) -> None:
        """napi_schedule: the queue's thread, or a softirq here, will poll it."""
        queue.owner, queue.polled_since = "napi", None
        if queue.thread is None:
            self.poll_list.append(queue)
            self.run_softirq()
        else:
            queue.thread.add(queue, self, in_call)

    def run_softirq(self) -> None:
        """Begin a softirq where one is pending and none runs; not while a thread polls."""
        running = self.softirq is not None and not self.in_exit
        if not self.poll_list or running or self.bh_off is not None or self.handler is not None:
            return
        self.unqueue(self.ksoftirqd)
        self.begin(handle_softirqs(self))

    def begin(self, steps: Iterator) -> None:
        self.softirq, self.in_exit = steps, False
        self.softirq_work = [*next(steps)]

    def leave_softirq(self) -> None:
        """The polls are over; what it takes to leave is dropped where a new softirq begins."""
        self.begin(leave(self))
        self.in_exit = True

    def enable_bh(self) -> None:
        self.bh_off = None
        self.run_softirq()

    # --- threads --------------------------------------------------------------------------

    def enqueue(self, task: Task, in_call: bool = False) -> None:
        """A thread is ready to run here."""
        task.fresh = task is not self.ksoftirqd
        if task.fifo:
            self.fifo.append(task)
            self.fifo_waits = self.fifo_waits or (in_call and not self.host.preemption)
        elif self.running is None:
            self.running = task
            self.need_resched = task.fresh
        else:
            self.waiting.append(task)
            if self.slice_end == NEVER:
                self.slice_end = self.now + self.host.slice_ns

    def queue_work(self, time: int) -> None:
        """schedule_work: the kworker has that much to do."""
        self.kworker.owed += time
        if time and self.kworker.asleep:
            self.island.wake(self.kworker, self)

    def block(self, task: Task) -> None:
        """The thread that runs sleeps."""
        self.to_idle = self.host.idle_ns
        if task.fifo:
            self.fifo.remove(task)
            return
        self.running = self.waiting.popleft() if self.waiting else None
        self.need_resched = self.running is not None and self.running.fresh
        self.slice_end = self.now + self.host.slice_ns if self.waiting else NEVER

    def unqueue(self, task: Task) -> None:
        """A thread has nothing to do any more."""
        if task is self.running:
            self.block(task)
        elif task in self.waiting:
            self.waiting.remove(task)
            self.slice_end = self.slice_end if self.waiting else NEVER
        task.restart()

    def slice_is_over(self) -> bool:
        return bool(self.waiting) and self.now >= self.slice_end

    def rotate(self) -> None:
        """The next thread's turn."""
        self.waiting.append(self.running)
        self.running = self.waiting.popleft()
        self.slice_end = self.now + self.host.slice_ns
