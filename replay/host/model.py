"""A host: the CPU time that each step of the receive path takes on it, in nanoseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from replay.errors import PolicyError
from replay.policy.model import CHOICES, RANGES, Adaptive, Coalescing, NapiThread
from replay.units import SECOND


@dataclass(frozen=True)
class Cost:
    """Where a constant comes from: the spread of its samples (ns) and their number."""

    q1: float
    q3: float
    samples: int
    source: str
    together: Mapping[str, float] = field(default_factory=dict)  # correlations with others


#: Longest cost or time of a host.
LONGEST_NS = 10 * SECOND
_LOWEST = dict.fromkeys(("rt_period_ns", "slice_ns", "jiffy_ns"), 1)
_COUNTS = {
    "repost_every": (0, 1 << 30, "packets"),
    "repost_above": (-1, 1 << 30, "descriptors"),
    "gro_batch": (1, 65_535, "packets"),
}
#: Most C-states that a host may have (drivers/cpuidle: CPUIDLE_STATE_MAX).
MAX_CSTATES = 10


def range_of(name: str) -> tuple[int, int, str]:
    """Return the lowest and highest value of a host's number, and its unit."""
    if name in _COUNTS:
        return _COUNTS[name]
    return RANGES.get(name, (_LOWEST.get(name, 0), LONGEST_NS, "ns"))


@dataclass(frozen=True)
class Host:
    """Costs of one host. All are integers in ns unless the name says otherwise."""

    name: str
    irq_latency_ns: int  # from the NIC's signal to the handler's first instruction
    irq_ns: int  # device interrupt: handler, and entering softirq or the NAPI thread
    timer_latency_ns: int  # from napi_watchdog's expiry to its handler
    timer_ns: int  # timer interrupt: handler, and entering softirq or the NAPI thread
    poll_ns: int  # one poll, without its packets
    packet_ns: int  # one packet in a poll: driver, GRO, protocol, marking epoll ready
    timer_start_ns: int  # arming napi_watchdog where it is this CPU's next timer
    exit_ns: int  # leaving softirq or the NAPI thread after its last poll
    idle_ns: int  # from the last context switch until the idle task runs again
    wake_ns: int  # from the cpu being free to a woken thread's return from sleep
    sleep_ns: int  # putting the thread to sleep in epoll_wait
    epoll_ns: int  # one epoll_wait call: entry, looking for events, return
    event_ns: int  # each event that epoll_wait returns
    request_ns: int  # service, up to its transmission, of a request where it was not recorded
    transmit_ns: int  # rest of a request, after its response was handed to the device
    notify_ns: int  # more, for the first transmission after epoll_wait: waking the other side
    busy_poll_ns: int  # one busy-poll iteration, without its packets
    timer_later_ns: int = 100  # arming it where the tick comes first: see `arming_ns`
    recorded_ns: int = 0  # of each recorded service time, what recording it took
    client_ns: int = 0  # network and client: from client send to arrival plus transmit to receive
    ring: int = 256  # receive descriptors
    rx_usecs: int = 0  # coalescing where the policy does not say
    rx_frames: int = 0
    tx_usecs: int = 0
    tx_frames: int = 0
    coalescing: Coalescing = "timer"
    adaptive: Adaptive = "off"
    tx_completions: bool = False  # completed transmissions interrupt on the receive vector
    tx_delay_ns: int = 0  # from a response's transmission until its completion is written
    tx_ns: int = 0  # cleaning up one completed transmission
    repost_every: int = 1  # a poll gives descriptors back at each so many packets; 0: not meanwhile
    repost_above: int = 0  # and at its end where more than this many are missing; -1: not then
    extra_irq: bool = False  # leaving deferral raises an interrupt by software (ice, i40e)
    looks_again: bool = False  # the driver polls on where packets came meanwhile (veth, virtio-net)
    gro_batch: int = 8  # packets that a poll hands to the stack at once (net.core.gro_normal_batch)
    jiffy_ns: int = 4_000_000  # 1 / HZ
    threaded: bool = False  # NAPI polls in a thread
    napi_thread: NapiThread = "fifo"
    preemption: bool = True  # a NAPI thread need not wait until a request is served or a call over
    rt_period_ns: int = SECOND  # kernel.sched_rt_period_us
    rt_runtime_ns: int = 950_000_000  # kernel.sched_rt_runtime_us: FIFO's share of a period
    slice_ns: int = 3_000_000  # how long a thread runs before another's turn
    ipi_ns: int = 0  # waking a thread on another CPU: until that CPU knows
    handoff_ns: int = 0  # more, for a request that another CPU of the same cache polled
    far_ns: int = 0  # the same across caches
    cold_ns: int = 0  # more, for the first request after a sleep: the caches are cold
    interrupted_ns: int = 0  # more, for a thread whose CPU a device or its NAPI's timer took
    stale_ns: int = 0  # more, for a request that waited longer than this since it arrived:
    stale_after_ns: int = 1_000_000  # its packet and its connection have left the caches
    program_ns: int = 0  # a kworker's time to program what net DIM chose
    #: (target residency, exit latency) of each C-state, ns, shallow to deep
    cstates: tuple[tuple[int, int], ...] = ()
    background_ns: int = 0  # other work on each CPU ...
    background_period_ns: int = 0  # ... that wakes once a period; 0: never
    bypass_packet_ns: int = 250  # one packet in a stack in user space (OpenOnload)
    about: str = ""  # kernel, CPU, NIC, date
    costs: dict[str, Cost] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, str) and value not in CHOICES.get(item.name, (value,)):
                raise PolicyError(
                    f"host {self.name}: {item.name} = {value!r} is none of"
                    f" {', '.join(CHOICES[item.name])}"
                )
            if not isinstance(value, int) or isinstance(value, bool):
                continue
            low, high, unit = range_of(item.name)
            if not low <= value <= high:
                raise PolicyError(
                    f"host {self.name}: {item.name} = {value} is outside {low} to {high} {unit}"
                )
        self._check_cstates()
        if self.rt_runtime_ns > self.rt_period_ns:
            raise PolicyError(
                f"host {self.name}: rt_runtime_ns = {self.rt_runtime_ns}"
                f" is outside 0 to rt_period_ns = {self.rt_period_ns} ns"
            )

    def _check_cstates(self) -> None:
        """Raise PolicyError where the C-states are no pairs of times, shallow to deep."""
        if len(self.cstates) > MAX_CSTATES:
            raise PolicyError(
                f"host {self.name}: cstates has {len(self.cstates)} entries, outside 0 to"
                f" {MAX_CSTATES}"
            )
        for state in self.cstates:
            if len(state) != 2 or not all(0 <= time <= LONGEST_NS for time in state):
                raise PolicyError(
                    f"host {self.name}: cstates: {list(state)} is no pair of target residency and"
                    f" exit latency, each 0 to {LONGEST_NS} ns"
                )
        if list(self.cstates) != sorted(self.cstates):
            raise PolicyError(f"host {self.name}: cstates are not in order of target residency")


#: For recordings that say nothing of costs (a pcap alone). Middle values of what is published for
#: server CPUs of about 3 GHz with mitigations off: 208-556 ns a packet for the stack (XDP paper,
#: CoNEXT'18), 1-2 us a context switch, 3.5 us a memcached request with its system calls (fit of
#: the IRQ-suspension benchmark). Wide: real hosts differ by a factor of two either way.
GENERIC = Host(
    name="generic-3ghz",
    irq_latency_ns=700,
    irq_ns=900,
    timer_latency_ns=700,
    timer_ns=900,
    poll_ns=400,
    packet_ns=1_000,
    timer_start_ns=100,
    exit_ns=200,
    idle_ns=300,
    wake_ns=1_500,
    sleep_ns=800,
    epoll_ns=500,
    event_ns=60,
    request_ns=2_500,
    transmit_ns=1_000,
    notify_ns=100,
    busy_poll_ns=600,
    ring=1024,
    about="no measured host: literature values for a 3 GHz server CPU",
)

#: Every step free: what remains is the application's own time and the policy's waiting.
ZERO_COST = Host(
    name="zero-cost",
    irq_latency_ns=0,
    irq_ns=0,
    timer_latency_ns=0,
    timer_ns=0,
    poll_ns=0,
    packet_ns=0,
    timer_start_ns=0,
    exit_ns=0,
    idle_ns=0,
    wake_ns=0,
    sleep_ns=0,
    epoll_ns=0,
    event_ns=0,
    request_ns=0,
    transmit_ns=0,
    notify_ns=0,
    busy_poll_ns=0,
    timer_later_ns=0,
    gro_batch=1,
)
