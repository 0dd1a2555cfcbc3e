/** Calls of the Message Batches API by inject, and what they answer. */
import type { InjectOptions, LightMyRequestResponse } from 'fastify';
import { expect } from 'vitest';
import type { Upstream } from '../../../src/engine/index.ts';
import { createWorker } from '../../../src/worker/index.ts';
import type { Worker } from '../../../src/worker/index.ts';
import { API_KEY, createTestApp } from '../../helpers/http-app.ts';
import type { TestApp, TestAppOptions } from '../../helpers/http-app.ts';

export const BATCHES = '/v1/messages/batches';
export const VERSION = { 'anthropic-version': '2023-06-01' };

export interface MessageBatchObject {
  readonly id: string;
  readonly processing_status: string;
  readonly results_url: string | null;
  readonly [name: string]: unknown;
}

/** The keys of a MessageBatch, in order. */
export const MESSAGE_BATCH_KEYS = [
  'id',
  'type',
  'processing_status',
  'request_counts',
  'created_at',
  'ended_at',
  'expires_at',
  'cancel_initiated_at',
  'archived_at',
  'results_url',
];

/** Injects a request with the key as this API has it, and a version. */
export function callMessages(testApp: TestApp, options: InjectOptions): Promise<LightMyRequestResponse> {
  return testApp.app.inject({
    ...options,
    headers: { 'x-api-key': API_KEY, ...VERSION, ...options.headers },
  });
}

/** A request as the SDK sends it. */
export function aRequest(customId: string, params: object = {}) {
  return { custom_id: customId, params: { model: 'm', max_tokens: 10, messages: [], ...params } };
}

/** Creates a batch of what may be any text; an object is sent as JSON. */
export function create(
  testApp: TestApp,
  body: string | Buffer | { readonly requests: unknown },
): Promise<LightMyRequestResponse> {
  const payload = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  const headers = { 'content-type': 'application/json' };
  return callMessages(testApp, { method: 'POST', url: BATCHES, headers, payload });
}

/** A created batch of requests with these custom ids. */
export async function createdMessageBatch(
  testApp: TestApp,
  customIds: readonly string[] = ['a'],
): Promise<MessageBatchObject> {
  const response = await create(testApp, { requests: customIds.map((id) => aRequest(id)) });
  expect(response.statusCode, response.body).toBe(200);
  return response.json<MessageBatchObject>();
}

export async function retrieve(testApp: TestApp, id: string): Promise<MessageBatchObject> {
  return (await callMessages(testApp, { url: `${BATCHES}/${id}` })).json<MessageBatchObject>();
}

/** An app with a worker that runs. Stop the worker before the test ends. */
export async function startWorkingApp(
  upstream: Upstream,
  options: TestAppOptions = {},
): Promise<{ readonly testApp: TestApp; readonly worker: Worker }> {
  const testApp = createTestApp({ ...options, upstream });
  const worker = createWorker({ engine: testApp.engine });
  await worker.start();
  return { testApp, worker };
}

/** Waits until the batch has ended; answers it as it then is. */
export async function endOf(testApp: TestApp, id: string): Promise<MessageBatchObject> {
  await expect
    .poll(async () => (await retrieve(testApp, id)).processing_status, { timeout: 10_000 })
    .toBe('ended');
  return await retrieve(testApp, id);
}

/** The results, parsed. */
export async function resultsOf(testApp: TestApp, id: string): Promise<unknown[]> {
  const response = await callMessages(testApp, { url: `${BATCHES}/${id}/results` });
  expect(response.statusCode, response.body).toBe(200);
  expect(response.headers['content-type']).toBe('application/x-jsonl');
  return response.body
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as unknown);
}

/** What a response says went wrong, to compare with a `messageRefusal`; its request id is told twice. */
export function messageErrorOf(response: LightMyRequestResponse): object {
  const { request_id: requestId, ...body } = response.json<{ request_id: unknown }>();
  expect(requestId).toBe(response.headers['request-id']);
  expect(requestId).toMatch(/^req_[0-9a-f]{32}$/);
  return { status: response.statusCode, type: response.headers['content-type'], body };
}

export function messageRefusal(status: number, type: string, message: string): object {
  return { status, type: 'application/json', body: { type: 'error', error: { type, message } } };
}
