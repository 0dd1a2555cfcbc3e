import { readFileSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';
import { z } from 'zod';
import {
  bytes,
  completionWindow,
  endpoint,
  flag,
  httpUrl,
  integer,
  list,
  logLevel,
  modelLimits,
  postgresUrl,
  role,
  s3Url,
  signingSecret,
  text,
  upstreamFormat,
} from './config-values.ts';
import { DEFAULT_SETTINGS, MAX_REQUESTS_PER_MINUTE } from './engine/index.ts';

export type { BlobUrl } from './config-values.ts';

/** Each environment variable that the service knows, as text → value, with its default. */
const variables = {
  ROLE: role().default('all'),
  HOST: text().default('127.0.0.1'),
  PORT: integer(0, 65_535).default(8080),
  DATA_DIR: text().default('./data'),
  DATABASE_URL: postgresUrl().nullable().default(null),
  DATABASE_CONNECTIONS: integer(2, 1000).default(10),
  BLOB_URL: s3Url().nullable().default(null),
  PUBLIC_BASE_URL: httpUrl().nullable().default(null),
  UPSTREAM_BASE_URL: httpUrl().nullable().default(null),
  UPSTREAM_API_KEY: text().nullable().default(null),
  UPSTREAM_FORMAT: upstreamFormat().default('openai'),
  MAX_CONCURRENCY: integer(1, 100_000).default(64),
  MODEL_CONCURRENCY: modelLimits().default([]),
  REQUEST_TIMEOUT_MS: integer(1, 86_400_000).default(600_000),
  MAX_RETRIES: integer(0, 100).default(DEFAULT_SETTINGS.maxRetries),
  RETRY_BASE_MS: integer(1, 60_000).default(DEFAULT_SETTINGS.retryBaseMs),
  MAX_RESPONSE_BYTES: bytes().default(64 * 1024 * 1024),
  MAX_FILE_BYTES: bytes().default(DEFAULT_SETTINGS.maxFileBytes),
  MAX_UPLOAD_BYTES: bytes().default(DEFAULT_SETTINGS.maxUploadBytes),
  MAX_BATCH_BYTES: bytes().default(DEFAULT_SETTINGS.maxBatchBytes),
  MAX_BATCH_LINES: integer(1, 1_000_000_000).default(DEFAULT_SETTINGS.maxBatchLines),
  MAX_LINE_BYTES: bytes().default(DEFAULT_SETTINGS.maxLineBytes),
  ENDPOINTS: list(endpoint()).default([...DEFAULT_SETTINGS.endpoints]),
  COMPLETION_WINDOWS: list(completionWindow()).default([...DEFAULT_SETTINGS.completionWindows]),
  ONE_MODEL_PER_BATCH: flag().default(DEFAULT_SETTINGS.oneModelPerBatch),
  API_KEYS: list(text()).default([]),
  ALLOW_UNAUTHENTICATED: flag().default(false),
  OWNER_REQUESTS_PER_MINUTE: integer(1, MAX_REQUESTS_PER_MINUTE).nullable().default(null),
  OWNER_MAX_STORED_BYTES: bytes().nullable().default(null),
  OWNER_MAX_QUEUED_LINES: integer(1, 1_000_000_000).nullable().default(null),
  OWNER_MAX_LIVE_BATCHES: integer(1, 1_000_000_000).nullable().default(null),
  WEBHOOK_URLS: list(httpUrl()).default([]),
  WEBHOOK_SIGNING_SECRET: signingSecret().nullable().default(null),
  WEBHOOK_ALLOW_PRIVATE: flag().default(false),
  SHUTDOWN_GRACE_MS: integer(0, 3_600_000).default(30_000),
  LOG_LEVEL: logLevel().default('info'),
};

/** Variables that may also be given as `<NAME>_FILE`, the path of a file that holds the value. */
const SECRETS = [
  'DATABASE_URL',
  'BLOB_URL',
  'UPSTREAM_API_KEY',
  'API_KEYS',
  'WEBHOOK_SIGNING_SECRET',
] as const;

const schema = z.object(variables);

type Parsed = z.infer<typeof schema>;

/** The settings of the service, by the names of their environment variables. Frozen, and so are its lists. */
export type Config = { readonly [Name in keyof Parsed]: Readonly<Parsed[Name]> };

/** The start is refused; `message` lists every fault, one a line, each with its variable's name. */
export class ConfigError extends Error {
  constructor(faults: readonly string[]) {
    super(`The settings are not valid:\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
    this.name = 'ConfigError';
  }
}

/**
 * Reads the settings from `env`. A variable that is empty counts as unset. Throws ConfigError with every fault at
 * once; a fault never repeats the value, which may be a secret.
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const faults = new Faults();
  const given = readVariables(env, faults);
  const { error } = schema.safeParse(given);
  for (const issue of error?.issues ?? []) faults.add(String(issue.path[0]), issue.message);
  // Faulty variables as if unset, so that the rules about several variables are checked all the same.
  for (const name of faults.names) delete given[name];
  const config = schema.parse(given);
  addCrossFaults(config, faults);
  if (faults.lines.size > 0) throw new ConfigError([...faults.lines]);
  for (const value of Object.values(config)) Object.freeze(value);
  return Object.freeze(config);
}

/** What is wrong, one line each, and with which variables. */
class Faults {
  readonly lines = new Set<string>();
  readonly names = new Set<string>();

  /** `source`: the variable at fault where it is not `name` itself, but its `_FILE`. */
  add(name: string, message: string, source = name): void {
    this.names.add(name);
    this.lines.add(`${source}: ${message}`);
  }
}

/** The texts of the variables that are set, by themselves or through their `_FILE`. */
function readVariables(
  env: Readonly<Record<string, string | undefined>>,
  faults: Faults,
): Record<string, string> {
  const given: Record<string, string> = {};
  for (const name of Object.keys(variables)) {
    const value = env[name]?.trim();
    if (value !== undefined && value !== '') given[name] = value;
  }
  for (const name of SECRETS) {
    const path = env[`${name}_FILE`]?.trim();
    if (path !== undefined && path !== '') readSecretFile(name, path, given, faults);
  }
  return given;
}

function readSecretFile(name: string, path: string, given: Record<string, string>, faults: Faults): void {
  const source = `${name}_FILE`;
  if (given[name] !== undefined) {
    faults.add(name, `set either this or ${name}, not both`, source);
    return;
  }
  try {
    const value = readFileSync(path, 'utf8').trim();
    // Not "unset": an empty file is a secret that got lost, and without API_KEYS the service would be open.
    if (value === '') faults.add(name, 'the file is empty', source);
    else given[name] = value;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    faults.add(name, `the file cannot be read (${code})`, source);
  }
}

/** Faults that only several variables together have; not asked where one of them has a fault of its own. */
function addCrossFaults(config: Parsed, faults: Faults): void {
  const sound = (...names: (keyof Parsed)[]) => names.every((name) => !faults.names.has(name));
  if (sound('ROLE', 'DATABASE_URL', 'BLOB_URL')) addRoleFaults(config, faults);
  if (
    sound('ROLE', 'HOST', 'API_KEYS', 'ALLOW_UNAUTHENTICATED') &&
    // Of a worker, others can only ask whether it is well.
    config.ROLE !== 'worker' &&
    config.API_KEYS.length === 0 &&
    !config.ALLOW_UNAUTHENTICATED &&
    !isLoopback(config.HOST)
  ) {
    faults.add(
      'API_KEYS',
      `needed to listen on ${config.HOST}, where others can connect (or set ALLOW_UNAUTHENTICATED=true)`,
    );
  }
  if (
    sound('WEBHOOK_URLS', 'WEBHOOK_SIGNING_SECRET') &&
    config.WEBHOOK_URLS.length > 0 &&
    config.WEBHOOK_SIGNING_SECRET === null
  ) {
    faults.add('WEBHOOK_SIGNING_SECRET', 'needed to sign what is sent to WEBHOOK_URLS');
  }
}

/** One part alone does nothing: another process must see the same batches and the same bytes. */
function addRoleFaults({ ROLE, DATABASE_URL, BLOB_URL }: Parsed, faults: Faults): void {
  if (ROLE === 'all') return;
  const missing = [];
  if (DATABASE_URL === null) missing.push('DATABASE_URL');
  if (BLOB_URL === null) missing.push('BLOB_URL');
  if (missing.length === 0) return;
  faults.add(
    'ROLE',
    `'${ROLE}' shares its work with other processes, which needs DATABASE_URL (PostgreSQL) and BLOB_URL (S3); not set: ${missing.join(', ')}`,
  );
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8);
loopback.addAddress('::1', 'ipv6');

/** True for `localhost` and loopback addresses: nobody on another machine can connect. */
export function isLoopback(host: string): boolean {
  const version = isIP(host);
  if (version === 0) return host === 'localhost';
  return loopback.check(host, version === 6 ? 'ipv6' : 'ipv4');
}
