/* The yardstick: one queue, one CPU, one thread, each packet's interrupt, poll, wake-up and service
 * in a scalar loop. It is no model to trust: an interrupt waits until the thread sleeps. */
#include <stdint.h>

enum { IRQ_LATENCY = 500, IRQ = 500, POLL = 200, PACKET = 300, WAKE = 300, WEIGHT = 64 };

static inline int64_t bucket(int64_t latency)
{
	int bits = latency ? 64 - __builtin_clzll((uint64_t)latency) : 0;
	int shift = bits > 11 ? bits - 11 : 0;

	return ((int64_t)shift << 10) + (latency >> shift);
}

/* Returns the number of interrupts; `latencies` has the buckets of replay/engine/histogram.py. */
int64_t replay(const int64_t *arrival, const int64_t *service, int64_t packets,
	       int64_t *latencies)
{
	int64_t now = 0, head = 0, irqs = 0;

	while (head < packets) {
		int64_t signal = arrival[head] + IRQ_LATENCY, first = head, polled;

		now = (signal > now ? signal : now) + IRQ;
		irqs++;
		do {
			polled = 0;
			now += POLL;
			while (polled < WEIGHT && head < packets && arrival[head] <= now) {
				now += PACKET;
				polled++;
				head++;
			}
		} while (polled == WEIGHT);
		now += WAKE;
		for (; first < head; first++) {
			now += service[first];
			latencies[bucket(now - arrival[first])]++;
		}
	}
	return irqs;
}
