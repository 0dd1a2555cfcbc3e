/** Hints between processes that there may be work. They may get lost: whoever works looks for itself, again and again. */
import { performance } from 'node:perf_hooks';
import pg from 'pg';
import type { Sql } from './database.ts';
import { codeOf } from './errors.ts';

const CHANNEL = 'anyllm_batch_work';

/** At most one call in so many milliseconds, however many hints come. */
const BURST_MS = 100;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Tells all processes that listen, once the transaction is committed. For creates and cancels only: commits with a hint wait for each
 * other.
 */
export async function giveHint(sql: Sql): Promise<void> {
  await sql.run(`select pg_notify('${CHANNEL}', '')`);
}

export interface HintOptions {
  /** `postgres://user:password@host:port/database`. */
  readonly url: string;
  /** There may be work. Also called when the connection is back, for hints may have been missed. */
  readonly onHint: () => void;
  /** Told once each time that the connection breaks. */
  readonly onLost: (error: Error) => void;
}

export interface Hints {
  close(): Promise<void>;
}

/**
 * Listens for hints over a connection of its own, and connects again, after pauses that grow, whenever it breaks. Never rejects or
 * throws: without hints everything works, a little later.
 */
export function listenForHints({ url, onHint, onLost }: HintOptions): Hints {
  const calls = callSeldom(onHint);
  let client: pg.Client | null = null;
  let timer: NodeJS.Timeout | null = null;
  let pauseMs = FIRST_PAUSE_MS;
  let closed = false;

  function connect(): void {
    timer = null;
    const mine = new pg.Client({
      connectionString: url,
      application_name: 'anyllm-batch hints',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      keepAlive: true,
    });
    client = mine;
    let broken = false;
    const onBroken = (cause: Error): void => {
      if (broken) return;
      broken = true;
      void mine.end().catch(() => {});
      if (closed) return;
      // The driver hangs more on its errors than a log should have.
      if (pauseMs === FIRST_PAUSE_MS)
        onLost(Object.assign(new Error(cause.message), { code: codeOf(cause) }));
      timer = setTimeout(connect, pauseMs);
      pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
    };
    mine.on('error', onBroken);
    mine.on('end', () => onBroken(new Error('the connection was closed')));
    mine.on('notification', calls.call);
    mine
      .connect()
      .then(async () => await mine.query(`listen ${CHANNEL}`))
      .then(() => {
        pauseMs = FIRST_PAUSE_MS;
        calls.call();
      }, onBroken);
  }

  connect();
  return {
    async close() {
      closed = true;
      if (timer !== null) clearTimeout(timer);
      calls.stop();
      await client?.end().catch(() => {});
    },
  };
}

/** Calls `fn` soon after the first of several calls, and once more after the last one where that came later. */
function callSeldom(fn: () => void): { readonly call: () => void; readonly stop: () => void } {
  let lastAt = -Infinity;
  let timer: NodeJS.Timeout | null = null;
  return {
    call() {
      timer ??= setTimeout(
        () => {
          timer = null;
          lastAt = performance.now();
          fn();
        },
        Math.max(0, lastAt + BURST_MS - performance.now()),
      );
    },
    stop() {
      if (timer !== null) clearTimeout(timer);
    },
  };
}
