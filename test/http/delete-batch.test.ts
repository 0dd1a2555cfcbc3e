import { describe, expect, it } from 'vitest';
import { createTestApp, errorOf, refusal } from '../helpers/http-app.ts';
import { inputLine } from '../helpers/test-engine.ts';
import { createdBatch } from './batch-calls.ts';
import { endedBatch, fileText, foreignBatch, retrieve } from './ended-batches.ts';

describe('DELETE /v1/batches/{id}', () => {
  it('removes an ended batch, and leaves its files', async () => {
    const testApp = createTestApp();
    const input = `${inputLine('a')}\n`;
    const batch = await endedBatch(testApp, input);
    const response = await testApp.call({ method: 'DELETE', url: `/v1/batches/${batch.id}` });
    expect([response.statusCode, response.json()]).toEqual([
      200,
      { object: 'batch', id: batch.id, deleted: true },
    ]);
    const gone = refusal(404, { message: `No batch found with id '${batch.id}'.` });
    for (const method of ['GET', 'DELETE'] as const) {
      expect(errorOf(await testApp.call({ method, url: `/v1/batches/${batch.id}` }))).toEqual(gone);
    }
    expect((await testApp.call({ url: '/v1/batches' })).json()).toMatchObject({ data: [], has_more: false });
    expect(await fileText(testApp, batch['input_file_id'])).toBe(input);
    expect(await fileText(testApp, batch.output_file_id)).toContain('"custom_id":"a"');
  });

  it('removes a batch that failed', async () => {
    const testApp = createTestApp();
    const batch = await endedBatch(testApp, '{"custom_id":"a"}\n');
    expect(batch.status).toBe('failed');
    const response = await testApp.call({ method: 'DELETE', url: `/v1/batches/${batch.id}` });
    expect(response.statusCode).toBe(200);
  });

  it('does not remove a live batch, and asks the client not to retry', async () => {
    const testApp = createTestApp();
    const { id } = await createdBatch(testApp);
    const response = await testApp.call({ method: 'DELETE', url: `/v1/batches/${id}` });
    expect(errorOf(response)).toEqual(
      refusal(409, { message: "Cannot delete a batch with status 'validating'." }),
    );
    expect(response.headers['x-should-retry']).toBe('false');
    expect((await retrieve(testApp, id)).status).toBe('validating');
  });

  it('does not find unknown and other owners’ batches', async () => {
    const testApp = createTestApp();
    for (const id of ['batch_unknown', await foreignBatch(testApp)]) {
      const response = await testApp.call({ method: 'DELETE', url: `/v1/batches/${id}` });
      expect(errorOf(response)).toEqual(refusal(404, { message: `No batch found with id '${id}'.` }));
    }
  });

  it.each(['file-abc', 'validate'])('refuses ids of another kind: %s', async (id) => {
    const response = await createTestApp().call({ method: 'DELETE', url: `/v1/batches/${id}` });
    expect(errorOf(response)).toEqual(
      refusal(400, {
        message: `Invalid 'batch_id': '${id}'. Expected an ID that begins with 'batch'.`,
        param: 'batch_id',
        code: 'invalid_value',
      }),
    );
  });

  it.each([
    ['application/json', ''],
    ['application/json', '{ not json'],
    ['nonsense', 'x'],
  ])('whatever the body: type %s, body %j', async (type, payload) => {
    const testApp = createTestApp();
    const { id } = await endedBatch(testApp, `${inputLine('a')}\n`);
    const headers = { 'content-type': type };
    const response = await testApp.call({ method: 'DELETE', url: `/v1/batches/${id}`, headers, payload });
    expect(response.statusCode).toBe(200);
  });
});
