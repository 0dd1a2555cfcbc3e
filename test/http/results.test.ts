import { describe, expect, it } from 'vitest';
import { createTestApp, errorOf, refusal, uploadFile } from '../helpers/http-app.ts';
import { createdBatch } from './batch-calls.ts';
import { startLiveBatch } from './live.ts';
import type { LiveBatch } from './live.ts';

const counts = async (live: LiveBatch) => (await live.retrieve())['request_counts'];

/** Answers the custom_ids and the headers that matter. */
async function results(live: LiveBatch, query = '') {
  const { statusCode, body, headers } = await live.call({ url: `/v1/batches/${live.id}/results${query}` });
  expect(statusCode, body).toBe(200);
  const lines = body.split('\n');
  expect(lines.pop()).toBe('');
  return {
    ids: lines.map((line) => (JSON.parse(line) as { custom_id: string }).custom_id),
    incomplete: headers['x-incomplete'],
    next: headers['x-next-after'] as string | undefined,
    type: headers['content-type'],
  };
}

describe('GET /v1/batches/{id}/results', () => {
  it('streams what is finished so far, and what is finished later after that', async () => {
    const live = await startLiveBatch(['a', 'held-1', 'bad', 'held-2', 'b']);
    await expect.poll(() => counts(live)).toEqual({ total: 5, completed: 2, failed: 1 });
    const first = await results(live);
    expect(first).toMatchObject({ incomplete: 'true', type: 'application/jsonl' });
    expect(first.ids).toEqual(['a', 'bad', 'b']);
    expect((await results(live, '?status=succeeded')).ids).toEqual(['a', 'b']);
    expect((await results(live, '?status=failed')).ids).toEqual(['bad']);
    expect(await results(live, `?after=${first.next}`)).toMatchObject({ ids: [], next: first.next });

    live.release(['held-2']);
    await expect.poll(() => counts(live)).toEqual({ total: 5, completed: 3, failed: 1 });
    // Later in the input than one that is yet to come: nothing is missed by going on from the last answer.
    const second = await results(live, `?after=${first.next}`);
    expect(second.ids).toEqual(['held-2']);
    expect(Number(second.next)).toBeGreaterThan(Number(first.next));
    live.release();
    await expect.poll(async () => (await live.retrieve()).status).toBe('completed');
  });

  it('streams the files of an ended batch, and refuses to go on from where it was', async () => {
    const live = await startLiveBatch(['bad', 'a', 'held', 'b']);
    await expect.poll(() => counts(live)).toEqual({ total: 4, completed: 2, failed: 1 });
    const { next } = await results(live);
    live.release();
    await expect.poll(async () => (await live.retrieve()).status).toBe('completed');
    const all = await results(live);
    expect(all).toMatchObject({ ids: ['a', 'held', 'b', 'bad'], incomplete: undefined, next: undefined });
    expect((await results(live, '?status=succeeded')).ids).toEqual(['a', 'held', 'b']);
    expect((await results(live, '?status=failed')).ids).toEqual(['bad']);

    const refused = await live.call({ url: `/v1/batches/${live.id}/results?after=${next}` });
    expect(errorOf(refused)).toEqual(
      refusal(409, {
        message: "The batch has ended, and its results are in input order now. Read them without 'after'.",
      }),
    );
    expect(refused.headers['x-should-retry']).toBe('false');

    const { output_file_id: fileId } = await live.retrieve();
    await live.call({ method: 'DELETE', url: `/v1/files/${fileId}` });
    expect(errorOf(await live.call({ url: `/v1/batches/${live.id}/results` }))).toEqual(
      refusal(404, { message: `No such File object: ${fileId}`, param: 'id' }),
    );
  });

  it('goes on to its end where the batch ends meanwhile', async () => {
    const live = await startLiveBatch(['a', 'held']);
    await expect.poll(() => counts(live)).toMatchObject({ completed: 1 });
    const lines = await live.engine.batches.openLines({ owner: 'default', id: live.id });
    live.release();
    await expect.poll(async () => (await live.retrieve()).status).toBe('completed');
    await expect.poll(async () => await Array.fromAsync(live.engine.context.results.list())).toEqual([]);
    const bytes = Buffer.concat(await Array.fromAsync(lines.bytes));
    await lines.close();
    expect(JSON.parse(bytes.toString())).toMatchObject({ custom_id: 'a' });
  });

  it('is empty before anything is finished', async () => {
    const live = await startLiveBatch(['held']);
    expect(await results(live)).toMatchObject({ ids: [], incomplete: 'true', next: '0' });
    live.release();
  });

  it('refuses what it cannot read', async () => {
    const testApp = createTestApp();
    const { id } = await createdBatch(testApp, { input_file_id: await uploadFile(testApp) });
    const ask = async (url: string) => errorOf(await testApp.call({ url }));
    expect(await ask(`/v1/batches/${id}/results?after=batch_req_1`)).toEqual(
      refusal(400, {
        message: "Invalid 'after': 'batch_req_1'. Expected the x-next-after of an earlier answer.",
        param: 'after',
        code: 'invalid_value',
      }),
    );
    expect(await ask(`/v1/batches/${id}/results?status=done`)).toMatchObject({
      status: 400,
      body: { error: { param: 'status', code: 'invalid_value' } },
    });
    expect(await ask('/v1/batches/batch_unknown/results')).toEqual(
      refusal(404, { message: "No batch found with id 'batch_unknown'." }),
    );
    const foreign = await testApp.engine.batches.create({
      owner: 'other',
      inputFileId: 'file-x',
      endpoint: '/v1/embeddings',
      completionWindow: '24h',
    });
    for (const part of ['results', 'events']) {
      expect(await ask(`/v1/batches/${foreign.id}/${part}`)).toEqual(
        refusal(404, { message: `No batch found with id '${foreign.id}'.` }),
      );
    }
  });
});
