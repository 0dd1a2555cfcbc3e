import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Clock } from '../../engine/ports.ts';
import type { TokenCounter } from '../../engine/tokens/token-counter.ts';
import type { CountAnswer, CountRequest } from './thread.ts';

/** `.ts` in the sources, `.js` in `dist/`. */
const THREAD = new URL(`./thread${extname(import.meta.url)}`, import.meta.url);
/** A thread that has nothing to count for so long is ended, and its memory given back. Milliseconds. */
const IDLE_MS = 30_000;

export interface TokenCounterOptions {
  readonly clock: Clock;
}

/**
 * Counts by OpenAI's encoding `o200k_base`. The tokens of other models' own encodings differ by some tenths. It counts in a
 * thread of its own, which is started with the first request and ended when there are none for a while: until then it
 * costs nothing, and it never holds up the event loop.
 */
export function createTokenCounter({ clock }: TokenCounterOptions): TokenCounter {
  let thread: CounterThread | null = null;
  let cancelEnd = (): void => {};
  let closed = false;

  function endThread(): Promise<void> {
    cancelEnd();
    const ending = thread?.end();
    thread = null;
    return ending ?? Promise.resolve();
  }

  function onIdle(idle: CounterThread): void {
    if (idle !== thread) return;
    cancelEnd = clock.after(IDLE_MS, () => void endThread());
  }

  function onDead(dead: CounterThread): void {
    if (dead === thread) thread = null;
  }

  return {
    method: 'o200k_base',
    async count(body, maxCharacters) {
      if (closed) throw new Error('the token counter is closed');
      cancelEnd();
      thread ??= new CounterThread({ onIdle, onDead });
      return await thread.count(body, maxCharacters);
    },
    async close() {
      closed = true;
      await endThread();
    },
  };
}

interface ThreadListeners {
  /** Told when all that was asked is answered. */
  readonly onIdle: (thread: CounterThread) => void;
  /** Told when it has ended, whatever for. */
  readonly onDead: (thread: CounterThread) => void;
}

class CounterThread {
  readonly #worker: Worker;
  readonly #asked = new Map<number, PromiseWithResolvers<number>>();
  readonly #listeners: ThreadListeners;
  #lastId = 0;

  constructor(listeners: ThreadListeners) {
    this.#listeners = listeners;
    // Options of the process are not its business, nor are the secrets in the environment.
    this.#worker = new Worker(THREAD, { execArgv: [], env: {} });
    this.#worker.on('message', (answer: CountAnswer) => this.#onAnswer(answer));
    this.#worker.on('error', (error) => this.#die(error));
    this.#worker.on('exit', () => this.#die(new Error('the thread that counts tokens has ended')));
  }

  count(body: Uint8Array, maxCharacters: number): Promise<number> {
    const id = ++this.#lastId;
    const answer = Promise.withResolvers<number>();
    this.#asked.set(id, answer);
    // A copy, for its buffer goes to the thread, and that of `body` may be shared.
    const request: CountRequest = { id, body: new Uint8Array(body), maxCharacters };
    this.#worker.postMessage(request, [request.body.buffer as ArrayBuffer]);
    return answer.promise;
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #onAnswer({ id, tokens }: CountAnswer): void {
    this.#asked.get(id)?.resolve(tokens);
    this.#asked.delete(id);
    if (this.#asked.size === 0) this.#listeners.onIdle(this);
  }

  #die(error: unknown): void {
    for (const answer of this.#asked.values()) answer.reject(error);
    this.#asked.clear();
    this.#listeners.onDead(this);
  }
}
