import { describe, expect, it } from 'vitest';
import type { BatchSubmission, Store } from '../../src/engine/index.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import { createTestApp, errorOf, KEY_OWNER, refusal, uploadFile } from '../helpers/http-app.ts';
import type { TestApp, TestAppOptions } from '../helpers/http-app.ts';
import { answer, createScriptedUpstream } from '../helpers/scripted-upstream.ts';
import { CHAT, inputLine, inputLines } from '../helpers/test-engine.ts';
import { createdBatch } from './batch-calls.ts';
import type { BatchObject } from './batch-calls.ts';
import { endedBatch, fileText, foreignBatch, retrieve, runToEnd } from './ended-batches.ts';
import { aboveMaximum, invalidValue, wrongType } from './refusals.ts';

/** Lines whose custom_id begins with `bad` are refused, as long as `mended` is false. */
function createRetryApp(options: TestAppOptions = {}): { testApp: TestApp; mend: () => void } {
  let mended = false;
  const upstream = createScriptedUpstream(({ body }) =>
    body.includes('"bad') && !mended ? answer({ error: 'bad' }, 400) : answer({ ok: true }),
  );
  return { testApp: createTestApp({ upstream, ...options }), mend: () => (mended = true) };
}

async function retry(testApp: TestApp, id: string, body?: object, headers: Record<string, string> = {}) {
  return await testApp.call({
    method: 'POST',
    url: `/v1/batches/${id}/retry`,
    headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
  });
}

async function retried(testApp: TestApp, id: string, body?: object): Promise<BatchObject> {
  const response = await retry(testApp, id, body);
  expect(response.statusCode, response.body).toBe(200);
  return response.json<BatchObject>();
}

const GOOD = inputLine('good');
const BAD = inputLine('bad');
const INPUT = `${GOOD}\n${BAD}\n`;

/** A batch of a good and a bad line that has completed. */
async function halfFailed(testApp: TestApp, more: object = {}): Promise<BatchObject> {
  return await endedBatch(testApp, INPUT, more);
}

describe('POST /v1/batches/{id}/retry', () => {
  it('runs the lines that failed, in the order and with the bytes of the input', async () => {
    const { testApp, mend } = createRetryApp();
    const spaced = `{ "url" : "${CHAT}",  "method":"POST","body":{"model":"m", "n":"bad\\u0041"}, "custom_id":"b\\u0061d-2 ☃"\t}`;
    const input = `\uFEFF${inputLine('bad-1')}\r\n\n${GOOD}\n${spaced}\n${inputLine('bad-3')}`;
    const old = await endedBatch(testApp, input);
    expect(old['request_counts']).toEqual({ total: 4, completed: 1, failed: 3 });
    const batch = await retried(testApp, old.id);
    const expected = `${inputLine('bad-1')}\n${spaced}\n${inputLine('bad-3')}\n`;
    expect(await fileText(testApp, batch['input_file_id'])).toBe(expected);
    mend();
    const ended = await runToEnd(testApp, batch.id);
    expect(ended).toMatchObject({
      status: 'completed',
      error_file_id: null,
      request_counts: { total: 3, completed: 3, failed: 0 },
    });
  });

  it('takes over what the old batch was created with', async () => {
    const { testApp } = createRetryApp();
    const old = await halfFailed(testApp, {
      metadata: { team: 'a' },
      priority: 7,
      output_expires_after: { anchor: 'created_at', seconds: 7200 },
    });
    const batch = await retried(testApp, old.id);
    expect(batch).toMatchObject({
      status: 'validating',
      endpoint: CHAT,
      completion_window: '24h',
      priority: 7,
      metadata: { team: 'a', retry_of: old.id },
    });
    expect(await testApp.engine.batches.get(KEY_OWNER, batch.id)).toMatchObject({
      outputExpiresAfterSeconds: 7200,
      webhookUrl: null,
    });
    // The old one is as it was.
    expect(await retrieve(testApp, old.id)).toEqual(old);
  });

  it('makes an input file of its own, which tells where it comes from', async () => {
    const { testApp } = createRetryApp();
    const old = await halfFailed(testApp);
    const batch = await retried(testApp, old.id);
    const file = (await testApp.call({ url: `/v1/files/${String(batch['input_file_id'])}` })).json<{
      created_at: number;
      expires_at: number;
    }>();
    expect(file).toMatchObject({
      purpose: 'batch',
      filename: `${old.id}_retry.jsonl`,
      bytes: BAD.length + 1,
    });
    // The clock may pass to the next second in between.
    expect([0, 1]).toContain(file.expires_at - file.created_at - 2_592_000);
  });

  it('lets the body change metadata, window, priority and webhook', async () => {
    const { testApp } = createRetryApp({ settings: { completionWindows: ['24h', '7d'] } });
    const old = await halfFailed(testApp, { metadata: { team: 'a' }, priority: 7 });
    const batch = await retried(testApp, old.id, {
      metadata: { b: 'c' },
      completion_window: '7d',
      priority: 0,
    });
    expect(batch).toMatchObject({ metadata: { b: 'c', retry_of: old.id }, completion_window: '7d' });
    expect(batch).not.toHaveProperty('priority');
    const response = await retry(testApp, old.id, { webhook_url: 'https://example.com/hook' });
    expect(response.json()).toMatchObject({ error: { param: 'webhook_url' } });
  });

  it('takes null, and no body, for as before', async () => {
    const { testApp } = createRetryApp();
    const old = await halfFailed(testApp, { metadata: { team: 'a' }, priority: 7 });
    const nothing = { metadata: null, completion_window: null, priority: null, webhook_url: null };
    for (const body of [undefined, {}, nothing]) {
      expect(await retried(testApp, old.id, body)).toMatchObject({
        metadata: { team: 'a', retry_of: old.id },
        priority: 7,
      });
    }
    const empty = await testApp.call({
      method: 'POST',
      url: `/v1/batches/${old.id}/retry`,
      headers: { 'content-type': 'application/json' },
    });
    expect(empty.statusCode).toBe(200);
  });

  it('retries a retry, whose retry_of is the last one', async () => {
    const { testApp } = createRetryApp();
    const old = await halfFailed(testApp);
    const second = await runToEnd(testApp, (await retried(testApp, old.id)).id);
    const third = await retried(testApp, second.id);
    expect(third['metadata']).toEqual({ retry_of: second.id });
    expect(await fileText(testApp, third['input_file_id'])).toBe(`${BAD}\n`);
  });

  it('retries lines that were cancelled or have expired', async () => {
    const clock = createFakeClock();
    const upstream = createScriptedUpstream(() => 'hold');
    const { testApp } = createRetryApp({ upstream, clock });
    const lines = inputLines(3);
    const content = lines.map((line) => `${line}\n`).join('');
    for (const end of ['cancelled', 'expired']) {
      const { id } = await createdBatch(testApp, { input_file_id: await uploadFile(testApp, { content }) });
      const ended = runToEnd(testApp, id);
      await expect.poll(async () => (await retrieve(testApp, id)).status).toBe('in_progress');
      if (end === 'cancelled') await testApp.call({ method: 'POST', url: `/v1/batches/${id}/cancel` });
      else clock.advance(24 * 3_600_000);
      await expect
        .poll(async () => {
          clock.advance(1000);
          return (await retrieve(testApp, id)).status;
        })
        .toBe(end);
      await ended;
      const batch = await retried(testApp, id);
      expect(await fileText(testApp, batch['input_file_id'])).toBe(content);
    }
  });

  it('is one whose files are many times larger than what is read at a time', async () => {
    const { testApp } = createRetryApp();
    const lines = Array.from({ length: 3000 }, (_, i) => {
      const customId = i % 3 === 0 ? `bad-${i}` : `good-${i}`;
      return inputLine(customId, {
        body: JSON.stringify({ model: 'm', n: customId, text: 'x'.repeat(i % 700) }),
      });
    });
    const old = await endedBatch(testApp, lines.join('\n'));
    const batch = await retried(testApp, old.id);
    const failed = lines.filter((line) => line.includes('"bad'));
    expect(await fileText(testApp, batch['input_file_id'])).toBe(failed.map((line) => `${line}\n`).join(''));
  });
});

describe('POST /v1/batches/{id}/retry refuses', () => {
  it('a live batch, and asks the client not to retry', async () => {
    const { testApp } = createRetryApp();
    const { id } = await createdBatch(testApp);
    const response = await retry(testApp, id);
    expect(errorOf(response)).toEqual(
      refusal(409, { message: "Cannot retry a batch with status 'validating'." }),
    );
    expect(response.headers['x-should-retry']).toBe('false');
  });

  it('a batch without failed lines', async () => {
    const { testApp } = createRetryApp();
    const { id } = await endedBatch(testApp, `${GOOD}\n`);
    expect(errorOf(await retry(testApp, id))).toEqual(
      refusal(400, {
        message: `The batch '${id}' has no failed lines to retry.`,
        param: 'batch_id',
        code: 'invalid_value',
      }),
    );
  });

  it('a batch that failed its validation', async () => {
    const { testApp } = createRetryApp();
    const { id } = await endedBatch(testApp, '{"custom_id":"a"}\n');
    expect(errorOf(await retry(testApp, id))).toEqual(
      refusal(400, {
        message: `The batch '${id}' failed its validation: none of its lines ran. Fix its input file and create a new batch.`,
        param: 'batch_id',
        code: 'invalid_value',
      }),
    );
  });

  it.each(['input', 'error'])('a batch whose %s file was deleted', async (kind) => {
    const { testApp } = createRetryApp();
    const old = await halfFailed(testApp);
    const fileId = String(old[`${kind}_file_id`]);
    await testApp.engine.files.delete(KEY_OWNER, fileId);
    expect(errorOf(await retry(testApp, old.id))).toEqual(
      refusal(404, {
        message: `The ${kind} file '${fileId}' of the batch '${old.id}' was deleted or has expired, so its failed lines cannot be retried.`,
        param: `${kind}_file_id`,
      }),
    );
  });

  it('a batch whose input is deleted while it is read', async () => {
    let remove = async (): Promise<void> => {};
    const { testApp } = createRetryApp({
      blobs: (blobs) => ({
        async *read(key, range) {
          await remove();
          yield* blobs.read(key, range);
        },
      }),
    });
    const old = await halfFailed(testApp);
    remove = async () => {
      remove = async () => {};
      await testApp.engine.files.delete(KEY_OWNER, String(old['input_file_id']));
    };
    const response = await retry(testApp, old.id);
    expect([response.statusCode, response.json()]).toMatchObject([
      404,
      { error: { param: 'input_file_id' } },
    ]);
    expect(testApp.open).toEqual({ writers: 0, reads: 0 });
  });

  it('unknown and other owners’ batches, and ids of another kind', async () => {
    const { testApp } = createRetryApp();
    for (const id of ['batch_unknown', await foreignBatch(testApp)]) {
      expect(errorOf(await retry(testApp, id))).toEqual(
        refusal(404, { message: `No batch found with id '${id}'.` }),
      );
    }
    expect((await retry(testApp, 'validate')).json()).toMatchObject({ error: { param: 'batch_id' } });
  });

  it('metadata that has no room for retry_of', async () => {
    const { testApp } = createRetryApp();
    const metadata = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`k${i}`, '']));
    const old = await halfFailed(testApp, { metadata });
    const error = {
      message:
        "Invalid 'metadata': too many properties. A retry adds 'retry_of', so expected an object with at most 15 others, but got 16 instead.",
      param: 'metadata',
      code: 'object_above_max_properties',
    };
    expect(errorOf(await retry(testApp, old.id))).toEqual(refusal(400, error));
    const { k0: _dropped, ...fifteen } = metadata;
    expect((await retried(testApp, old.id, { metadata: fifteen }))['metadata']).toEqual({
      ...fifteen,
      retry_of: old.id,
    });
  });

  it.each([
    [{ priority: 101 }, aboveMaximum('priority', 100, 101)],
    [{ completion_window: '1h' }, invalidValue('completion_window', '1h', "'24h'")],
    [{ metadata: { a: 1 } }, wrongType('metadata.a', 'a string', 'an integer')],
    [{ completion_window: 1 }, wrongType('completion_window', 'a string', 'an integer')],
  ])('%j, as a create does', async (body, error) => {
    const { testApp } = createRetryApp();
    const old = await halfFailed(testApp);
    const blobs = await testApp.countBlobs();
    expect(errorOf(await retry(testApp, old.id, body))).toEqual(refusal(400, error));
    expect(await testApp.countBlobs()).toBe(blobs);
  });

  it('what is wrong with the request before it looks at files', async () => {
    const { testApp } = createRetryApp();
    const old = await halfFailed(testApp);
    await testApp.engine.files.delete(KEY_OWNER, String(old['error_file_id']));
    const response = await retry(testApp, old.id, { priority: 101 });
    expect(errorOf(response)).toEqual(refusal(400, aboveMaximum('priority', 100, 101)));
  });

  it('a fifth one at a time, until one has ended', async () => {
    let release = (): void => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    let hold = false;
    const { testApp } = createRetryApp({
      blobs: (blobs) => ({
        async create() {
          if (hold) await released;
          return await blobs.create();
        },
      }),
    });
    const old = await halfFailed(testApp);
    hold = true;
    const calls = Array.from({ length: 5 }, () => retry(testApp, old.id));
    const refused = await Promise.race(calls);
    expect(errorOf(refused)).toEqual(
      refusal(429, {
        message: 'Too many retries of batches at a time: at most 4. Try again in a moment.',
        type: 'rate_limit_error',
      }),
    );
    expect(refused.headers['retry-after']).toBe('1');
    release();
    const statuses = (await Promise.all(calls)).map(({ statusCode }) => statusCode);
    expect(statuses.toSorted((a, b) => a - b)).toEqual([200, 200, 200, 200, 429]);
    expect((await retry(testApp, old.id)).statusCode).toBe(200);
  });
});

describe('a retry with an Idempotency-Key', () => {
  it('happens once, also where many come at once', async () => {
    const { testApp } = createRetryApp();
    const old = await halfFailed(testApp);
    const calls = [1, 2, 3].map(() => retry(testApp, old.id, undefined, { 'idempotency-key': 'k' }));
    const responses = await Promise.all(calls);
    expect(new Set(responses.map(({ body }) => body)).size).toBe(1);
    expect(responses[0]?.statusCode).toBe(200);
    const files = (await testApp.call({ url: '/v1/files?purpose=batch' })).json<{ data: unknown[] }>();
    expect(files.data).toHaveLength(2);
    expect(testApp.open).toEqual({ writers: 0, reads: 0 });
    // Input, output, errors and the input of the retry.
    expect(await testApp.countBlobs()).toBe(4);
    const again = await retry(testApp, old.id, {}, { 'idempotency-key': 'k' });
    expect([again.body, again.headers['idempotent-replayed']]).toEqual([responses[0]?.body, 'true']);
  });

  it('leaves nothing where another request took the key meanwhile', async () => {
    let meanwhile = async (): Promise<void> => {};
    const { testApp } = createRetryApp({
      store: (store: Store) => ({
        async submitBatch(submission: BatchSubmission) {
          await meanwhile();
          return await store.submitBatch(submission);
        },
      }),
    });
    const old = await halfFailed(testApp);
    meanwhile = async () => {
      meanwhile = async () => {};
      const payload = { input_file_id: 'file-x', endpoint: CHAT, completion_window: '24h' };
      await testApp.call({
        method: 'POST',
        url: '/v1/batches',
        headers: { 'idempotency-key': 'k' },
        payload,
      });
    };
    const response = await retry(testApp, old.id, {}, { 'idempotency-key': 'k' });
    expect(response.statusCode).toBe(409);
    expect(await testApp.countBlobs()).toBe(3);
  });
});

describe('a retry that cannot be stored', () => {
  it('leaves neither a file nor a batch', async () => {
    let full = false;
    const { testApp } = createRetryApp({
      store: (store: Store) => ({
        async submitBatch(submission: BatchSubmission) {
          if (full) throw Object.assign(new Error('no space'), { code: 'SQLITE_FULL' });
          return await store.submitBatch(submission);
        },
      }),
    });
    const old = await halfFailed(testApp);
    full = true;
    const response = await retry(testApp, old.id);
    expect([response.statusCode, response.json()]).toMatchObject([507, { error: { type: 'server_error' } }]);
    expect(testApp.open).toEqual({ writers: 0, reads: 0 });
    expect(await testApp.countBlobs()).toBe(3);
    full = false;
    expect((await retry(testApp, old.id)).statusCode).toBe(200);
  });

  it('ends where the client leaves', async () => {
    const { testApp } = createRetryApp();
    const old = await halfFailed(testApp);
    const controller = new AbortController();
    controller.abort(new Error('left'));
    const request = { owner: KEY_OWNER, batchId: old.id, signal: controller.signal };
    await expect(testApp.engine.batches.retry(request)).rejects.toThrow('left');
    expect(testApp.open).toEqual({ writers: 0, reads: 0 });
    expect(await testApp.countBlobs()).toBe(3);
  });
});
