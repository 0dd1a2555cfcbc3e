import { describe, expect, it } from 'vitest';
import { createWorker } from '../../../src/worker/index.ts';
import { createFakeClock } from '../../helpers/fake-clock.ts';
import { createTestApp } from '../../helpers/http-app.ts';
import { answer, createScriptedUpstream } from '../../helpers/scripted-upstream.ts';
import {
  aRequest,
  BATCHES,
  callMessages,
  create,
  createdMessageBatch,
  endOf,
  messageErrorOf,
  messageRefusal,
  resultsOf,
  retrieve,
  startWorkingApp,
} from './calls.ts';
import type { MessageBatchObject } from './calls.ts';

const HOUR = 3_600_000;
const NONE = { processing: 0, succeeded: 0, errored: 0, canceled: 0, expired: 0 };

const cancel = (testApp: Parameters<typeof callMessages>[0], id: string) =>
  callMessages(testApp, { method: 'POST', url: `${BATCHES}/${id}/cancel` });

describe('GET /v1/messages/batches/{id}/results', () => {
  it('are not there before the batch has ended', async () => {
    const testApp = createTestApp();
    const { id } = await createdMessageBatch(testApp);
    for (const status of ['in_progress', 'canceling']) {
      const response = await callMessages(testApp, { url: `${BATCHES}/${id}/results` });
      const message = `Message Batch '${id}' has no results yet: its processing_status is '${status}'.`;
      expect(messageErrorOf(response)).toEqual(messageRefusal(404, 'not_found_error', message));
      await cancel(testApp, id);
    }
  });

  it('are one line a request: those that succeeded, then those that did not', async () => {
    const upstream = createScriptedUpstream(({ body }) => {
      if (body.includes('"refused"')) return answer({ error: { message: 'no' } }, 400);
      if (body.includes('"lost"')) return { kind: 'failed', code: 'request_failed', message: 'It was lost.' };
      return answer({ type: 'message', heard: body.length });
    });
    const { testApp, worker } = await startWorkingApp(upstream, { settings: { maxRetries: 0 } });
    const requests = ['a', 'refused', 'b', 'lost'].map((id) => aRequest(id, { messages: [id] }));
    const { id } = (await create(testApp, { requests })).json<MessageBatchObject>();
    const batch = await endOf(testApp, id);
    await worker.stop();
    expect(batch).toMatchObject({
      request_counts: { ...NONE, succeeded: 2, errored: 2 },
      ended_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      cancel_initiated_at: null,
      archived_at: null,
    });
    expect(await resultsOf(testApp, id)).toMatchObject([
      { custom_id: 'a', result: { type: 'succeeded', message: { type: 'message' } } },
      { custom_id: 'b', result: { type: 'succeeded' } },
      {
        custom_id: 'refused',
        result: {
          type: 'errored',
          error: { type: 'error', error: { type: 'invalid_request_error', message: 'no' } },
        },
      },
      {
        custom_id: 'lost',
        result: {
          type: 'errored',
          error: { error: { type: 'api_error', message: 'It was lost.' }, request_id: null },
        },
      },
    ]);
  });

  it('tell canceled requests from those that had failed', async () => {
    const upstream = createScriptedUpstream(({ body }) => {
      if (body.includes('"refused"')) return answer({}, 400);
      return body.includes('"slow"') ? 'hold' : answer({});
    });
    const { testApp, worker } = await startWorkingApp(upstream);
    const requests = ['a', 'refused', 'slow'].map((id) => aRequest(id, { messages: [id] }));
    const { id } = (await create(testApp, { requests })).json<MessageBatchObject>();
    const { batches } = testApp.engine;
    const counts = async () => (await batches.get('default', id.replace('msg', ''))).counts;
    await expect.poll(counts).toEqual({ total: 3, completed: 1, failed: 1 });
    expect(await retrieve(testApp, id)).toMatchObject({ request_counts: { ...NONE, processing: 3 } });
    await cancel(testApp, id);
    const batch = await endOf(testApp, id);
    await worker.stop();
    expect(batch).toMatchObject({
      request_counts: { ...NONE, succeeded: 1, errored: 1, canceled: 1 },
      cancel_initiated_at: expect.any(String),
    });
    expect(await resultsOf(testApp, id)).toMatchObject([
      { custom_id: 'a', result: { type: 'succeeded' } },
      { custom_id: 'refused', result: { type: 'errored' } },
      { custom_id: 'slow', result: { type: 'canceled' } },
    ]);
    const again = await cancel(testApp, id);
    expect([again.statusCode, again.json()]).toEqual([200, batch]);
  });

  it('tell expired requests', async () => {
    const clock = createFakeClock();
    const upstream = createScriptedUpstream(({ body }) => (body.includes('"slow"') ? 'hold' : answer({})));
    const { testApp, worker } = await startWorkingApp(upstream, { clock });
    const requests = ['a', 'slow'].map((id) => aRequest(id, { messages: [id] }));
    const { id } = (await create(testApp, { requests })).json<MessageBatchObject>();
    await expect.poll(() => (clock.advance(100), upstream.held.length)).toBe(1);
    clock.advance(25 * HOUR);
    await expect
      .poll(async () => (clock.advance(1000), (await retrieve(testApp, id)).processing_status))
      .toBe('ended');
    await worker.stop();
    expect(await retrieve(testApp, id)).toMatchObject({
      request_counts: { ...NONE, succeeded: 1, expired: 1 },
    });
    expect(await resultsOf(testApp, id)).toMatchObject([
      { custom_id: 'a', result: { type: 'succeeded' } },
      { custom_id: 'slow', result: { type: 'expired' } },
    ]);
  });

  it('of a batch that was canceled before it began are all canceled', async () => {
    const testApp = createTestApp();
    const { id } = await createdMessageBatch(testApp, ['a', 'b']);
    await cancel(testApp, id);
    const worker = createWorker({ engine: testApp.engine });
    await worker.start();
    const batch = await endOf(testApp, id);
    await worker.stop();
    expect(batch).toMatchObject({ request_counts: { ...NONE, canceled: 2 } });
    expect(await resultsOf(testApp, id)).toEqual([
      { custom_id: 'a', result: { type: 'canceled' } },
      { custom_id: 'b', result: { type: 'canceled' } },
    ]);
  });

  it('of a batch that failed as a whole say why, for each request', async () => {
    const upstream = createScriptedUpstream(() => answer({}));
    const { testApp, worker } = await startWorkingApp(upstream, { settings: { oneModelPerBatch: true } });
    const requests = [aRequest('a'), aRequest('b'), aRequest('c', { model: 'other' })];
    const { id } = (await create(testApp, { requests })).json<MessageBatchObject>();
    const batch = await endOf(testApp, id);
    await worker.stop();
    expect(upstream.requests).toEqual([]);
    expect(batch).toMatchObject({ request_counts: { ...NONE, errored: 3 }, ended_at: expect.any(String) });
    const message = expect.stringContaining("got 'other'");
    const error = { type: 'error', error: { type: 'invalid_request_error', message }, request_id: null };
    expect(await resultsOf(testApp, id)).toEqual(
      ['a', 'b', 'c'].map((custom_id) => ({ custom_id, result: { type: 'errored', error } })),
    );
  });

  it('that were deleted as files are told to be gone', async () => {
    const { testApp, worker } = await startWorkingApp(createScriptedUpstream(() => answer({})));
    const { id } = await createdMessageBatch(testApp);
    await endOf(testApp, id);
    await worker.stop();
    const files = (await testApp.call({ url: '/v1/files?purpose=batch_output' })).json<{
      first_id: string;
    }>();
    await testApp.call({ method: 'DELETE', url: `/v1/files/${files.first_id}` });
    const response = await callMessages(testApp, { url: `${BATCHES}/${id}/results` });
    const message = `The results of Message Batch '${id}' are no longer there.`;
    expect(messageErrorOf(response)).toEqual(messageRefusal(404, 'not_found_error', message));
  });

  it('of thousands come in order and are not held', async () => {
    const { testApp, worker } = await startWorkingApp(
      createScriptedUpstream(({ body }) => answer({ body, filler: 'x'.repeat(500) })),
    );
    const ids = Array.from({ length: 3000 }, (_, n) => `request-${n}`);
    const { id } = await createdMessageBatch(testApp, ids);
    await endOf(testApp, id);
    await worker.stop();
    const results = (await resultsOf(testApp, id)) as { custom_id: string }[];
    expect(results.map(({ custom_id }) => custom_id)).toEqual(ids);
    await expect.poll(() => testApp.open.reads).toBe(0);
  });
});
