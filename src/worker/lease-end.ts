/** A worker takes its lease for ended so long before others do, milliseconds: what it has begun needs a moment to end. */
const MARGIN_MS = 2000;

/**
 * When a worker must act as if others had what it holds, on the monotonic clock: `validMs` after the lease was asked for (not
 * answered: a process may be frozen between the two), less a margin.
 */
export function leaseEnd(sentAt: number, validMs: number): number {
  return sentAt + validMs - MARGIN_MS;
}
