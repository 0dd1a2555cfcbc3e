/** A service for all cases of one file, and the ways in which they talk to it: the official SDKs, and plain HTTP. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Anthropic from '@anthropic-ai/sdk';
import Database from 'better-sqlite3';
import OpenAI from 'openai';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, onTestFinished, vi } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { startService } from '../../src/service.ts';
import { startUpstreamServer } from '../helpers/upstream-server.ts';
import type { Reply, Script } from '../helpers/upstream-server.ts';
import * as faults from '../http/refusals.ts';
import { errorEnvelope, messageErrorEnvelope } from './shapes.ts';

export const KEY = 'sk-conformance-0123456789';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly json: unknown;
}

export interface Conformance {
  readonly url: string;
  readonly dataDir: string;
  /** Without retries, so that each answer is seen. */
  readonly client: OpenAI;
  /** The SDK of Message Batches, without retries as well. */
  readonly anthropic: Anthropic;
  /** A client with another key, or one that does retry. */
  connect(apiKey: string, maxRetries?: number): OpenAI;
  /** One request with the key; `json` becomes its body. */
  call(path: string, init?: RequestInit & { readonly json?: unknown }): Promise<Answer>;
  /** A POST of `json`, or of no body. */
  post(path: string, json?: unknown, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  /** Uploads a file and answers its id. This and the next two may be done `by` another client. */
  upload(text: string, purpose?: OpenAI.FilePurpose, by?: OpenAI): Promise<string>;
  /** Uploads the lines and creates a batch over them. */
  submit(
    lines: readonly (string | object)[],
    options?: Partial<OpenAI.BatchCreateParams>,
    by?: OpenAI,
  ): Promise<OpenAI.Batch>;
  /** Waits for the end of a batch. */
  end(id: string, by?: OpenAI): Promise<OpenAI.Batch>;
  /** Moves the deadline of a batch into the past, in the database: no case can wait for a day. */
  expire(id: string): void;
}

/** What the model server answers where a file needs none of its own. */
const answersAll: Script = (request) => ({
  body: { heard: request.json(), usage: { prompt_tokens: 2, completion_tokens: 3, total_tokens: 5 } },
});

/** Starts the service before the file's cases and stops it after them. Its members may be used within cases. */
export function useService(
  env: Readonly<Record<string, string>> = {},
  script: Script = answersAll,
): Conformance {
  let url = '';
  let dataDir = '';
  let client: OpenAI;
  let anthropic: Anthropic;
  let close = async (): Promise<void> => {};

  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'anyllm-conformance-'));
    const upstream = await startUpstreamServer(script);
    const config = loadConfig({
      PORT: '0',
      DATA_DIR: dataDir,
      API_KEYS: KEY,
      UPSTREAM_BASE_URL: upstream.baseUrl,
      SHUTDOWN_GRACE_MS: '100',
      ...env,
    });
    const service = await startService(config, pino({ level: 'silent' }));
    ({ url } = service);
    client = connect(KEY);
    anthropic = new Anthropic({ baseURL: url, apiKey: KEY, authToken: null, maxRetries: 0 });
    close = async () => {
      await service.stop();
      await upstream.close();
      await rm(dataDir, { recursive: true, force: true });
    };
  });
  afterAll(() => close());

  const connect = (apiKey: string, maxRetries = 0): OpenAI =>
    new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries });

  const upload: Conformance['upload'] = async (text, purpose = 'batch', by = client) =>
    (await by.files.create({ file: await OpenAI.toFile(Buffer.from(text), 'input.jsonl'), purpose })).id;

  const call: Conformance['call'] = async (path, { json, ...init } = {}) => {
    const headers = new Headers(init.headers);
    if (!headers.has('authorization')) headers.set('authorization', `Bearer ${KEY}`);
    if (json !== undefined) headers.set('content-type', 'application/json');
    const body = json === undefined ? init.body : JSON.stringify(json);
    const response = await fetch(`${url}${path}`, { ...init, headers, ...(body != null && { body }) });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, json: parse(text) };
  };

  return {
    get url() {
      return url;
    },
    get dataDir() {
      return dataDir;
    },
    get client() {
      return client;
    },
    get anthropic() {
      return anthropic;
    },
    connect,
    call,
    post: (path, json, headers = {}) => call(path, { method: 'POST', json, headers }),
    upload,
    async submit(lines, options = {}, by = client) {
      const text = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n');
      return await by.batches.create({
        input_file_id: await upload(text, 'batch', by),
        endpoint: '/v1/chat/completions',
        completion_window: '24h',
        ...options,
      });
    },
    end: async (id, by = client) =>
      await vi.waitFor(
        async () => {
          const batch = await by.batches.retrieve(id);
          expect(batch.status).toMatch(/^(completed|failed|expired|cancelled)$/);
          return batch;
        },
        { timeout: 20_000, interval: 20 },
      ),
    expire(id) {
      const db = new Database(join(dataDir, 'database.db'), { timeout: 5000 });
      db.prepare('update batches set expires_at = created_at where id = ?').run(id);
      db.close();
    },
  };
}

/** Holds answers back until they are let go. */
export interface Gate {
  /** How many wait now. */
  readonly waiting: number;
  wait(): Promise<void>;
  /** Lets those go that wait now (default: all of them), the longest waiting first. */
  release(count?: number): void;
}

export function createGate(): Gate {
  const waiting: (() => void)[] = [];
  return {
    get waiting() {
      return waiting.length;
    },
    wait: () => new Promise((resolve) => waiting.push(resolve)),
    release(count = waiting.length) {
      for (const letGo of waiting.splice(0, count)) letGo();
    },
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The error of an answer in the whole envelope, next to its status. */
export function errorOf({ status, headers, json }: Answer) {
  expect(headers.get('content-type')).toBe('application/json');
  const { error } = errorEnvelope.parse(json);
  return { status, ...error };
}

/** The error of the SDK that the call throws. */
export async function thrownBy(call: PromiseLike<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> {
  try {
    await call;
  } catch (error) {
    expect(error).toBeInstanceOf(OpenAI.APIError);
    return error as InstanceType<typeof OpenAI.APIError>;
  }
  return expect.unreachable('the call succeeded');
}

/** What `errorOf` answers; `type` goes with the status. */
export function refusal(
  status: number,
  message: string,
  param: string | null = null,
  code: string | null = null,
) {
  const type = status >= 500 ? 'server_error' : status === 429 ? 'rate_limit_error' : 'invalid_request_error';
  return { status, type, message, param, code };
}

/** The error of an answer of the Messages API in its whole envelope, next to its status; its request id is told twice. */
export function messageErrorOf({ status, headers, json }: Answer) {
  expect(headers.get('content-type')).toBe('application/json');
  expect([...headers.keys()].filter((name) => name.startsWith('openai-'))).toEqual([]);
  const { error, request_id: requestId } = messageErrorEnvelope.parse(json);
  expect(requestId).toMatch(/^req_[0-9a-f]{32}$/);
  expect(headers.get('request-id')).toBe(requestId);
  return { status, ...error };
}

/** What `messageErrorOf` answers; `type` goes with the status. */
export function messageRefusal(status: 400 | 401 | 404 | 413, message: string) {
  const type = {
    400: 'invalid_request_error',
    401: 'authentication_error',
    404: 'not_found_error',
    413: 'request_too_large',
  }[status];
  return { status, type, message };
}

/** What a request with a fault is refused with. */
export type Refusal = ReturnType<typeof refusal>;

const badRequest =
  <A extends readonly unknown[]>(
    fault: (...of: A) => { readonly message: string; readonly param: string; readonly code: string },
  ) =>
  (...of: A): Refusal => {
    const { message, param, code } = fault(...of);
    return refusal(400, message, param, code);
  };

export const missing = badRequest(faults.missing);
export const wrongType = badRequest(faults.wrongType);
export const aboveMaximum = badRequest(faults.aboveMaximum);
export const belowMinimum = badRequest(faults.belowMinimum);
export const invalidValue = badRequest(faults.invalidValue);

/** Values of `limit` that a list refuses, and how: outside of 1 to `maximum`, or no number. */
export function limitRefusals(maximum: number): [string, Refusal][] {
  return [
    [`limit=${maximum + 1}`, aboveMaximum('limit', maximum, maximum + 1)],
    ['limit=0', belowMinimum('limit', 1, 0)],
    ['limit=-1', belowMinimum('limit', 1, -1)],
    ['limit=abc', wrongType('limit', 'an integer', 'a string')],
  ];
}

/** A form of these fields, in this order. */
export function form(
  fields: Readonly<Record<string, string | Blob>>,
  order: readonly string[] = Object.keys(fields),
): FormData {
  const data = new FormData();
  for (const name of order) {
    const value = fields[name] as string | Blob;
    if (typeof value === 'string') data.set(name, value);
    else data.set(name, value, 'input.jsonl');
  }
  return data;
}

/** A webhook as it came to a receiver. */
export interface ReceivedWebhook {
  readonly body: string;
  readonly headers: Headers;
}

/** A receiver of webhooks until the end of the test. `answer` is asked for each one. */
export async function startReceiver(answer: () => Reply = () => ({ status: 204, body: '' })) {
  const received: ReceivedWebhook[] = [];
  const server = await startUpstreamServer((request) => {
    received.push({ body: request.body.toString(), headers: new Headers({ ...request.headers }) });
    return answer();
  });
  onTestFinished(() => server.close());
  return { url: `${server.origin}/hook`, received };
}

/** One input line. */
export function line(customId: string, fields: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    custom_id: customId,
    method: 'POST',
    url: '/v1/chat/completions',
    body: { model: 'm', messages: [{ role: 'user', content: customId }] },
    ...fields,
  };
}
