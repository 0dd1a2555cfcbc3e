import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConfigError, isLoopback, loadConfig } from '../src/config.ts';

type Env = Readonly<Record<string, string>>;

/** The lines of the refusal of `env`, without its first one. */
function faultsOf(env: Env): string[] {
  try {
    loadConfig(env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message
      .split('\n')
      .slice(1)
      .map((line) => line.trim());
  }
  return [];
}

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

const DEFAULTS = {
  HOST: '127.0.0.1',
  PORT: 8080,
  DATA_DIR: './data',
  DATABASE_URL: null,
  DATABASE_CONNECTIONS: 10,
  BLOB_URL: null,
  PUBLIC_BASE_URL: null,
  UPSTREAM_BASE_URL: null,
  UPSTREAM_API_KEY: null,
  UPSTREAM_FORMAT: 'openai',
  MAX_CONCURRENCY: 64,
  REQUEST_TIMEOUT_MS: 600_000,
  MAX_RETRIES: 5,
  RETRY_BASE_MS: 500,
  MAX_RESPONSE_BYTES: 64 * MiB,
  MAX_FILE_BYTES: 512 * MiB,
  MAX_UPLOAD_BYTES: 8 * GiB,
  MAX_BATCH_BYTES: 200 * MiB,
  MAX_BATCH_LINES: 50_000,
  MAX_LINE_BYTES: 16 * MiB,
  ENDPOINTS: [
    '/v1/chat/completions',
    '/v1/responses',
    '/v1/embeddings',
    '/v1/completions',
    '/v1/moderations',
    '/v1/images/generations',
    '/v1/images/edits',
    '/v1/videos',
  ],
  COMPLETION_WINDOWS: ['24h'],
  ONE_MODEL_PER_BATCH: false,
  API_KEYS: [],
  ALLOW_UNAUTHENTICATED: false,
  OWNER_REQUESTS_PER_MINUTE: null,
  OWNER_MAX_STORED_BYTES: null,
  OWNER_MAX_QUEUED_LINES: null,
  OWNER_MAX_LIVE_BATCHES: null,
  WEBHOOK_URLS: [],
  WEBHOOK_SIGNING_SECRET: null,
  WEBHOOK_ALLOW_PRIVATE: false,
  SHUTDOWN_GRACE_MS: 30_000,
  LOG_LEVEL: 'info',
};

const WHSEC = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

describe('defaults', () => {
  it('need no variable at all', () => {
    expect(loadConfig({})).toEqual(DEFAULTS);
  });

  it('stand where a variable is empty or blank', () => {
    const blank = Object.fromEntries(Object.keys(DEFAULTS).map((name, i) => [name, i % 2 === 0 ? '' : '  ']));
    expect(loadConfig({ ...blank, API_KEYS_FILE: '', WEBHOOK_SIGNING_SECRET_FILE: ' ' })).toEqual(DEFAULTS);
  });

  it('are not disturbed by variables of other programs', () => {
    expect(loadConfig({ PATH: '/bin', port: '1', HOSTNAME: 'x' })).toEqual(DEFAULTS);
  });
});

describe('the result', () => {
  it('is frozen, and so are its lists, given or default', () => {
    const config = loadConfig({ API_KEYS: 'a' });
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.API_KEYS)).toBe(true);
    expect(Object.isFrozen(config.ENDPOINTS)).toBe(true);
    expect(Object.isFrozen(config.WEBHOOK_URLS)).toBe(true);
  });
});

describe('a variable', () => {
  const accepted: [env: Env, name: keyof typeof DEFAULTS, value: unknown][] = [
    [{ HOST: '::1' }, 'HOST', '::1'],
    [{ PORT: '0' }, 'PORT', 0],
    [{ PORT: ' 65535 ' }, 'PORT', 65_535],
    [{ DATA_DIR: '/var/lib/x' }, 'DATA_DIR', '/var/lib/x'],
    [{ DATABASE_URL: 'postgres://u:p@h:5432/d' }, 'DATABASE_URL', 'postgres://u:p@h:5432/d'],
    [{ DATABASE_URL: 'postgresql:///d' }, 'DATABASE_URL', 'postgresql:///d'],
    [{ BLOB_URL: 's3://bucket' }, 'BLOB_URL', { bucket: 'bucket', prefix: '' }],
    [{ BLOB_URL: 's3://my.bucket-1/' }, 'BLOB_URL', { bucket: 'my.bucket-1', prefix: '' }],
    [{ BLOB_URL: 's3://Bucket_1/a/b.c/' }, 'BLOB_URL', { bucket: 'Bucket_1', prefix: 'a/b.c' }],
    [
      { BLOB_URL: 's3://bucket/p?addressing_style=virtual' },
      'BLOB_URL',
      { bucket: 'bucket', prefix: 'p', addressingStyle: 'virtual' },
    ],
    [
      { BLOB_URL: 's3://bucket?addressing_style=path' },
      'BLOB_URL',
      { bucket: 'bucket', prefix: '', addressingStyle: 'path' },
    ],
    [{ DATABASE_CONNECTIONS: '2' }, 'DATABASE_CONNECTIONS', 2],
    [{ UPSTREAM_BASE_URL: 'http://localhost:11434/v1' }, 'UPSTREAM_BASE_URL', 'http://localhost:11434/v1'],
    [{ UPSTREAM_BASE_URL: 'https://example.com' }, 'UPSTREAM_BASE_URL', 'https://example.com'],
    [{ UPSTREAM_API_KEY: 'sk-1' }, 'UPSTREAM_API_KEY', 'sk-1'],
    [{ UPSTREAM_FORMAT: 'anthropic' }, 'UPSTREAM_FORMAT', 'anthropic'],
    [{ PUBLIC_BASE_URL: 'https://example.com/x' }, 'PUBLIC_BASE_URL', 'https://example.com/x'],
    [{ MAX_CONCURRENCY: '1' }, 'MAX_CONCURRENCY', 1],
    [{ REQUEST_TIMEOUT_MS: '86400000' }, 'REQUEST_TIMEOUT_MS', 86_400_000],
    [{ MAX_RETRIES: '0' }, 'MAX_RETRIES', 0],
    [{ RETRY_BASE_MS: '1' }, 'RETRY_BASE_MS', 1],
    [{ MAX_RESPONSE_BYTES: '1048576' }, 'MAX_RESPONSE_BYTES', MiB],
    [{ MAX_FILE_BYTES: '8GiB' }, 'MAX_FILE_BYTES', 8 * GiB],
    [{ MAX_UPLOAD_BYTES: '16GiB' }, 'MAX_UPLOAD_BYTES', 16 * GiB],
    [{ MAX_BATCH_BYTES: '4 GiB' }, 'MAX_BATCH_BYTES', 4 * GiB],
    [{ MAX_BATCH_LINES: '1000000' }, 'MAX_BATCH_LINES', 1_000_000],
    [{ MAX_LINE_BYTES: '64KiB' }, 'MAX_LINE_BYTES', 64 * KiB],
    [{ ENDPOINTS: '/v1/rerank, /v1/score ,' }, 'ENDPOINTS', ['/v1/rerank', '/v1/score']],
    [{ COMPLETION_WINDOWS: '90m,7d' }, 'COMPLETION_WINDOWS', ['90m', '7d']],
    [{ ONE_MODEL_PER_BATCH: 'true' }, 'ONE_MODEL_PER_BATCH', true],
    [{ ONE_MODEL_PER_BATCH: '0' }, 'ONE_MODEL_PER_BATCH', false],
    [{ API_KEYS: 'one, two' }, 'API_KEYS', ['one', 'two']],
    [{ ALLOW_UNAUTHENTICATED: '1' }, 'ALLOW_UNAUTHENTICATED', true],
    [{ OWNER_REQUESTS_PER_MINUTE: '1000000' }, 'OWNER_REQUESTS_PER_MINUTE', 1_000_000],
    [{ OWNER_MAX_STORED_BYTES: '100GiB' }, 'OWNER_MAX_STORED_BYTES', 100 * GiB],
    [{ OWNER_MAX_QUEUED_LINES: '1' }, 'OWNER_MAX_QUEUED_LINES', 1],
    [{ OWNER_MAX_LIVE_BATCHES: '1000000000' }, 'OWNER_MAX_LIVE_BATCHES', 1_000_000_000],
    [{ WEBHOOK_SIGNING_SECRET: WHSEC }, 'WEBHOOK_SIGNING_SECRET', WHSEC],
    [{ WEBHOOK_SIGNING_SECRET: '16 characters ok' }, 'WEBHOOK_SIGNING_SECRET', '16 characters ok'],
    [
      { WEBHOOK_URLS: 'http://127.0.0.1:1/a,https://example.com/b', WEBHOOK_SIGNING_SECRET: WHSEC },
      'WEBHOOK_URLS',
      ['http://127.0.0.1:1/a', 'https://example.com/b'],
    ],
    [{ WEBHOOK_ALLOW_PRIVATE: 'false' }, 'WEBHOOK_ALLOW_PRIVATE', false],
    [{ SHUTDOWN_GRACE_MS: '0' }, 'SHUTDOWN_GRACE_MS', 0],
    [{ LOG_LEVEL: 'silent' }, 'LOG_LEVEL', 'silent'],
  ];
  it.each(accepted)('%j sets %s', (env, name, value) => {
    expect(loadConfig(env)[name]).toEqual(value);
  });

  it('of every name has an accepted example above', () => {
    expect(new Set(accepted.map(([, name]) => name))).toEqual(new Set(Object.keys(DEFAULTS)));
  });

  const bytesFault = 'must be a number of bytes, or one with KiB, MiB or GiB';
  const secretFault =
    'must be whsec_ and the base64 of 24 to 64 bytes, or any other text of at least 16 characters';
  it.each<[name: string, value: string, fault: string]>([
    ['PORT', '80a', 'must be a whole number'],
    ['PORT', '8080.5', 'must be a whole number'],
    ['PORT', '1e3', 'must be a whole number'],
    ['PORT', '-1', 'must be between 0 and 65535'],
    ['PORT', '65536', 'must be between 0 and 65535'],
    ['DATABASE_URL', 'mysql://h/d', 'must look like postgres://user:password@host:5432/database'],
    ['DATABASE_URL', 'h:5432', 'must look like postgres://user:password@host:5432/database'],
    ...[
      'bucket/prefix',
      'https://bucket/prefix',
      's3:bucket',
      's3://',
      's3://b/p',
      's3://key:secret@bucket/p',
      's3://bucket:80/p',
      's3://bucket//p',
      's3://bucket/p//q',
      's3://bucket/../q',
      's3://bucket/a b',
      's3://bucket/p?addressing_style=any',
      's3://bucket/p#q',
    ].map((value): [string, string, string] => [
      'BLOB_URL',
      value,
      'must look like s3://bucket or s3://bucket/prefix (and may end in ?addressing_style=path or =virtual)',
    ]),
    ['DATABASE_CONNECTIONS', '1', 'must be between 2 and 1000'],
    ['UPSTREAM_BASE_URL', 'localhost:11434', 'must be an http or https URL'],
    ['UPSTREAM_BASE_URL', 'ftp://example.com', 'must be an http or https URL'],
    ['UPSTREAM_FORMAT', 'Anthropic', 'must be one of openai, anthropic'],
    ['PUBLIC_BASE_URL', 'batch.example.com', 'must be an http or https URL'],
    ['MAX_CONCURRENCY', '0', 'must be between 1 and 100000'],
    ['REQUEST_TIMEOUT_MS', '0', 'must be between 1 and 86400000'],
    ['MAX_RETRIES', '-1', 'must be between 0 and 100'],
    ['RETRY_BASE_MS', '60001', 'must be between 1 and 60000'],
    ['MAX_RESPONSE_BYTES', '64MB', bytesFault],
    ['MAX_FILE_BYTES', '0', bytesFault],
    ['MAX_BATCH_BYTES', '-5MiB', bytesFault],
    ['MAX_BATCH_BYTES', '1.5GiB', bytesFault],
    ['MAX_BATCH_LINES', '0', 'must be between 1 and 1000000000'],
    ['MAX_LINE_BYTES', '99999999999999999999', bytesFault],
    ['ENDPOINTS', 'chat/completions', 'each endpoint must look like /v1/chat/completions'],
    ['ENDPOINTS', ' , ', 'must name at least one, or be unset'],
    ['COMPLETION_WINDOWS', '24h,soon', 'each window must look like 90m, 24h or 7d'],
    ['ONE_MODEL_PER_BATCH', 'yes', 'must be true or false'],
    ['API_KEYS', ',', 'must name at least one, or be unset'],
    ['ALLOW_UNAUTHENTICATED', 'TRUE', 'must be true or false'],
    ['OWNER_REQUESTS_PER_MINUTE', '0', 'must be between 1 and 1000000'],
    ['OWNER_MAX_STORED_BYTES', '0', bytesFault],
    ['OWNER_MAX_QUEUED_LINES', '0', 'must be between 1 and 1000000000'],
    ['OWNER_MAX_LIVE_BATCHES', 'none', 'must be a whole number'],
    ['WEBHOOK_URLS', 'example.com/hook,also-none', 'must be an http or https URL'],
    ['WEBHOOK_SIGNING_SECRET', 'too short', secretFault],
    ['WEBHOOK_SIGNING_SECRET', 'whsec_c2hvcnQ=', secretFault],
    ['WEBHOOK_SIGNING_SECRET', `whsec_*${WHSEC.slice(6)}`, secretFault],
    ['WEBHOOK_ALLOW_PRIVATE', '2', 'must be true or false'],
    ['SHUTDOWN_GRACE_MS', '3600001', 'must be between 0 and 3600000'],
    ['LOG_LEVEL', 'verbose', 'must be one of fatal, error, warn, info, debug, trace, silent'],
  ])('%s=%s is refused, once', (name, value, fault) => {
    expect(faultsOf({ [name]: value })).toEqual([`${name}: ${fault}`]);
  });
});

describe('faults', () => {
  it('make a message of one line each under a title', () => {
    expect(() => loadConfig({ PORT: 'x', MAX_RETRIES: 'y' })).toThrow(
      'The settings are not valid:\n  PORT: must be a whole number\n  MAX_RETRIES: must be a whole number',
    );
  });

  it('are reported all at once: of single variables, of secret files, and of several variables together', () => {
    const faults = faultsOf({
      PORT: 'x',
      MAX_RETRIES: '101',
      LOG_LEVEL: 'loud',
      HOST: '0.0.0.0',
      UPSTREAM_API_KEY_FILE: '/nonexistent/key',
      WEBHOOK_URLS: 'http://127.0.0.1:9/hook',
    });
    expect(faults).toHaveLength(6);
    expect(faults).toEqual(
      expect.arrayContaining([
        'UPSTREAM_API_KEY_FILE: the file cannot be read (ENOENT)',
        'PORT: must be a whole number',
        'MAX_RETRIES: must be between 0 and 100',
        'LOG_LEVEL: must be one of fatal, error, warn, info, debug, trace, silent',
        'API_KEYS: needed to listen on 0.0.0.0, where others can connect (or set ALLOW_UNAUTHENTICATED=true)',
        'WEBHOOK_SIGNING_SECRET: needed to sign what is sent to WEBHOOK_URLS',
      ]),
    );
  });

  it('do not repeat a secret', () => {
    const env = { WEBHOOK_SIGNING_SECRET: 'hunter2', UPSTREAM_BASE_URL: 'hunter2', LOG_LEVEL: 'hunter2' };
    expect(faultsOf(env)).toHaveLength(3);
    expect(faultsOf(env).join()).not.toContain('hunter2');
  });

  it('of one variable do not bring others along that only follow from it', () => {
    expect(faultsOf({ HOST: '0.0.0.0', API_KEYS: ',' })).toEqual([
      'API_KEYS: must name at least one, or be unset',
    ]);
    expect(faultsOf({ HOST: '0.0.0.0', ALLOW_UNAUTHENTICATED: 'yes' })).toEqual([
      'ALLOW_UNAUTHENTICATED: must be true or false',
    ]);
    expect(faultsOf({ WEBHOOK_URLS: 'http://x.test', WEBHOOK_SIGNING_SECRET: 'short' })).toHaveLength(1);
  });
});

describe('API_KEYS', () => {
  it.each(['0.0.0.0', '::', '192.168.1.5', 'example.com'])('are needed to listen on %s', (HOST) => {
    expect(faultsOf({ HOST })).toEqual([expect.stringMatching(/^API_KEYS: needed to listen on /)]);
    expect(loadConfig({ HOST, API_KEYS: 'key' }).HOST).toBe(HOST);
    expect(loadConfig({ HOST, ALLOW_UNAUTHENTICATED: 'true' }).HOST).toBe(HOST);
  });

  it.each([
    ['localhost', true],
    ['127.0.0.1', true],
    ['127.255.255.254', true],
    ['::1', true],
    ['0:0:0:0:0:0:0:1', true],
    ['128.0.0.1', false],
    ['0.0.0.0', false],
    ['::', false],
    ['localhost.example.com', false],
  ])('are not needed on loopback: %s is %s', (host, expected) => {
    expect(isLoopback(host)).toBe(expected);
  });
});

describe('a secret in a file', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'config-test-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  function secretFile(content: string): string {
    const path = join(folder, 'secret');
    writeFileSync(path, content);
    return path;
  }

  it.each<
    [
      'API_KEYS' | 'BLOB_URL' | 'DATABASE_URL' | 'UPSTREAM_API_KEY' | 'WEBHOOK_SIGNING_SECRET',
      string,
      unknown,
    ]
  >([
    ['API_KEYS', 'one,two\n', ['one', 'two']],
    ['UPSTREAM_API_KEY', ' sk-1\n', 'sk-1'],
    ['DATABASE_URL', 'postgres://h/d\n', 'postgres://h/d'],
    ['BLOB_URL', 's3://bucket/p\n', { bucket: 'bucket', prefix: 'p' }],
    ['WEBHOOK_SIGNING_SECRET', `${WHSEC}\n`, WHSEC],
  ])('is read for %s, without the blanks around it', (name, content, expected) => {
    expect(loadConfig({ [`${name}_FILE`]: secretFile(content) })[name]).toEqual(expected);
  });

  it('counts as API_KEYS for listening beyond this machine', () => {
    expect(loadConfig({ HOST: '0.0.0.0', API_KEYS_FILE: secretFile('one') }).API_KEYS).toEqual(['one']);
  });

  it('is checked like the variable itself', () => {
    expect(faultsOf({ WEBHOOK_SIGNING_SECRET_FILE: secretFile('short') })).toEqual([
      expect.stringMatching(/^WEBHOOK_SIGNING_SECRET: must be whsec_/),
    ]);
  });

  it('is refused beside the variable itself', () => {
    expect(faultsOf({ API_KEYS: 'one', API_KEYS_FILE: secretFile('two') })).toEqual([
      'API_KEYS_FILE: set either this or API_KEYS, not both',
    ]);
  });

  it('is refused where it is empty, rather than leaving the service open', () => {
    expect(faultsOf({ API_KEYS_FILE: secretFile(' \n') })).toEqual(['API_KEYS_FILE: the file is empty']);
  });

  it('is refused where it cannot be read, and nothing else is said of it', () => {
    expect(faultsOf({ HOST: '0.0.0.0', API_KEYS_FILE: folder })).toEqual([
      'API_KEYS_FILE: the file cannot be read (EISDIR)',
    ]);
  });

  it('is not a way to set what is no secret', () => {
    expect(loadConfig({ PORT_FILE: secretFile('1234') }).PORT).toBe(8080);
  });
});

describe('.env.example', () => {
  const text = readFileSync(new URL('../.env.example', import.meta.url), 'utf8');
  const example = parseEnv(text);
  const defaults = loadConfig({});

  it('names exactly the variables that there are, each once', () => {
    const assigned = [...text.matchAll(/^([A-Z_]+)=/gm)].map((match) => match[1]);
    expect(assigned).toHaveLength(new Set(assigned).size);
    expect(new Set(assigned)).toEqual(new Set(Object.keys(defaults)));
  });

  it('gives each its default, and empty ones where there is none', () => {
    expect(loadConfig(example)).toEqual(defaults);
    const unset = Object.entries(defaults).filter(
      ([, value]) => value === null || (Array.isArray(value) && value.length === 0),
    );
    const empty = Object.entries(example).filter(([, value]) => value === '');
    expect(new Set(empty.map(([name]) => name))).toEqual(new Set(unset.map(([name]) => name)));
  });

  it('explains each in the line above it', () => {
    const unexplained = text
      .split('\n')
      .filter((line, i, lines) => /^[A-Z]/.test(line) && !/^# ./.test(lines[i - 1] ?? ''));
    expect(unexplained).toEqual([]);
  });

  it('names the variables that may come from a file', () => {
    for (const name of [
      'API_KEYS',
      'BLOB_URL',
      'DATABASE_URL',
      'UPSTREAM_API_KEY',
      'WEBHOOK_SIGNING_SECRET',
    ]) {
      expect(text).toContain(`${name}_FILE`);
    }
  });
});
