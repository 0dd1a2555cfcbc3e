/** Requests a minute: of an owner, and of a key. */
import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Clock, Engine } from '../engine/index.ts';
import { isPublic } from './auth.ts';
import { HttpError } from './errors.ts';
import { isMessagesRequest } from './messages/wire.ts';
import { RequestWindows } from './request-windows.ts';

const WINDOW_MS = 60_000;

/** Where an operator looks, and helps himself out of a limit. */
const UNCOUNTED = '/v1/admin/';

/** Where a request stands within one limit. */
interface Standing {
  readonly max: number;
  /** Further requests that the window has room for. */
  readonly remaining: number;
  /** Milliseconds to its end. */
  readonly ttl: number;
  readonly isExceeded: boolean;
  /** Whose limit it is. */
  readonly of: string;
}

/** Null where there is no such limit. */
type Count = (request: FastifyRequest) => Promise<Standing | null>;

/**
 * Refuses, before any body is read, requests beyond what their key and their owner may send a minute; all answers tell the nearer
 * limit in headers. What has no limit is not counted. Needs a caller.
 */
export function limitRequests(app: FastifyInstance, engine: Engine): void {
  const { clock } = engine.context;
  const counts: Count[] = [];
  app.register(rateLimit, {
    global: false,
    timeWindow: WINDOW_MS,
    store: class extends RequestWindows {
      constructor() {
        super(clock);
      }
    },
  });
  app.after(() => {
    counts.push(
      createCount(app, {
        id: ({ caller }) => caller.key?.id ?? '',
        max: async ({ caller }) => caller.key?.requestsPerMinute ?? null,
        name: () => 'this API key',
      }),
      createCount(app, {
        id: ({ owner }) => owner,
        max: async ({ owner }) => (await engine.owners.limits(owner)).requestsPerMinute,
        name: ({ owner }) => `the owner '${owner}'`,
      }),
    );
  });
  app.addHook('onRequest', async (request, reply) => {
    if (isPublic(request) || request.routeOptions.url?.startsWith(UNCOUNTED) === true) return;
    let nearest: Standing | null = null;
    for (const count of counts) {
      const standing = await count(request);
      if (standing === null) continue;
      const isNearer = standing.isExceeded || standing.remaining < (nearest?.remaining ?? Infinity);
      if (isNearer) nearest = standing;
      // What its key may not send is not counted against the owner's other keys.
      if (standing.isExceeded) break;
    }
    if (nearest === null) return;
    reply.headers(isMessagesRequest(request) ? messagesHeaders(nearest, clock) : requestsHeaders(nearest));
    if (nearest.isExceeded) throw tooManyRequests(nearest);
  });
}

interface Limit {
  readonly id: (request: FastifyRequest) => string;
  /** Null: none. */
  readonly max: (request: FastifyRequest) => Promise<number | null>;
  readonly name: (request: FastifyRequest) => string;
}

function createCount(app: FastifyInstance, limit: Limit): Count {
  const { id, name } = limit;
  const maxOf = new WeakMap<FastifyRequest, number>();
  const check = app.createRateLimit({ keyGenerator: id, max: (request) => maxOf.get(request) ?? 0 });
  return async (request) => {
    const max = await limit.max(request);
    if (max === null) return null;
    maxOf.set(request, max);
    const checked = await check(request);
    return checked.isAllowed ? null : { ...checked, of: name(request) };
  };
}

function tooManyRequests({ max, ttl, of }: Standing): HttpError {
  const seconds = wholeSeconds(ttl);
  return new HttpError(
    429,
    `Rate limit reached for ${of}: ${max} requests a minute (requests_per_minute). Try again in ${seconds} s.`,
    { code: 'rate_limit_exceeded', headers: { 'retry-after': String(seconds) } },
  );
}

function requestsHeaders({ max, remaining, ttl }: Standing): Record<string, string> {
  return {
    'x-ratelimit-limit-requests': String(max),
    'x-ratelimit-remaining-requests': String(remaining),
    'x-ratelimit-reset-requests': duration(wholeSeconds(ttl)),
  };
}

/** The Messages API has names of its own, and a time in place of a duration. */
function messagesHeaders({ max, remaining, ttl }: Standing, clock: Clock): Record<string, string> {
  const resetAt = Math.ceil((clock.now() + ttl) / 1000) * 1000;
  return {
    'anthropic-ratelimit-requests-limit': String(max),
    'anthropic-ratelimit-requests-remaining': String(remaining),
    'anthropic-ratelimit-requests-reset': new Date(resetAt).toISOString().replace('.000Z', 'Z'),
  };
}

function wholeSeconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000));
}

/** As the official API writes durations: `1s`, `1m0s`. */
function duration(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  return minutes === 0 ? `${seconds}s` : `${minutes}m${seconds % 60}s`;
}
