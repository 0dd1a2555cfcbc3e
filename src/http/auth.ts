/** Who calls: the one place that turns a request's key into an owner. */
import { hash, timingSafeEqual } from 'node:crypto';
import { HttpError } from './errors.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose files and batches the request may see. */
    owner: string;
  }
  interface FastifyContextConfig {
    /** True: the route needs no key, and answers while the service stops. */
    public?: boolean;
  }
}

/** Every key stands for the same owner. */
const DEFAULT_OWNER = 'default';

/**
 * Builds the check of an `Authorization` header: answers the owner, or throws a 401 HttpError. `Bearer <key>`
 * and Basic with the key as user name or password are accepted. With no `apiKeys` everybody is.
 */
export function createAuthenticator(
  apiKeys: readonly string[],
): (authorization: string | undefined) => string {
  const digests = apiKeys.map((key) => sha256(Buffer.from(key)));
  return (authorization) => {
    if (digests.length === 0) return DEFAULT_OWNER;
    const credentials = readCredentials(authorization ?? '');
    if (credentials.length === 0) throw missingKey();
    if (!isKnown(credentials, digests)) throw wrongKey(credentials.at(-1)?.toString('latin1') ?? '');
    return DEFAULT_OWNER;
  };
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
