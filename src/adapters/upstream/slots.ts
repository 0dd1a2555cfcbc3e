import type { Socket } from 'node:net';
import { Client } from 'undici';
import type { Dispatcher } from 'undici';
import type { Clock } from '../../engine/ports.ts';
import { openConnection } from './connect.ts';

/** An idle connection is closed after this; many model servers close theirs after 5 s. */
const KEEP_ALIVE_MS = 4000;

/** Clients kept beyond those in use. Their connections end by themselves; this bounds what a burst leaves behind. */
const MAX_IDLE_SLOTS = 1024;

/** How undici calls bytes on a connection that has no request; it shares the code with a plain end. */
const UNDICI_UNASKED = 'bad response';

export interface SlotOptions {
  readonly origin: URL;
  readonly connectTimeoutMs: number;
  readonly clock: Clock;
}

/** One client with at most one connection, which carries one request at a time. */
export class Slot {
  readonly #client: Client;
  #socket: Socket | null = null;

  constructor(options: SlotOptions) {
    this.#client = new Client(options.origin, {
      connect: (_target, callback) => {
        this.#socket = openConnection(options, callback);
      },
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: KEEP_ALIVE_MS,
      // One deadline covers a call as a whole (deadlines.ts).
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  /**
   * Sends a request. On a kept-alive connection undici does so only after the event loop has polled it once more,
   * so that bytes which came unasked, or its end, are seen first; then a new connection is opened for the request.
   * Bytes that come later cannot be told from its answer: HTTP/1.1 has no mark that ties an answer to a request.
   */
  dispatch(request: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): void {
    this.#client.dispatch(request, handler);
  }

  /** The error that ended the connection, if one did. */
  get connectionError(): (Error & { readonly code?: string }) | null {
    return this.#socket?.errored ?? null;
  }

  /** True where bytes came after the end of the answer. */
  get gotUnaskedBytes(): boolean {
    return this.#socket?.errored?.message === UNDICI_UNASKED;
  }

  /** True while the request has not left the process whole. */
  get isSending(): boolean {
    return this.#socket !== null && this.#socket.writableLength > 0;
  }

  /** Ends the connection, open or being opened, and the request on it; resolves when it is closed. */
  async destroy(): Promise<void> {
    const socket = this.#socket;
    const reason = new Error('the connection is given up');
    await this.#client.destroy(reason);
    if (socket === null || socket.closed) return;
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.destroy(reason);
    await closed;
  }
}

export interface Slots {
  /** A slot that nobody uses: the one given back last, whose connection is the likeliest to be alive, or a new one. */
  take(): Slot;
  giveBack(slot: Slot): void;
  /** Closes a slot in use. */
  drop(slot: Slot): void;
  /** Closes the idle ones; resolves when these and the dropped ones are closed. */
  close(): Promise<void>;
}

/** A stack of slots: taking one never searches. How many are in use at a time is for the caller to bound. */
export function createSlots(options: SlotOptions): Slots {
  const idle: Slot[] = [];
  const closing = new Set<Promise<void>>();

  function drop(slot: Slot): void {
    const closed = slot.destroy().finally(() => closing.delete(closed));
    closing.add(closed);
  }

  return {
    take: () => idle.pop() ?? new Slot(options),
    giveBack(slot) {
      if (idle.length < MAX_IDLE_SLOTS) idle.push(slot);
      else drop(slot);
    },
    drop,
    async close() {
      for (const slot of idle.splice(0)) drop(slot);
      await Promise.all(closing);
    },
  };
}
