/** What the API offers on keys: one verb a function. */
import { hashSecret, hintOf, newApiKeyId, newSecret } from './api-key.ts';
import type { ApiKey } from './api-key.ts';
import { allEndpoints } from '../batches/batch-format.ts';
import type { EngineContext } from '../context.ts';
import { EngineError } from '../errors.ts';
import { checkOwnerName, MAX_REQUESTS_PER_MINUTE } from './owner.ts';
import type { Page } from '../ports.ts';
import { checkIntegerRange, checkLength, checkOneOf } from '../values.ts';

/** A key with its secret, which is told this once. */
export interface SecretKey {
  readonly key: ApiKey;
  readonly secret: string;
}

export interface CreateApiKeyRequest {
  /** 1…256 characters. */
  readonly name: string;
  /** Whose files and batches it opens: 1…64 characters of A-Z, a-z, 0-9, '_', '.' and '-'. */
  readonly owner: string;
  /** Unix seconds, after now; default: it never expires. */
  readonly expiresAtSeconds?: number | null | undefined;
  /** 1…100 names of 1…256 characters; default: all models. */
  readonly models?: readonly string[] | null | undefined;
  /** Some of the settings' endpoints; default: all. */
  readonly endpoints?: readonly string[] | null | undefined;
  /** 1…1,000,000; default: no limit but the owner's. */
  readonly requestsPerMinute?: number | null | undefined;
}

const MAX_NAME = 256;
const MAX_LIST = 100;
/** The last second of the year 9999. */
const MAX_EXPIRES_AT = 253_402_300_799;

/** Makes a key, durably. Rejects with an EngineError that names the field at fault. */
export async function createApiKey(ctx: EngineContext, request: CreateApiKeyRequest): Promise<SecretKey> {
  const now = ctx.clock.now();
  checkText('name', request.name);
  checkOwnerName('owner', request.owner);
  checkModels(request.models ?? null);
  checkEndpoints(ctx, request.endpoints ?? null);
  const expiresAt = request.expiresAtSeconds ?? null;
  if (expiresAt !== null) {
    checkIntegerRange('expires_at', expiresAt, Math.floor(now / 1000) + 1, MAX_EXPIRES_AT);
  }

  const requestsPerMinute = request.requestsPerMinute ?? null;
  if (requestsPerMinute !== null) {
    checkIntegerRange('requests_per_minute', requestsPerMinute, 1, MAX_REQUESTS_PER_MINUTE);
  }

  const secret = newSecret();
  const key: ApiKey = {
    id: newApiKeyId(),
    owner: request.owner,
    name: request.name,
    hint: hintOf(secret),
    models: request.models ?? null,
    endpoints: request.endpoints ?? null,
    requestsPerMinute,
    createdAt: now,
    expiresAt: expiresAt === null ? null : expiresAt * 1000,
    revokedAt: null,
    lastUsedAt: null,
  };
  await ctx.store.insertApiKey(key, hashSecret(secret));
  ctx.log.info({ keyId: key.id, owner: key.owner }, 'key created');
  return { key, secret };
}

function checkText(param: string, text: string): void {
  if (text === '') {
    throw new EngineError(
      'invalid_value',
      `Invalid '${param}': empty string. Expected a string with minimum length 1, but got an empty string instead.`,
      { param },
    );
  }
  checkLength(param, text, MAX_NAME);
  // A database would replace what is no character in silence.
  if (!text.isWellFormed()) {
    throw new EngineError('invalid_value', `Invalid '${param}': half of a surrogate pair stands alone.`, {
      param,
    });
  }
}

function checkModels(models: readonly string[] | null): void {
  if (models === null) return;
  checkListLength('models', models);
  models.forEach((model, i) => checkText(`models.${i}`, model));
}

function checkEndpoints(ctx: EngineContext, endpoints: readonly string[] | null): void {
  if (endpoints === null) return;
  checkListLength('endpoints', endpoints);
  endpoints.forEach((endpoint, i) => checkOneOf(`endpoints.${i}`, endpoint, allEndpoints(ctx.settings)));
}

/** A key that allows nothing is none: such a list is a mistake. */
function checkListLength(param: string, list: readonly string[]): void {
  if (list.length >= 1 && list.length <= MAX_LIST) return;
  throw new EngineError(
    'invalid_value',
    `Invalid '${param}': expected an array of 1 to ${MAX_LIST} items, but got ${list.length}. Leave it out to allow all.`,
    { param },
  );
}

/** The key, dead ones too, or `api_key_not_found`; `invalid_value` for an id of another kind. */
export async function getApiKey(ctx: EngineContext, id: string): Promise<ApiKey> {
  checkKeyId('key_id', id);
  const key = await ctx.store.getApiKey(id);
  if (key === null) throw keyNotFound(id);
  return key;
}

export interface ListApiKeysRequest {
  /** Default: the keys of all owners. */
  readonly owner?: string | undefined;
  readonly after?: string | undefined;
  /** 1…100. */
  readonly limit: number;
}

/** A page of the keys, newest first, dead ones too. `api_key_not_found` for an unknown `after`. */
export async function listApiKeys(ctx: EngineContext, request: ListApiKeysRequest): Promise<Page<ApiKey>> {
  checkIntegerRange('limit', request.limit, 1, 100);
  if (request.after !== undefined) checkKeyId('after', request.after);
  const page = await ctx.store.listApiKeys(request);
  if (page === null) throw keyNotFound(request.after ?? '');
  return page;
}

/** Ends the key at once and for ever. A revoked one stays as it is; `api_key_not_found` for an unknown one. */
export async function revokeApiKey(ctx: EngineContext, id: string): Promise<void> {
  checkKeyId('key_id', id);
  if (!(await ctx.store.revokeApiKey(id, ctx.clock.now()))) throw keyNotFound(id);
  ctx.log.info({ keyId: id }, 'key revoked');
}

export interface RotateApiKeyRequest {
  readonly id: string;
  /** 0…86400: so long the present secret works as well; default: no longer. */
  readonly keepOldSeconds?: number | null | undefined;
}

/**
 * Gives the key a new secret. At most two work: an older one than the present one ends in any case. `conflict` for a key
 * that is revoked or expired.
 */
export async function rotateApiKey(ctx: EngineContext, request: RotateApiKeyRequest): Promise<SecretKey> {
  const { id } = request;
  const keepOldSeconds = request.keepOldSeconds ?? 0;
  checkKeyId('key_id', id);
  checkIntegerRange('keep_old_key_seconds', keepOldSeconds, 0, 86_400);
  const secret = newSecret();
  const now = ctx.clock.now();
  const rotated = await ctx.store.rotateApiKey({
    id,
    now,
    hash: hashSecret(secret),
    hint: hintOf(secret),
    keepOldUntil: now + keepOldSeconds * 1000,
  });
  if (rotated.kind === 'missing') throw keyNotFound(id);
  if (rotated.kind === 'refused') {
    throw new EngineError('conflict', `Cannot rotate a key that is ${rotated.reason}.`);
  }
  ctx.log.info({ keyId: id, keepOldSeconds }, 'key rotated');
  return { key: rotated.key, secret };
}

/** The key that the secret opens now; null for a wrong secret and a dead key alike. */
export async function findApiKey(ctx: EngineContext, secret: string | Uint8Array): Promise<ApiKey | null> {
  return await ctx.store.findApiKey(hashSecret(secret), ctx.clock.now());
}

/** Uses of a key are noted at most this often, milliseconds. */
const NOTE_USE_MS = 60_000;

/** Answers how to note that a key was used. Nothing waits for it, and where it fails the log alone hears of it. */
export function createUseNotes(ctx: EngineContext): (key: ApiKey) => void {
  /** What was noted by this process. The key at hand may have been read before that was written. */
  const notedAt = new Map<string, number>();
  return ({ id, lastUsedAt }) => {
    const now = ctx.clock.now();
    const last = notedAt.get(id) ?? lastUsedAt;
    // A clock that was set back makes no use wait for the time that it had shown.
    if (last !== null && now >= last && now - last < NOTE_USE_MS) return;
    notedAt.set(id, now);
    ctx.store.noteApiKeyUse(id, now).catch((error: unknown) => {
      ctx.log.warn({ err: error, keyId: id }, 'the use of a key cannot be noted');
    });
  };
}

/** Whoever confuses a key's id with its secret must not find the secret in an answer. */
function checkKeyId(param: string, id: string): void {
  if (id.startsWith('key_')) return;
  throw new EngineError('invalid_value', `Invalid '${param}'. Expected an ID that begins with 'key_'.`, {
    param,
  });
}

function keyNotFound(id: string): EngineError {
  return new EngineError('api_key_not_found', `No API key found with id '${id}'.`);
}
