import { describe, expect, it } from 'vitest';
import type { OwnerLimits } from '../../src/engine/index.ts';
import { NO_LIMITS } from '../../src/engine/owners/owner.ts';
import { createTestApp, errorOf, refusal, uploadFile } from '../helpers/http-app.ts';
import type { TestApp } from '../helpers/http-app.ts';
import { inputLine } from '../helpers/test-engine.ts';
import { answer, createScriptedUpstream } from '../helpers/scripted-upstream.ts';
import { BODY, createdBatch, postBatch } from './batch-calls.ts';
import { endedBatch } from './ended-batches.ts';
import { aRequest, create, messageErrorOf, messageRefusal } from './messages/calls.ts';

function limitedApp(
  limits: Partial<OwnerLimits>,
  options: Parameters<typeof createTestApp>[0] = {},
): TestApp {
  return createTestApp({ settings: { ownerLimits: { ...NO_LIMITS, ...limits } }, ...options });
}

const liveMessage = (max: number) =>
  `The owner 'default' may have at most ${max} batches that have not ended (max_live_batches) and has ${max}. Wait for the end of one, or cancel one.`;
const tooManyLive = (max: number) =>
  refusal(429, { message: liveMessage(max), type: 'rate_limit_error', code: 'batch_limit_exceeded' });

describe('live batches', () => {
  it('beyond the limit are refused so that the SDKs do not try again at once', async () => {
    const testApp = limitedApp({ maxLiveBatches: 1 });
    await createdBatch(testApp);
    const refused = await postBatch(testApp, BODY);
    expect(errorOf(refused)).toEqual(tooManyLive(1));
    expect(refused.headers).toMatchObject({ 'x-should-retry': 'false', 'retry-after': '60' });
  });

  it('are counted once for creates with one idempotency key, which are answered as before', async () => {
    const testApp = limitedApp({ maxLiveBatches: 1 });
    const post = (key: string) =>
      testApp.call({
        method: 'POST',
        url: '/v1/batches',
        headers: { 'idempotency-key': key },
        payload: BODY,
      });
    const first = await post('a');
    const again = await post('a');
    expect(again.json()).toEqual(first.json());
    expect(errorOf(await post('b'))).toEqual(tooManyLive(1));
  });

  it('are refused as retries, too, before a file is read', async () => {
    const upstream = createScriptedUpstream(() => answer('{}', 400));
    const testApp = createTestApp({ upstream });
    const { id } = await endedBatch(testApp, `${inputLine('a')}\n`);
    await testApp.engine.owners.change('default', { maxLiveBatches: 0 });
    const blobs = await testApp.countBlobs();
    const response = await testApp.call({ method: 'POST', url: `/v1/batches/${id}/retry` });
    expect(errorOf(response)).toEqual(tooManyLive(0));
    expect(await testApp.countBlobs()).toBe(blobs);
  });

  it('are those of both APIs; a Message Batch is refused before its body is read', async () => {
    const testApp = limitedApp({ maxLiveBatches: 1 });
    await createdBatch(testApp);
    const refused = await create(testApp, 'no json at all');
    expect(messageErrorOf(refused)).toEqual(messageRefusal(429, 'rate_limit_error', liveMessage(1)));
    expect(refused.headers['x-should-retry']).toBe('false');
    expect(await testApp.countBlobs()).toBe(0);
  });
});

describe('queued lines', () => {
  const tooManyLines = (used: number, added: number) =>
    `The owner 'default' may have at most 2 requests without a result in its batches (max_queued_lines) and has ${used}: there is no room for ${added} more. Wait until some have ended.`;

  it('refuse a Message Batch that has more than there is room for, and keep nothing of it', async () => {
    const testApp = limitedApp({ maxQueuedLines: 2 });
    const requests = ['a', 'b', 'c'].map((id) => aRequest(id));
    const refused = await create(testApp, { requests });
    expect(messageErrorOf(refused)).toEqual(messageRefusal(429, 'rate_limit_error', tooManyLines(0, 3)));
    expect(await testApp.countBlobs()).toBe(0);
    expect((await create(testApp, { requests: requests.slice(1) })).statusCode).toBe(200);
    expect(messageErrorOf(await create(testApp, { requests: requests.slice(2) }))).toEqual(
      messageRefusal(429, 'rate_limit_error', tooManyLines(2, 1)),
    );
  });

  it('refuse any batch where none has room', async () => {
    const testApp = limitedApp({ maxQueuedLines: 2 });
    await create(testApp, { requests: [aRequest('a'), aRequest('b')] });
    const refused = await postBatch(testApp, { ...BODY, input_file_id: await uploadFile(testApp) });
    expect(errorOf(refused)).toEqual(
      refusal(429, {
        message: tooManyLines(2, 1),
        type: 'rate_limit_error',
        code: 'queued_lines_limit_exceeded',
      }),
    );
    expect(refused.headers).toMatchObject({ 'x-should-retry': 'false', 'retry-after': '60' });
  });
});
