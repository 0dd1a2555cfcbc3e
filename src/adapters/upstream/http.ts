import { validateHeaderValue } from 'node:http';
import type { BatchFormat } from '../../engine/batches/batch.ts';
import type { Clock, Outcome, Upstream, UpstreamRequest } from '../../engine/ports.ts';
import { Call } from './call.ts';
import type { CallContext } from './call.ts';
import { createDeadlines } from './deadlines.ts';
import { UNASKED_BYTES } from './messages.ts';
import { createSlots } from './slots.ts';
import type { Slot } from './slots.ts';

export interface HttpUpstreamOptions {
  /** As an SDK takes it, e.g. `http://127.0.0.1:8000/v1`: what follows `/v1` in a line's URL is appended to it. */
  readonly baseUrl: string;
  /** Sent as a bearer token, or in the format anthropic as `x-api-key`; null: not sent. */
  readonly apiKey: string | null;
  /** Whose API the server speaks, as far as that shows in headers. Default: openai. */
  readonly format?: BatchFormat | undefined;
  /** For a request as a whole, from `send` to the last byte of the answer. */
  readonly requestTimeoutMs: number;
  /** Longest body of an answer. */
  readonly maxResponseBytes: number;
  readonly connectTimeoutMs?: number;
  readonly clock: Clock;
}

const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;
/** What servers of the format anthropic are asked to speak: what all of them know. */
const ANTHROPIC_VERSION = '2023-06-01';

/**
 * An OpenAI-compatible model server over HTTP/1.1. Redirects are not followed, bodies not decoded: what is not an
 * answer of the server itself is for the caller to judge. `unreachable` means that nothing of the request was
 * written. How many requests are sent at a time is for the caller to bound; each has a connection of its own, and
 * connections are kept alive between them. Throws where the base URL or the key cannot be used.
 */
export function createHttpUpstream(options: HttpUpstreamOptions): Upstream {
  const {
    clock,
    requestTimeoutMs,
    maxResponseBytes,
    connectTimeoutMs = DEFAULT_CONNECT_TIMEOUT_MS,
  } = options;
  const base = new URL(options.baseUrl);
  const pathOf = createPaths(base);
  const headers = requestHeaders(options.apiKey, options.format ?? 'openai');
  const idempotencyKeyAt = headers.length - 1;
  const slots = createSlots({ origin: new URL(base.origin), connectTimeoutMs, clock });
  const calls = createDeadlines<Call>({
    clock,
    timeoutMs: requestTimeoutMs,
    onExpired: (call) => call.expire(),
  });
  const settler = createSettler((slot, isReusable) => (isReusable ? slots.giveBack(slot) : slots.drop(slot)));
  const context: CallContext = {
    origin: base.origin,
    requestTimeoutMs,
    maxResponseBytes,
    onEnded(call, outcome) {
      calls.remove(call);
      settler.add(call, outcome);
    },
  };
  let isClosed = false;

  return {
    refuses: () => null,
    send(request: UpstreamRequest, settle) {
      const call = new Call(context, slots.take(), clock.monotonic(), settle);
      calls.add(call);
      if (isClosed) call.abort();
      else {
        // undici reads the headers before `dispatch` returns, so one array serves all requests.
        headers[idempotencyKeyAt] = request.idempotencyKey;
        call.slot.dispatch({ method: 'POST', path: pathOf(request.url), headers, body: request.body }, call);
      }
      return () => call.abort();
    },
    async close() {
      isClosed = true;
      for (const call of calls.items) call.abort();
      await settler.idle();
      await slots.close();
    },
  };
}

/** A line's URL → the path to ask for. */
function createPaths(base: URL): (url: string) => string {
  const prefix = base.pathname.replace(/\/+$/, '');
  const { search } = base;
  return (url) => prefix + (url.startsWith('/v1/') ? url.slice(3) : url) + search;
}

/** Names and values in turn; the last value, the idempotency key's, is filled in for each request. */
function requestHeaders(apiKey: string | null, format: BatchFormat): string[] {
  const headers = [
    'content-type',
    'application/json',
    'accept',
    'application/json',
    'accept-encoding',
    'identity',
    'user-agent',
    'anyllm-batch',
  ];
  if (format === 'anthropic') headers.push('anthropic-version', ANTHROPIC_VERSION);
  if (apiKey !== null) {
    const [name, value] =
      format === 'anthropic'
        ? (['x-api-key', apiKey] as const)
        : (['authorization', `Bearer ${apiKey}`] as const);
    validateHeaderValue(name, value);
    headers.push(name, value);
  }
  headers.push('idempotency-key', '');
  return headers;
}

/**
 * True where no other answer to the same request is to be feared. A server that gave up on it (408, 5xx) may still
 * send what its model brought later; on a connection that carries the next request by then, that would be taken
 * for the answer to it.
 */
function isSettled(outcome: Outcome): boolean {
  return outcome.kind === 'answer' && outcome.status !== 408 && outcome.status < 500;
}

interface Settler {
  add(call: Call, outcome: Outcome): void;
  /** Resolves when all that was added is settled. */
  idle(): Promise<void>;
}

/**
 * Settles ended calls all together once the event loop has gone through the reads of this turn, and only then
 * frees their slots. Bytes that came behind an answer are known by then: whoever sends them does not keep to the
 * order of requests and answers, so neither the connection nor that answer is trusted. It also means that the
 * slots which a settled call frees are there for what its caller sends next, so that there are never more
 * connections than calls.
 */
function createSettler(release: (slot: Slot, isReusable: boolean) => void): Settler {
  let ended: { readonly call: Call; readonly outcome: Outcome }[] = [];

  function settleAll(): void {
    const batch = ended;
    ended = [];
    for (const { call, outcome } of batch) {
      const { slot } = call;
      const hasUnasked = outcome.kind === 'answer' && slot.gotUnaskedBytes;
      // An answer to half a request leaves the other half in the way of the next one.
      release(slot, isSettled(outcome) && !hasUnasked && !slot.isSending);
      call.settle(hasUnasked ? { kind: 'failed', code: 'request_failed', message: UNASKED_BYTES } : outcome);
    }
  }

  return {
    add(call, outcome) {
      if (ended.push({ call, outcome }) === 1) setImmediate(settleAll);
    },
    async idle() {
      while (ended.length > 0) await new Promise((resolve) => setImmediate(resolve));
    },
  };
}
