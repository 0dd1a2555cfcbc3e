/** Items that wait for a moment, the nearest first: a binary heap under one timer instead of a timer an item. */
import type { Clock } from '../engine/index.ts';

interface Entry<T> {
  readonly at: number;
  readonly item: T;
}

export interface WaitHeap<T> {
  /** Hands `item` to `onDue` after `delayMs` milliseconds of monotonic time. */
  add(item: T, delayMs: number): void;
  /** Drops the items that `isUnwanted` names. Looks at each. */
  drop(isUnwanted: (item: T) => boolean): void;
  /** Drops everything and the timer. */
  clear(): void;
}

export function createWaitHeap<T>(clock: Clock, onDue: (item: T) => void): WaitHeap<T> {
  let heap: Entry<T>[] = [];
  let timer: { readonly at: number; readonly cancel: () => void } | null = null;

  function arm(): void {
    const head = heap[0];
    if (head === undefined || (timer !== null && timer.at <= head.at)) return;
    timer?.cancel();
    timer = { at: head.at, cancel: clock.after(Math.max(0, head.at - clock.monotonic()), fire) };
  }

  function disarm(): void {
    timer?.cancel();
    timer = null;
  }

  function fire(): void {
    timer = null;
    const now = clock.monotonic();
    while (heap[0] !== undefined && heap[0].at <= now) onDue(pop().item);
    arm();
  }

  function pop(): Entry<T> {
    const top = heap[0] as Entry<T>;
    const last = heap.pop() as Entry<T>;
    if (heap.length > 0) siftDown(last);
    return top;
  }

  /** Puts the entry at `from` or below it. */
  function siftDown(entry: Entry<T>, from = 0): void {
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.at < heap[child]!.at) child++;
      if (heap[child]!.at >= entry.at) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = entry;
  }

  function siftUp(entry: Entry<T>): void {
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]!.at <= entry.at) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  return {
    add(item, delayMs) {
      siftUp({ at: clock.monotonic() + delayMs, item });
      arm();
    },
    drop(isUnwanted) {
      heap = heap.filter(({ item }) => !isUnwanted(item));
      for (let at = heap.length >> 1; at-- > 0;) siftDown(heap[at]!, at);
      if (heap.length === 0) disarm();
    },
    clear() {
      heap = [];
      disarm();
    },
  };
}
