import { describe, expect, it } from 'vitest';
import type { Batch } from '../../src/engine/index.ts';
import { toBatchObject } from '../../src/http/wire.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import { createTestApp, KEY_OWNER } from '../helpers/http-app.ts';
import { CHAT } from '../helpers/test-engine.ts';
import { BATCH_KEYS, BODY, createdBatch, postBatch } from './batch-calls.ts';
import type { BatchObject } from './batch-calls.ts';
import { createWebhookApp } from './webhook-calls.ts';

const NOW = Date.UTC(2026, 0, 1);

describe('POST /v1/batches', () => {
  it('answers the Batch object, every key in order', async () => {
    const testApp = createTestApp({ clock: createFakeClock(NOW + 999) });
    const response = await postBatch(testApp, { ...BODY, metadata: { team: 'a' }, extra: { ignored: true } });
    expect(response.statusCode).toBe(200);
    expect(response.headers['content-type']).toBe('application/json');
    const batch = response.json<BatchObject>();
    expect(Object.keys(batch)).toEqual(BATCH_KEYS);
    expect(batch).toEqual({
      id: expect.stringMatching(/^batch_[0-9a-f]{32}$/),
      object: 'batch',
      endpoint: CHAT,
      model: null,
      errors: null,
      input_file_id: 'file-abc',
      completion_window: '24h',
      status: 'validating',
      output_file_id: null,
      error_file_id: null,
      created_at: NOW / 1000,
      in_progress_at: null,
      expires_at: NOW / 1000 + 86_400,
      finalizing_at: null,
      completed_at: null,
      failed_at: null,
      expired_at: null,
      cancelling_at: null,
      cancelled_at: null,
      request_counts: { total: 0, completed: 0, failed: 0 },
      usage: {
        input_tokens: 0,
        input_tokens_details: { cached_tokens: 0 },
        output_tokens: 0,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 0,
      },
      metadata: { team: 'a' },
    });
  });

  it('hands every parameter to the engine', async () => {
    const testApp = createTestApp();
    const { id } = await createdBatch(testApp, {
      metadata: { k: 'v' },
      output_expires_after: { anchor: 'created_at', seconds: 7200 },
      priority: -7,
    });
    expect(await testApp.engine.batches.get(KEY_OWNER, id)).toMatchObject({
      inputFileId: 'file-abc',
      endpoint: CHAT,
      completionWindow: '24h',
      metadata: { k: 'v' },
      outputExpiresAfterSeconds: 7200,
      priority: -7,
      webhookUrl: null,
    });
  });

  it('takes 24h, whatever other windows are set', async () => {
    const testApp = createTestApp({ settings: { completionWindows: ['7d'] } });
    for (const completion_window of ['24h', '7d']) {
      expect(await createdBatch(testApp, { completion_window })).toMatchObject({ completion_window });
    }
  });

  it('keeps metadata of any name', async () => {
    // Written as JSON: in an object literal, `__proto__` is no member.
    const metadata = JSON.parse('{"__proto__":"a","constructor":"b","":"c"}') as object;
    const batch = await createdBatch(createTestApp(), { metadata });
    expect(JSON.stringify(batch['metadata'])).toBe(JSON.stringify(metadata));
  });

  it('answers what will be stored where a string has half of a surrogate pair', async () => {
    const testApp = createWebhookApp({ settings: { webhookSigningSecret: 'secret' } });
    expect(
      await createdBatch(testApp, {
        input_file_id: 'file-\ud800',
        webhook_url: 'https://example.com/\ud800',
      }),
    ).toMatchObject({ input_file_id: 'file-\ufffd', webhook_url: 'https://example.com/\ufffd' });
  });

  it('takes null for not given', async () => {
    const nothing = { metadata: null, output_expires_after: null, priority: null, webhook_url: null };
    const batch = await createdBatch(createTestApp(), nothing);
    expect(Object.keys(batch)).toEqual(BATCH_KEYS);
    expect(batch['metadata']).toBeNull();
  });

  it('shows this service’s own fields only where a batch makes use of them', async () => {
    expect((await createdBatch(createTestApp(), { priority: 5 }))['priority']).toBe(5);
    expect(Object.keys(await createdBatch(createTestApp(), { priority: 0 }))).toEqual(BATCH_KEYS);
  });

  it('takes keys like __proto__ for plain names', async () => {
    const testApp = createTestApp();
    const body = `{"__proto__":{"owner":"x"},"constructor":{"prototype":{"y":1}},"metadata":{"constructor":"c"},${JSON.stringify(BODY).slice(1)}`;
    const response = await postBatch(testApp, body);
    expect([response.statusCode, response.json<BatchObject>()['metadata']]).toEqual([
      200,
      { constructor: 'c' },
    ]);
    expect(({} as Record<string, unknown>)['y']).toBeUndefined();
  });
});

describe('toBatchObject', () => {
  it('writes errors, times and usage as the wire has them', async () => {
    const { engine } = createTestApp();
    const request = { owner: 'o', inputFileId: 'file-x', endpoint: CHAT, completionWindow: '24h' };
    const batch: Batch = {
      ...(await engine.batches.create(request)),
      status: 'failed',
      model: 'm-1',
      errors: [{ code: 'invalid_json_line', message: 'no', param: null, line: 3 }],
      inProgressAt: 1_999,
      finalizingAt: 2_000,
      completedAt: 3_000,
      failedAt: 4_000,
      expiredAt: 5_000,
      cancellingAt: 6_000,
      cancelledAt: 7_000,
      counts: { total: 3, completed: 2, failed: 1 },
      usage: { inputTokens: 1, cachedTokens: 2, outputTokens: 3, reasoningTokens: 4, totalTokens: 5 },
      priority: -1,
      webhookUrl: 'https://example.com/hook',
    };
    expect(toBatchObject(batch)).toMatchObject({
      model: 'm-1',
      errors: { object: 'list', data: [{ code: 'invalid_json_line', message: 'no', param: null, line: 3 }] },
      in_progress_at: 1,
      finalizing_at: 2,
      completed_at: 3,
      failed_at: 4,
      expired_at: 5,
      cancelling_at: 6,
      cancelled_at: 7,
      request_counts: { total: 3, completed: 2, failed: 1 },
      usage: {
        input_tokens: 1,
        input_tokens_details: { cached_tokens: 2 },
        output_tokens: 3,
        output_tokens_details: { reasoning_tokens: 4 },
        total_tokens: 5,
      },
      priority: -1,
      webhook_url: 'https://example.com/hook',
    });
  });
});
