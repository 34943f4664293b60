"""A worker: a thread of the application in epoll_wait, busy polling, asleep, or serving."""

from __future__ import annotations

from collections import deque

from replay.host import arming_ns, suspending_ns
from replay.units import BUSY_POLL_TICK, NEVER
from tests.naive.polls import poll
from tests.naive.task import Steps, Task

BUSY_POLL_BUDGET = 8  # include/net/busy_poll.h


class Worker(Task):
    def __init__(self, number: int, cpu, pinned: bool) -> None:
        self.number, self.pinned = number, pinned
        self.policy = cpu.island.policy
        self.ready: deque = deque()  # (packet, the CPU that polled it)
        self.epoll_queue = None  # the queue whose napi_id the epoll instance remembers
        self.wakes_at, self.bed = NEVER, cpu
        self.woken = 0  # when it was last back from sleep
        self.cold = False
        super().__init__(cpu)

    def live(self) -> Steps:
        host, policy, island = self.host, self.policy, self.island
        timeout = policy.epoll_timeout_ns
        yield from self.sleep_until(0)  # since before the trace
        while True:
            if self.ready:
                yield from self.return_events()
            called = island.now
            yield "kernel", max(host.epoll_ns, int(timeout == 0))
            if not self.ready and self.epoll_queue is not None and timeout != 0:
                yield from self.busy_loop(called)
            past = timeout >= 0 and island.now >= called + timeout
            if self.ready or past:
                continue
            if policy.hooked:
                yield from self.look_on()
            if not self.ready:
                yield "kernel", host.sleep_ns
            if not self.ready:
                yield from self.sleep_until(called)

    def look_on(self) -> Steps:
        """For as long as the hook says."""
        since = self.island.now
        while not self.ready:
            spin = self.island.hooks.found_nothing(self.island.now - since)
            if spin <= 0:
                return
            yield "kernel", spin

    def sleep_until(self, called: int) -> Steps:
        """Sleep until a request is ready, or the call's timeout is over."""
        timeout = self.policy.epoll_timeout_ns
        if timeout >= 0:
            self.wakes_at = max(self.island.now, called + timeout)
        self.bed, self.cold = self.cpu, True
        yield from self.sleep()
        self.wakes_at = NEVER
        yield "kernel", self.host.wake_ns
        self.woken = self.island.now

    def return_events(self) -> Steps:
        host, policy, island = self.host, self.policy, self.island
        many = min(len(self.ready), policy.max_events or len(self.ready))
        batch = [self.ready.popleft() for _ in range(many)]
        yield "kernel", host.event_ns * len(batch)
        island.counts["epoll_returns"] += 1
        queue = self.epoll_queue
        if policy.prefer_busy_poll and queue and queue.policy.irq_suspend_timeout_ns:
            queue.start_timer(self.cpu, queue.policy.irq_suspend_timeout_ns)  # napi_suspend_irqs
            yield "kernel", suspending_ns(host, queue.policy)
        first = True
        for packet, polled_by in batch:
            yield from self.serve(packet, polled_by, first)
            first = False

    def serve(self, packet: int, polled_by, first: bool) -> Steps:
        host, island = self.host, self.island
        started = island.started[packet] = island.now
        service = island.service(packet)
        if self.cold:
            service += host.cold_ns
            self.cold = False
        if started - island.arrival[packet] > host.stale_after_ns:
            service += host.stale_ns
        if polled_by is not self.cpu:
            near = polled_by.domain == self.cpu.domain
            service += host.handoff_ns if near else host.far_ns
        self.serving = True
        yield "app", service
        self.serving = False
        island.answer(packet, self, started, service)
        yield "app", host.transmit_ns + (host.notify_ns if first else 0)
        if self.policy.busy_read_usecs:  # the read that finds the socket empty
            queue = island.queue_of(packet)
            if queue.owner == "none":
                self.grab(queue)
                yield from self.busy_poll(queue, BUSY_POLL_BUDGET)
                yield from self.stop(queue, BUSY_POLL_BUDGET, prefer=False)
            else:
                yield "kernel", max(1, host.busy_poll_ns)

    # --- busy polling ---------------------------------------------------------------------

    def grab(self, queue) -> None:
        queue.owner, self.holds = "busy", True
        queue.trigger, queue.polled_since = ("cpu", self.island.now), self.island.now

    def busy_poll(self, queue, budget: int) -> Steps:
        """One poll, softirqs off."""
        self.cpu.bh_off = self
        work = yield from poll(self.cpu, queue, "kernel", self.host.busy_poll_ns, budget)
        self.cpu.enable_bh()
        yield "kernel", 0  # softirqs that waited come first
        return work

    def busy_loop(self, called: int) -> Steps:
        """napi_busy_loop, then napi_resume_irqs where it found nothing."""
        host, policy, island, queue = self.host, self.policy, self.island, self.epoll_queue
        usecs = policy.busy_poll_usecs
        limit = (island.now // BUSY_POLL_TICK + usecs + 1) * BUSY_POLL_TICK
        grabbed = False
        while True:
            if not grabbed and queue.owner == "none":
                grabbed = True
                self.grab(queue)
            if grabbed:
                before = island.now
                yield from self.busy_poll(queue, policy.busy_poll_budget)
                if island.now == before and not self.ready and usecs:
                    # polling for free: look again when something can have changed
                    soonest = island.now if queue.ring else island.next_arrival()
                    yield "kernel", max(0, min(limit, soonest) - island.now)
            else:
                queue.prefer_bit = queue.prefer_bit or policy.prefer_busy_poll
                yield "kernel", max(1, host.busy_poll_ns)
            if self.ready or island.now >= limit or not usecs:
                break
            if grabbed and self.cpu.slice_is_over():  # need_resched
                yield from self.stop(queue, policy.busy_poll_budget, policy.prefer_busy_poll)
                grabbed = False
        if grabbed:
            yield from self.stop(queue, policy.busy_poll_budget, policy.prefer_busy_poll)
        if not self.ready:
            yield from self.resume(queue)

    def resume(self, queue) -> Steps:
        """napi_resume_irqs, and epoll_wait forgets the NAPI."""
        if not (self.policy.prefer_busy_poll and queue.policy.irq_suspend_timeout_ns):
            self.epoll_queue = None
        elif queue.owner != "none":
            queue.missed = True
            self.epoll_queue = None
        else:
            self.island.counts["resumes"] += 1
            queue.trigger = ("cpu", self.island.now)
            # A softirq polls before epoll_wait forgets the NAPI, a NAPI thread after it
            self.epoll_queue = None if queue.thread else self.epoll_queue
            self.cpu.schedule(queue)
            yield "kernel", 0
            self.epoll_queue = self.epoll_queue if queue.thread else None

    def stop(self, queue, budget: int, prefer: bool) -> Steps:
        """busy_poll_stop: one more poll, always."""
        policy = queue.policy
        queue.missed = False
        skip = False
        if prefer:
            queue.count = policy.defer_hard_irqs
            if policy.defers:
                queue.start_timer(self.cpu, policy.gro_flush_timeout_ns)
                skip = True
                yield "kernel", arming_ns(self.host, policy.gro_flush_timeout_ns)
        work = yield from self.busy_poll(queue, budget)
        arming = queue.napi_complete_done(self.cpu, work) if work < budget else None
        self.holds = False
        if arming is not None:
            yield "kernel", arming
        elif work == budget and skip:
            queue.owner = "none"
        else:
            queue.trigger = ("cpu", self.island.now)
            self.cpu.schedule(queue)
            yield "kernel", 0
