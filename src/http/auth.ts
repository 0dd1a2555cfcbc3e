/** Who calls: the one place that turns a request's key into an owner. */
import { hash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ApiKey, Engine } from '../engine/index.ts';
import { HttpError } from './errors.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set on all routes but public ones. */
    caller: Caller;
    /** Whose files and batches the request may see: the caller's owner. */
    readonly owner: string;
  }
  interface FastifyContextConfig {
    /** True: the route needs no key, and answers while the service stops. */
    public?: boolean;
  }
}

/** Who sent a request. */
export interface Caller {
  readonly owner: string;
  /** True: sent one of API_KEYS. */
  readonly isAdmin: boolean;
  /** The key of the database that was sent, with what it allows; null: everything is allowed. */
  readonly key: ApiKey | null;
}

/** All keys of API_KEYS stand for the same owner, and so does having none where none is asked for. */
const DEFAULT_OWNER = 'default';
const ADMINISTRATOR: Caller = { owner: DEFAULT_OWNER, isAdmin: true, key: null };
const ANYBODY: Caller = { owner: DEFAULT_OWNER, isAdmin: false, key: null };

export interface AuthenticatorOptions {
  /** The administrators' keys. */
  readonly apiKeys: readonly string[];
  /** Those that they hand out. */
  readonly keys: Pick<Engine['keys'], 'find' | 'exist'>;
}

/**
 * Builds the check of an `Authorization` header: answers who calls, or rejects with a 401 HttpError. `Bearer <key>`
 * and Basic with the key as user name or password are accepted. With no keys of either kind everybody is. A key that was
 * revoked still counts: with the last one the doors must not open.
 */
export function createAuthenticator({
  apiKeys,
  keys,
}: AuthenticatorOptions): (authorization: string | undefined) => Promise<Caller> {
  const digests = apiKeys.map((key) => sha256(Buffer.from(key)));
  return async (authorization) => {
    const credentials = readCredentials(authorization ?? '');
    if (isKnown(credentials, digests)) return ADMINISTRATOR;
    for (const credential of credentials) {
      const key = await keys.find(credential);
      if (key !== null) return { owner: key.owner, isAdmin: false, key };
    }
    if (digests.length === 0 && !(await keys.exist())) return ANYBODY;
    if (credentials.length === 0) throw missingKey();
    throw wrongKey(credentials.at(-1)?.toString('latin1') ?? '');
  };
}

/** True for routes that need no key. */
export function isPublic(request: FastifyRequest): boolean {
  return request.routeOptions.config.public === true;
}

/** True where no key was asked for. */
export function isAnybody(caller: Caller): boolean {
  return !caller.isAdmin && caller.key === null;
}

/** Refuses all requests of this scope that come with another key than one of API_KEYS, before their bodies are read. */
export function administratorsOnly(scope: FastifyInstance): void {
  scope.addHook('onRequest', async ({ caller }) => {
    if (caller.isAdmin) return;
    throw new HttpError(
      403,
      isAnybody(caller)
        ? 'API_KEYS must be set on this server to use /v1/admin: only its keys may.'
        : 'Your API key may not use /v1/admin: only those of the setting API_KEYS may.',
    );
  });
}

/** What may be the key, as the bytes that were sent; empty where there is nothing. */
function readCredentials(authorization: string): readonly Buffer[] {
  const bearer = /^bearer +(\S.*)$/i.exec(authorization)?.[1];
  // Node decodes header bytes as Latin-1.
  if (bearer !== undefined) return [Buffer.from(bearer, 'latin1')];
  const basic = /^basic +(\S.*)$/i.exec(authorization)?.[1];
  if (basic === undefined) return [];
  const decoded = Buffer.from(basic, 'base64');
  const colon = decoded.indexOf(':');
  const parts = colon === -1 ? [decoded] : [decoded.subarray(0, colon), decoded.subarray(colon + 1)];
  return parts.filter((part) => part.length > 0);
}

/** Compares digests, and all of them: the time taken tells neither the key nor which of the keys it is like. */
function isKnown(credentials: readonly Buffer[], digests: readonly Buffer[]): boolean {
  let known = false;
  for (const credential of credentials) {
    const given = sha256(credential);
    for (const digest of digests) known = timingSafeEqual(given, digest) || known;
  }
  return known;
}

function sha256(bytes: Buffer): Buffer {
  return hash('sha256', bytes, 'buffer');
}

const CHALLENGE = { 'www-authenticate': 'Bearer' };

function missingKey(): HttpError {
  return new HttpError(401, 'Missing bearer or basic authentication in header', { headers: CHALLENGE });
}

function wrongKey(key: string): HttpError {
  return new HttpError(401, `Incorrect API key provided: ${maskKey(key)}.`, {
    code: 'invalid_api_key',
    headers: CHALLENGE,
  });
}

/** Keys shorter than this are masked whole: a few shown characters would be a good part of them. */
const SHOWN_FROM_LENGTH = 16;
const MAX_STARS = 24;

/** A key as an error may show it: enough to recognise one's own, not enough to use it. */
function maskKey(key: string): string {
  if (key.length < SHOWN_FROM_LENGTH) return '*'.repeat(key.length);
  return key.slice(0, 3) + '*'.repeat(Math.min(key.length - 7, MAX_STARS)) + key.slice(-4);
}
