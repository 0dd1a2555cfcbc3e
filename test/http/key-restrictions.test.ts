import { describe, expect, it } from 'vitest';
import { createWorker } from '../../src/worker/index.ts';
import { createTestApp, errorOf, refusal, uploadFile } from '../helpers/http-app.ts';
import type { TestApp } from '../helpers/http-app.ts';
import { createScriptedUpstream } from '../helpers/scripted-upstream.ts';
import { CHAT, createTestEngine, inputLine, submit } from '../helpers/test-engine.ts';
import { BODY, createdBatch, postBatch } from './batch-calls.ts';
import { createdKey, withKey } from './key-calls.ts';

/** The batch as it is once validation and all that follows have ended. */
async function ended(testApp: TestApp, id: string, owner = 'team-a') {
  const worker = createWorker({ engine: testApp.engine });
  await worker.start();
  const read = async () => await testApp.engine.batches.get(owner, id);
  await expect.poll(async () => (await read()).status).toMatch(/^(completed|failed)$/);
  await worker.stop();
  return await read();
}

const refused = (model: string, line: number) => ({
  code: 'model_not_found',
  message: `The provided model '${model}' is not supported by the Batch API. The API key that created this batch does not allow it.`,
  param: 'body.model',
  line,
});

describe('a key that allows some endpoints', () => {
  it('creates batches for these alone', async () => {
    const testApp = createTestApp();
    const endpoints = ['/v1/embeddings', '/v1/responses'];
    const team = withKey(testApp, (await createdKey(testApp, { endpoints })).key);
    expect(errorOf(await postBatch(team, BODY))).toEqual(
      refusal(403, {
        message: `Your API key does not allow the endpoint '${CHAT}'. It allows: '/v1/embeddings' and '/v1/responses'.`,
        param: 'endpoint',
      }),
    );
    expect((await postBatch(team, { ...BODY, endpoint: '/v1/responses' })).statusCode).toBe(200);
    expect((await team.call({ url: '/v1/batches' })).json<{ data: unknown[] }>().data).toHaveLength(1);
    // What no key can have is not a matter of this one.
    expect((await postBatch(team, { ...BODY, endpoint: '/v1/x' })).statusCode).toBe(400);
  });

  it('does not narrow other keys, nor API_KEYS', async () => {
    const testApp = createTestApp();
    await createdKey(testApp, { endpoints: ['/v1/embeddings'], models: ['m'] });
    const { key } = await createdKey(testApp);
    for (const app of [testApp, withKey(testApp, key)]) {
      expect((await postBatch(app, BODY)).statusCode).toBe(200);
    }
  });
});

describe('a key that allows some models', () => {
  it('has batches with others failed, with each line that names one', async () => {
    const testApp = createTestApp();
    const team = withKey(testApp, (await createdKey(testApp, { models: ['small', 'tiny'] })).key);
    const models = ['small', 'large', 'tiny', 'large', 'SMALL'];
    const content = models.map((model, i) => inputLine(`${i}`, { model })).join('\n');
    const batch = await createdBatch(team, { input_file_id: await uploadFile(team, { content }) });
    expect((await ended(testApp, batch.id)).errors).toEqual([
      refused('large', 2),
      refused('large', 4),
      refused('SMALL', 5),
    ]);
  });

  it('has batches with these alone run', async () => {
    const testApp = createTestApp();
    const team = withKey(testApp, (await createdKey(testApp, { models: ['small', 'tiny'] })).key);
    const content = `${inputLine('a', { model: 'tiny' })}\n${inputLine('b', { model: 'small' })}`;
    const batch = await createdBatch(team, { input_file_id: await uploadFile(team, { content }) });
    expect(await ended(testApp, batch.id)).toMatchObject({ status: 'completed', counts: { completed: 2 } });
  });

  it('binds the batch as it was at the create: a revoke or another key changes nothing', async () => {
    const testApp = createTestApp();
    const { id, key } = await createdKey(testApp, { models: ['small'] });
    const team = withKey(testApp, key);
    const content = inputLine('a', { model: 'large' });
    const batch = await createdBatch(team, { input_file_id: await uploadFile(team, { content }) });
    await testApp.call({ method: 'DELETE', url: `/v1/admin/keys/${id}` });
    await createdKey(testApp, { models: ['large'] });
    expect((await ended(testApp, batch.id)).errors).toEqual([refused('large', 1)]);
  });

  it('is asked before the upstream is, which may refuse more', async () => {
    const upstream = createScriptedUpstream(undefined, (model) => `There is no ${model}.`);
    const engine = createTestEngine({ upstream });
    const restrictions = { models: ['small'], endpoints: null };
    const lines = [inputLine('a', { model: 'small' }), inputLine('b', { model: 'large' })];
    const { id, owner } = await submit(engine, lines, { restrictions });
    const testApp = { ...createTestApp(), engine };
    expect((await ended(testApp, id, owner)).errors).toEqual([
      expect.objectContaining({
        code: 'model_not_found',
        line: 1,
        message: expect.stringMatching(/no small\.$/),
      }),
      refused('large', 2),
    ]);
  });
});

describe('a key that allows little', () => {
  const createMessages = (testApp: TestApp) =>
    testApp.call({
      method: 'POST',
      url: '/v1/messages/batches',
      headers: { 'anthropic-version': '2023-06-01' },
      payload: { requests: [{ custom_id: 'a', params: { model: 'large', max_tokens: 1, messages: [] } }] },
    });

  it('creates no Message Batches where it does not allow their endpoint, and leaves no file of one', async () => {
    const testApp = createTestApp();
    const team = withKey(testApp, (await createdKey(testApp, { endpoints: ['/v1/embeddings'] })).key);
    const response = await createMessages(team);
    expect([response.statusCode, response.json<{ error: { type: string } }>().error.type]).toEqual([
      403,
      'permission_error',
    ]);
    expect(await testApp.countBlobs()).toBe(0);
  });

  it('creates Message Batches where it allows their endpoint, and no others', async () => {
    const testApp = createTestApp();
    const team = withKey(testApp, (await createdKey(testApp, { endpoints: ['/v1/messages'] })).key);
    expect((await createMessages(team)).statusCode).toBe(200);
    const payload = { input_file_id: await uploadFile(team), endpoint: CHAT, completion_window: '24h' };
    const response = await team.call({ method: 'POST', url: '/v1/batches', payload });
    expect(response.statusCode).toBe(403);
  });

  it('has Message Batches with other models failed', async () => {
    const testApp = createTestApp();
    const team = withKey(testApp, (await createdKey(testApp, { models: ['small'] })).key);
    const { id } = (await createMessages(team)).json<{ id: string }>();
    const batch = await ended(testApp, id.replace('msgbatch_', 'batch_'));
    expect(batch.errors).toEqual([refused('large', 1)]);
  });

  it('has files checked by its models', async () => {
    const testApp = createTestApp();
    const team = withKey(testApp, (await createdKey(testApp, { models: ['small'] })).key);
    const content = inputLine('a', { model: 'large' });
    const payload = { input_file_id: await uploadFile(team, { content }), endpoint: CHAT };
    const response = await team.call({ method: 'POST', url: '/v1/batches/validate', payload });
    expect(response.json()).toMatchObject({ valid: false, errors: { data: [refused('large', 1)] } });
  });
});
