import { expect } from 'vitest';
import { CHAT } from '../helpers/test-engine.ts';
import type { TestApp } from '../helpers/http-app.ts';

/** What a create needs at least. The file need not exist. */
export const BODY = { input_file_id: 'file-abc', endpoint: CHAT, completion_window: '24h' };

/** The keys of a Batch object, in order. */
export const BATCH_KEYS = [
  'id',
  'object',
  'endpoint',
  'model',
  'errors',
  'input_file_id',
  'completion_window',
  'status',
  'output_file_id',
  'error_file_id',
  'created_at',
  'in_progress_at',
  'expires_at',
  'finalizing_at',
  'completed_at',
  'failed_at',
  'expired_at',
  'cancelling_at',
  'cancelled_at',
  'request_counts',
  'usage',
  'metadata',
];

export interface BatchObject {
  readonly id: string;
  readonly status: string;
  readonly output_file_id: string | null;
  readonly [key: string]: unknown;
}

/** Posts a body, as JSON unless it is text already. */
export async function postBatch(testApp: TestApp, body: unknown, type = 'application/json') {
  const payload = typeof body === 'string' ? body : JSON.stringify(body);
  return await testApp.call({
    method: 'POST',
    url: '/v1/batches',
    headers: { 'content-type': type },
    payload,
  });
}

/** Creates a batch of BODY and `more`. */
export async function createdBatch(testApp: TestApp, more: object = {}): Promise<BatchObject> {
  const response = await postBatch(testApp, { ...BODY, ...more });
  expect(response.statusCode).toBe(200);
  return response.json<BatchObject>();
}
