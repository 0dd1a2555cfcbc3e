import { pino } from 'pino';
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify';
import { expect, onTestFinished } from 'vitest';
import { createMemoryStorage } from '../../src/adapters/memory/index.ts';
import type {
  BlobStore,
  Clock,
  Engine,
  EngineSettings,
  Store,
  TokenCounter,
  Upstream,
  WebhookSender,
} from '../../src/engine/index.ts';
import { buildApp } from '../../src/http/app.ts';
import type { AppOptions, SocketLimits } from '../../src/http/app.ts';
import type { ErrorBody } from '../../src/http/errors.ts';
import { createTestEngine } from './test-engine.ts';

export const API_KEY = 'sk-test-0123456789abcdef';
/** The owner that every key stands for. */
export const KEY_OWNER = 'default';

export interface TestAppOptions {
  readonly apiKeys?: readonly string[];
  readonly settings?: Partial<EngineSettings>;
  readonly clock?: Clock;
  readonly upstream?: Upstream;
  readonly tokens?: TokenCounter;
  readonly webhooks?: WebhookSender;
  readonly isReady?: () => boolean | Promise<boolean>;
  readonly limits?: Partial<SocketLimits>;
  readonly messages?: AppOptions['messages'];
  /** Replaces verbs of the storage. */
  readonly store?: (store: Store) => Partial<Store>;
  readonly blobs?: (blobs: BlobStore) => Partial<BlobStore>;
}

export interface TestApp {
  readonly app: FastifyInstance;
  readonly engine: Engine;
  /** Injects a request with the key. */
  readonly call: (options: InjectOptions) => Promise<LightMyRequestResponse>;
  /** Blob writers that were neither published nor discarded, and reads that were not brought to an end. */
  readonly open: { writers: number; reads: number };
  /** How many blobs are stored. */
  readonly countBlobs: () => Promise<number>;
  /** Every line that was logged, at any level. */
  readonly logLines: readonly string[];
}

/** The service over a real engine in memory; closed when the test ends. */
export function createTestApp(options: TestAppOptions = {}): TestApp {
  const memory = createMemoryStorage();
  const open = { writers: 0, reads: 0 };
  const blobs = countOpen({ ...memory.blobs, ...options.blobs?.(memory.blobs) }, open);
  const store = { ...memory.store, ...options.store?.(memory.store) };
  const logLines: string[] = [];
  const log = pino({ level: 'trace', base: null }, { write: (line: string) => void logLines.push(line) });
  const engine = createTestEngine({
    storage: { store, blobs, results: memory.results },
    ...(options.settings === undefined ? {} : { settings: options.settings }),
    ...(options.clock === undefined ? {} : { clock: options.clock }),
    ...(options.upstream === undefined ? {} : { upstream: options.upstream }),
    ...(options.tokens === undefined ? {} : { tokens: options.tokens }),
    ...(options.webhooks === undefined ? {} : { webhooks: options.webhooks }),
  });
  const app = buildApp({
    engine,
    log,
    apiKeys: options.apiKeys ?? [API_KEY],
    isReady: options.isReady ?? (() => true),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.messages === undefined ? {} : { messages: options.messages }),
  });
  onTestFinished(async () => {
    app.server.closeAllConnections();
    await app.close();
  });
  return {
    app,
    engine,
    call: (request) =>
      app.inject({ ...request, headers: { authorization: `Bearer ${API_KEY}`, ...request.headers } }),
    open,
    async countBlobs() {
      return (await Array.fromAsync(memory.blobs.list())).length;
    },
    logLines,
  };
}

function countOpen(blobs: BlobStore, open: TestApp['open']): BlobStore {
  return {
    ...blobs,
    async create() {
      const writer = await blobs.create();
      let ended = false;
      const end = (): void => {
        if (!ended) open.writers--;
        ended = true;
      };
      open.writers++;
      return {
        write: (bytes) => writer.write(bytes),
        seal: () => writer.seal(),
        publish: () => writer.publish().then(end),
        discard: () => writer.discard().then(end),
      };
    },
    async *read(key, range) {
      open.reads++;
      try {
        yield* blobs.read(key, range);
      } finally {
        open.reads--;
      }
    },
  };
}

export interface FormPart {
  readonly name: string;
  /** Makes it a file part. */
  readonly filename?: string;
  readonly type?: string;
  readonly content: string | Buffer;
}

export const BOUNDARY = 'form-boundary-7d1f';
export const FORM_TYPE = `multipart/form-data; boundary=${BOUNDARY}`;

/** The bytes of a form; names are written as they stand. */
export function formBytes(parts: readonly FormPart[]): Buffer {
  const pieces: (string | Buffer)[] = [];
  for (const { name, filename, type, content } of parts) {
    const file = filename === undefined ? '' : `; filename="${filename}"`;
    const typeLine = type === undefined ? '' : `Content-Type: ${type}\r\n`;
    const head = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"${file}\r\n${typeLine}\r\n`;
    pieces.push(head, content, '\r\n');
  }
  pieces.push(`--${BOUNDARY}--\r\n`);
  return Buffer.concat(pieces.map((piece) => Buffer.from(piece)));
}

/** An upload of `parts`, for `call`. */
export function uploadOf(parts: readonly FormPart[]): InjectOptions {
  return {
    method: 'POST',
    url: '/v1/files',
    headers: { 'content-type': FORM_TYPE },
    payload: formBytes(parts),
  };
}

export const JSONL = '{"custom_id":"a"}\n';

/** The parts of an ordinary upload. */
export function fileParts(options: { content?: string | Buffer; filename?: string; purpose?: string } = {}) {
  const { content = JSONL, filename = 'input.jsonl', purpose = 'batch' } = options;
  return [
    { name: 'purpose', content: purpose },
    { name: 'file', filename, content, type: 'application/octet-stream' },
  ] satisfies FormPart[];
}

/** Uploads a file and answers its id. */
export async function uploadFile(
  testApp: TestApp,
  options: Parameters<typeof fileParts>[0] = {},
): Promise<string> {
  const response = await testApp.call(uploadOf(fileParts(options)));
  expect(response.statusCode).toBe(200);
  return response.json<{ id: string }>().id;
}

/** What a response says went wrong, to compare with a `refusal`. */
export function errorOf(response: LightMyRequestResponse): object {
  return {
    status: response.statusCode,
    type: response.headers['content-type'],
    body: response.json<unknown>(),
  };
}

/** An error in the envelope, with exactly these members; type `invalid_request_error` unless told. */
export function refusal(
  status: number,
  error: Partial<ErrorBody['error']> & { readonly message: string },
): object {
  return {
    status,
    type: 'application/json',
    body: { error: { type: 'invalid_request_error', param: null, code: null, ...error } },
  };
}

/** Expects that every writer and read came to its end, and that no bytes are stored. */
export async function expectNothingLeft(testApp: TestApp): Promise<void> {
  await expect.poll(() => testApp.open).toEqual({ writers: 0, reads: 0 });
  expect(await testApp.countBlobs()).toBe(0);
}
