"""The slow, obvious reference: one queue, one CPU, one thread, event by event.

Three contexts share the CPU: interrupt handlers, then NAPI (softirq, or a SCHED_FIFO thread), then
the thread that serves requests. Each is a generator that yields the work it wants; the loop in
`run` gives the CPU to the highest context, an event at a time. At equal times packets arrive first,
then work ends, then interrupts are taken. Work of zero length is never interrupted.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Generator, Iterator

import numpy as np

from replay.engine.histogram import Histogram
from replay.engine.outcome import CpuTime, Outcome, Times
from replay.engine.workload import Workload
from replay.host import Host
from replay.policy import Policy
from replay.units import BUSY_POLL_TICK, MILLISECOND, NEVER

Steps = Iterator[tuple[str, int]]

MAX_SOFTIRQ_RESTART = 10  # kernel/softirq.c
MAX_SOFTIRQ_TIME = 2 * MILLISECOND


class Island:
    def __init__(self, workload: Workload, policy: Policy, host: Host) -> None:
        self.load, self.policy, self.host = workload, policy, host
        self.rx_usecs = host.rx_usecs if policy.rx_usecs is None else policy.rx_usecs
        self.rx_frames = host.rx_frames if policy.rx_frames is None else policy.rx_frames
        self.threaded = host.threaded if policy.threaded is None else policy.threaded
        self.now = 0
        # device
        self.ring: deque[int] = deque()
        self.armed, self.armed_at = True, 0
        self.signal = self.irq_due = NEVER
        # NAPI
        self.owner = "none"  # none, napi, busy
        self.missed = self.prefer_bit = False
        self.count, self.timer = 0, NEVER
        self.napi: Steps | None = None
        self.napi_work: list | None = None
        self.parked = ""  # "", "throttled", "ksoftirqd", "call": scheduled, not now
        self.unthrottle = NEVER
        self.rt_window, self.rt_used = 0, 0
        self.turn, self.slice_end = "app", NEVER
        self.passes, self.softirq_start = 0, 0
        self.arming = 0
        # interrupt handler: what it is, its remaining time, and whether it interrupted the thread
        self.handler: list | None = None
        # application
        self.ready: deque[int] = deque()
        self.napi_id = False
        self.asleep = self.timed_out = False
        self.to_idle = 0  # what is left of the way back to the idle task
        self.wakes_at = NEVER
        self.app = self.thread()
        self.app_work = [*next(self.app)]
        # results
        self.counts = dict.fromkeys(
            [
                "packets",
                "requests",
                "delivered",
                "dropped",
                "served",
                "irqs",
                "timers",
                "polls",
                "polls_empty",
                "busy_polls",
                "epoll_returns",
                "resumes",
                "tx_packets",
            ],
            0,
        )
        self.cpu = dict.fromkeys(["hardirq", "softirq", "kernel", "app"], 0)
        n = len(workload.arrival_ns)
        self.arrival, self.delivered, self.started, self.done = (
            np.full(n, -1, np.int64) for _ in range(4)
        )
        self.latencies: list[int] = []
        self.poll_sizes: list[int] = []
        self.future: list[tuple[int, int]] = []
        self.children: dict[int, list[int]] = {}
        for packet in range(n):
            parent = -1 if workload.parent is None else int(workload.parent[packet])
            if parent >= 0:
                self.children.setdefault(parent, []).append(packet)
            else:
                heapq.heappush(self.future, (int(workload.arrival_ns[packet]), packet))

    # --- device ---------------------------------------------------------------------------

    def arrive(self, packet: int) -> None:
        self.arrival[packet] = self.now
        self.counts["packets"] += 1
        self.counts["requests"] += int(self.load.service_ns[packet] >= 0)
        if len(self.ring) == self.host.ring:
            self.counts["dropped"] += 1
            return
        self.ring.append(packet)
        self.coalesce()

    def arm(self) -> None:
        self.send_signal()
        self.armed, self.armed_at = True, self.now
        self.coalesce()

    def coalesce(self) -> None:
        """Signal the interrupt rx_usecs after the first packet, or at the rx_frames-th."""
        self.signal = NEVER
        if not self.armed or self.irq_due < NEVER or not self.ring:
            return
        signal = NEVER
        if self.rx_usecs or not self.rx_frames:
            signal = int(self.arrival[self.ring[0]]) + self.rx_usecs * 1000
        if self.rx_frames and len(self.ring) >= self.rx_frames:
            signal = min(signal, int(self.arrival[self.ring[self.rx_frames - 1]]))
        self.signal = max(signal, self.armed_at)

    def take(self) -> int | None:
        """Take a packet out of the ring; an interrupt signalled by now is on its way."""
        if not self.ring:
            return None
        self.send_signal()
        packet = self.ring.popleft()
        self.coalesce()
        self.counts["delivered"] += 1
        return packet

    def send_signal(self) -> None:
        if self.signal <= self.now:
            self.irq_due, self.signal = self.signal + self.host.irq_latency_ns, NEVER

    def next_irq(self) -> int:
        return min(self.irq_due, self.signal + self.host.irq_latency_ns)

    # --- interrupts -----------------------------------------------------------------------

    def timer_due(self) -> int:
        return self.timer + self.host.timer_latency_ns if self.timer < NEVER else NEVER

    def take_interrupt(self, context: str) -> bool:
        """Begin the handler of an interrupt that is due, or act on a scheduler event."""
        in_thread = context == "thread"
        if self.next_irq() <= self.now:
            self.counts["irqs"] += 1
            self.armed, self.irq_due, self.signal = False, NEVER, NEVER
            self.handler = ["irq", self.host.irq_ns, in_thread]
        elif self.timer_due() <= self.now:
            self.counts["timers"] += 1
            self.timer = NEVER
            self.handler = ["timer", self.host.timer_ns, in_thread]
        elif self.wakes_at <= self.now:
            self.wakes_at = NEVER
            self.handler = ["timeout", self.host.timer_ns, in_thread]
        elif self.unthrottle <= self.now:
            self.unthrottle, self.parked = NEVER, self.parked_by_call(in_thread)
            self.rt_window, self.rt_used = self.now // self.host.rt_period_ns, 0
        elif in_thread and self.parked == "ksoftirqd" and self.slice_end <= self.now:
            self.turn, self.slice_end = "ksoftirqd", self.now + self.host.slice_ns
        else:
            return False
        self.to_idle = self.host.idle_ns
        return True

    def end_handler(self, what: str, in_thread: bool) -> None:
        if what == "timeout":
            if self.asleep:
                self.wake()
                self.timed_out = True
        elif self.owner == "none":
            if what == "timer":  # napi_watchdog
                self.prefer_bit = False
            self.schedule_napi()
            self.parked = self.parked_by_call(in_thread)
        elif what == "irq":  # napi_schedule_prep
            self.missed = True
        if self.parked == "ksoftirqd" and in_thread:
            self.parked = ""  # irq_exit runs whatever softirq is pending
            self.passes, self.softirq_start = 0, self.now

    def parked_by_call(self, in_thread: bool) -> str:
        """Without kernel preemption a NAPI thread waits until the system call returns."""
        waits = in_thread and self.threaded and not self.host.preemption
        return "call" if waits else ""

    # --- NAPI -----------------------------------------------------------------------------

    def schedule_napi(self) -> None:
        self.owner = "napi"
        self.passes, self.softirq_start = 0, self.now
        self.napi = self.polls()
        self.napi_work = [*next(self.napi)]

    def polls(self) -> Steps:
        """net_rx_action, or napi_threaded_poll: poll until complete, then leave."""
        yield "softirq", 0
        weight = self.policy.weight
        while True:
            if self.threaded:
                self.throttle()
                yield "softirq", 0
            work = yield from self.poll("softirq", self.host.poll_ns, weight)
            if work < weight:
                if self.complete(work):
                    break
            elif self.prefer_bit:  # __napi_poll: give way to a busy poller
                if self.complete(work, driver=False):
                    break
            else:
                self.passes += 1
                if not self.threaded:
                    self.hand_off()
                    yield "softirq", 0
        yield "softirq", self.arming + self.host.exit_ns

    def throttle(self) -> None:
        """sched_rt_runtime_exceeded: FIFO threads get rt_runtime of each rt_period."""
        window = self.now // self.host.rt_period_ns
        if window != self.rt_window:
            self.rt_window, self.rt_used = window, 0
        if self.rt_used >= self.host.rt_runtime_ns:
            self.parked = "throttled"
            self.unthrottle = (window + 1) * self.host.rt_period_ns

    def hand_off(self) -> None:
        """handle_softirqs: after ten passes, two milliseconds or a wake-up, ksoftirqd goes on."""
        runnable = not self.asleep
        if self.parked == "ksoftirqd":  # it is ksoftirqd that polls
            if runnable and self.now >= self.slice_end:
                self.turn, self.slice_end = "thread", self.now + self.host.slice_ns
            return
        late = self.now - self.softirq_start >= MAX_SOFTIRQ_TIME
        if late or self.passes >= MAX_SOFTIRQ_RESTART or self.need_resched:
            self.parked = "ksoftirqd"
            self.turn = "thread"
            self.slice_end = self.now + self.host.slice_ns if runnable else NEVER

    def poll(self, kind: str, cost: int, budget: int) -> Generator:
        yield kind, cost
        work = 0
        while work < budget:
            packet = self.take()
            if packet is None:
                break
            work += 1
            yield kind, self.host.packet_ns
            self.deliver(packet)
        self.counts["polls"] += 1
        self.counts["polls_empty"] += work == 0
        self.counts["busy_polls"] += kind == "kernel"
        self.poll_sizes.append(work)
        return work

    def deliver(self, packet: int) -> None:
        self.delivered[packet] = self.now
        if self.load.service_ns[packet] < 0:
            return
        self.ready.append(packet)
        self.napi_id = self.policy.busy_polls  # ep_poll_callback
        if self.asleep:
            self.wake()

    def wake(self) -> None:
        self.asleep = False
        self.need_resched = True
        if self.parked == "ksoftirqd":
            self.turn, self.slice_end = "ksoftirqd", self.now + self.host.slice_ns

    def complete(self, work: int, driver: bool = True) -> bool:
        """napi_complete_done; whether NAPI is done. A driver then arms the interrupt."""
        armed, timeout = True, 0
        if work > 0:
            self.count = self.policy.defer_hard_irqs
        if self.count > 0:
            self.count -= 1
            timeout = self.policy.gro_flush_timeout_ns
            armed = timeout == 0
        self.prefer_bit = False
        if self.missed or (armed and not driver):
            self.missed = False
            return False
        self.owner = "none"
        self.parked = ""
        self.arming = self.host.timer_start_ns if timeout else 0
        if timeout:
            self.timer = self.now + timeout
        if armed:
            self.arm()
        return True

    # --- the thread -----------------------------------------------------------------------

    def thread(self) -> Steps:
        host, policy = self.host, self.policy
        called = 0
        yield from self.sleep(called)  # since before the trace
        while True:
            if self.ready:
                batch = list(self.ready)
                self.ready.clear()
                yield "kernel", host.event_ns * len(batch)
                self.counts["epoll_returns"] += 1
                if policy.prefer_busy_poll and policy.irq_suspend_timeout_ns and self.napi_id:
                    self.timer = self.now + policy.irq_suspend_timeout_ns  # napi_suspend_irqs
                    yield "kernel", host.timer_start_ns
                for packet in batch:
                    yield from self.serve(packet, first=packet == batch[0])
            called = self.now
            yield "kernel", host.epoll_ns
            if not self.ready and self.napi_id:
                yield from self.busy_loop()
            past = policy.epoll_timeout_ns >= 0 and self.now >= called + policy.epoll_timeout_ns
            if not self.ready and not past:
                yield "kernel", host.sleep_ns
                if not self.ready:
                    yield from self.sleep(called)

    def sleep(self, called: int) -> Steps:
        self.asleep = True
        self.to_idle = self.host.idle_ns
        self.need_resched = self.timed_out = False
        if self.policy.epoll_timeout_ns >= 0:
            self.wakes_at = max(self.now, called + self.policy.epoll_timeout_ns)
        yield "sleep", 0
        self.wakes_at = NEVER
        self.need_resched = False
        yield "kernel", self.host.wake_ns

    def serve(self, packet: int, first: bool) -> Steps:
        self.started[packet] = self.now
        yield "app", int(self.load.service_ns[packet])
        self.done[packet] = self.now
        self.counts["served"] += 1
        self.counts["tx_packets"] += 1
        self.latencies.append(int(self.now - self.arrival[packet]))
        for child in self.children.get(packet, []):
            assert self.load.think_ns is not None
            heapq.heappush(self.future, (self.now + int(self.load.think_ns[child]), child))
        yield "app", self.host.transmit_ns + (self.host.notify_ns if first else 0)

    def busy_loop(self) -> Steps:
        """napi_busy_loop, then napi_resume_irqs where it found nothing."""
        host, policy = self.host, self.policy
        limit = (self.now // BUSY_POLL_TICK + policy.busy_poll_usecs + 1) * BUSY_POLL_TICK
        grabbed = False
        while True:
            if not grabbed and self.owner == "none":
                grabbed, self.owner = True, "busy"
            if grabbed:
                before = self.now
                yield from self.poll("kernel", host.busy_poll_ns, policy.busy_poll_budget)
                if self.now == before and not self.ready and policy.busy_poll_usecs:
                    # polling for free: look again when something can have changed
                    coming = self.future[0][0] if self.future else NEVER
                    yield "kernel", max(0, min(limit, coming) - self.now)
            else:
                self.prefer_bit = self.prefer_bit or policy.prefer_busy_poll
                yield "kernel", max(1, host.busy_poll_ns)
            if self.ready or self.now >= limit or not policy.busy_poll_usecs:
                break
        if grabbed:
            yield from self.stop()
        if self.ready:
            return
        if policy.prefer_busy_poll and policy.irq_suspend_timeout_ns:
            if self.owner == "none":
                self.counts["resumes"] += 1
                # A softirq polls before epoll_wait forgets the NAPI, a NAPI thread after it
                self.napi_id = self.napi_id and not self.threaded
                self.schedule_napi()
                yield "kernel", 0
                self.napi_id = self.napi_id and self.threaded
                return
            self.missed = True
        self.napi_id = False

    def stop(self) -> Steps:
        """busy_poll_stop: one more poll, always."""
        policy = self.policy
        self.missed = False
        skip = False
        if policy.prefer_busy_poll:
            self.count = policy.defer_hard_irqs
            if policy.defers:
                self.timer = self.now + policy.gro_flush_timeout_ns
                skip = True
                yield "kernel", self.host.timer_start_ns
        work = yield from self.poll("kernel", self.host.busy_poll_ns, policy.busy_poll_budget)
        if work < policy.busy_poll_budget:
            if self.complete(work):
                yield "kernel", self.arming
                return
        elif skip:
            self.owner = "none"
            return
        self.schedule_napi()
        yield "kernel", 0

    # --- the CPU --------------------------------------------------------------------------

    def choose(self) -> str:
        if self.handler is not None:
            return "handler"
        if self.napi is not None and self.parked == "":
            return "napi"
        if self.parked == "ksoftirqd" and (self.asleep or self.turn == "ksoftirqd"):
            return "napi"
        return "idle" if self.asleep else "thread"

    def run(self) -> Outcome:
        end = self.load.duration_ns
        while True:
            while self.future and self.future[0][0] <= self.now < end:
                self.arrive(heapq.heappop(self.future)[1])
            self.send_signal()
            context = self.choose()
            if self.remaining(context) == 0:
                self.finish(context)
            elif self.now >= end:
                return self.outcome()
            elif context == "handler" or not self.take_interrupt(context):
                self.advance(context, end)

    def remaining(self, context: str) -> int:
        if context == "handler":
            return self.handler[1]
        if context == "napi":
            return self.napi_work[1]
        return self.app_work[1] if context == "thread" else NEVER

    def finish(self, context: str) -> None:
        if context == "handler":
            what, _, in_thread = self.handler
            self.handler = None
            self.end_handler(what, in_thread)
        elif context == "napi":
            step = next(self.napi, None)
            self.napi, self.napi_work = (self.napi, [*step]) if step else (None, None)
        else:
            self.app_work = [*next(self.app)]
            if self.parked == "call":
                self.parked = ""

    def advance(self, context: str, end: int) -> None:
        """Let the context have the CPU until something else happens."""
        until = min(self.now + self.remaining(context), end)
        if self.future:
            until = min(until, self.future[0][0])
        until = min(until, self.signal)
        if context != "handler":
            until = min(until, self.next_irq(), self.timer_due(), self.wakes_at, self.unthrottle)
            if context == "thread" and self.parked == "ksoftirqd":
                until = min(until, self.slice_end)
        spent = until - self.now
        self.now = until
        if context == "handler":
            self.handler[1] -= spent
            self.cpu["hardirq"] += spent
        elif context == "napi":
            self.napi_work[1] -= spent
            self.cpu["softirq"] += spent
            self.rt_used += spent
        elif context == "thread":
            self.app_work[1] -= spent
            self.cpu[self.app_work[0]] += spent
        else:
            back = min(spent, self.to_idle)
            self.to_idle -= back
            self.cpu["hardirq"] += back

    def outcome(self) -> Outcome:
        cpu = CpuTime(**self.cpu, idle=self.load.duration_ns - sum(self.cpu.values()))
        return Outcome(
            duration_ns=self.load.duration_ns,
            left=len(self.ring),
            cpu=cpu,
            latency=Histogram.of(np.array(self.latencies, np.int64)),
            poll_sizes=np.bincount(self.poll_sizes, minlength=1).astype(np.int64),
            times=Times(self.arrival, self.delivered, self.started, self.done),
            **{name: int(count) for name, count in self.counts.items()},
        )


def replay_naively(workload: Workload, policy: Policy, host: Host) -> Outcome:
    return Island(workload, policy, host).run()
