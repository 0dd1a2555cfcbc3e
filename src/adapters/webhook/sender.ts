import type { LookupAddress } from 'node:dns';
import { isIP } from 'node:net';
import type { Socket } from 'node:net';
import { Client } from 'undici';
import type { WebhookOutcome, WebhookRequest, WebhookSender } from '../../engine/ports.ts';
import { isPublicAddress } from './address.ts';
import { readBodyStart } from './answer-body.ts';
import { connectPinned } from './connect.ts';
import type { OpenSocket } from './connect.ts';
import { NoAnswer, outcomeOf } from './no-answer.ts';
import { checkWebhookUrl, hostOf } from './url.ts';

/** All addresses of a name. */
export type Lookup = (hostname: string) => Promise<readonly LookupAddress[]>;

export interface SenderParts {
  /** True: addresses are not judged, for receivers in one's own network. */
  readonly allowPrivate: boolean;
  /** For an attempt as a whole. */
  readonly timeoutMs: number;
  readonly lookup: Lookup;
  readonly openSocket: OpenSocket;
}

/**
 * A WebhookSender from its parts. Each attempt has a connection of its own, so that the address that was judged is
 * the one that is called. Once a status is known it is the outcome, however the rest of the answer comes.
 */
export function createSender(parts: SenderParts): WebhookSender {
  const { allowPrivate, timeoutMs } = parts;
  const attempts = new Map<AbortController, Promise<WebhookOutcome>>();
  let isClosed = false;

  const check = (url: string): string | null => checkWebhookUrl(url, allowPrivate);

  async function attempt(request: WebhookRequest, stop: AbortSignal): Promise<WebhookOutcome> {
    try {
      const refusal = request.trusted ? null : check(request.url);
      if (refusal !== null) throw new NoAnswer({ kind: 'refused', message: refusal });
      return await post(parts, request, stop);
    } catch (error) {
      return outcomeOf(error);
    }
  }

  return {
    check,
    async send(request, signal) {
      const stop = new AbortController();
      const abort = (): void => stop.abort(new NoAnswer({ kind: 'aborted' }));
      const expire = (): void => {
        stop.abort(new NoAnswer({ kind: 'failed', message: `no answer within ${timeoutMs} ms` }));
      };
      if (signal.aborted || isClosed) abort();
      signal.addEventListener('abort', abort);
      const timer = setTimeout(expire, timeoutMs);
      const ended = attempt(request, stop.signal);
      attempts.set(stop, ended);
      const outcome = await ended;
      attempts.delete(stop);
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      return outcome;
    },
    async close() {
      isClosed = true;
      for (const stop of attempts.keys()) stop.abort(new NoAnswer({ kind: 'aborted' }));
      await Promise.all(attempts.values());
    },
  };
}

/** Resolves the name, connects to one of its addresses and posts. Rejects with the reason of `stop` where that aborts. */
async function post(parts: SenderParts, request: WebhookRequest, stop: AbortSignal): Promise<WebhookOutcome> {
  const url = new URL(request.url);
  const addresses = await resolve(parts.lookup, hostOf(url), stop);
  if (
    !request.trusted &&
    !parts.allowPrivate &&
    !addresses.every(({ address }) => isPublicAddress(address))
  ) {
    throw new NoAnswer({
      kind: 'refused',
      message: 'the name of its host leads to an address that is not public',
    });
  }
  stop.throwIfAborted();
  let socket: Socket | null = null;
  const client = new Client(url.origin, {
    connect: (_target, callback) => {
      socket = connectPinned(parts.openSocket, { url, addresses }, callback);
    },
    // No keep-alive.
    pipelining: 0,
    allowH2: false,
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  const giveUp = (): void => void socket?.destroy(stop.reason as Error);
  stop.addEventListener('abort', giveUp);
  try {
    const { headers, body } = request;
    const answer = await client.request({ method: 'POST', path: url.pathname + url.search, headers, body });
    return {
      kind: 'answered',
      status: answer.statusCode,
      retryAfter: firstValue(answer.headers['retry-after']),
      body: await readBodyStart(answer.body),
    };
  } finally {
    stop.removeEventListener('abort', giveUp);
    await client.destroy();
  }
}

async function resolve(lookup: Lookup, host: string, stop: AbortSignal): Promise<readonly LookupAddress[]> {
  stop.throwIfAborted();
  const family = isIP(host);
  if (family !== 0) return [{ address: host, family }];
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(stop.reason as Error);
  stop.addEventListener('abort', onAbort);
  try {
    // A lookup of the system cannot be called back, only left alone.
    const addresses = await Promise.race([lookup(host), stopped]);
    if (addresses.length === 0) throw new NoAnswer({ kind: 'failed', message: 'its host has no address' });
    return addresses;
  } finally {
    stop.removeEventListener('abort', onAbort);
  }
}

function firstValue(value: string | string[] | undefined): string | null {
  return (Array.isArray(value) ? value[0] : value) ?? null;
}
