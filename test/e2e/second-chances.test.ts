import { expect, it, onTestFinished } from 'vitest';
import { startUpstreamServer } from '../helpers/upstream-server.ts';
import {
  chatLines,
  endOf,
  resultsOf,
  startTestService,
  submitBatch,
  temporaryFolder,
} from './test-service.ts';

interface Validation {
  readonly valid: boolean;
  readonly request_counts: { readonly total: number };
  readonly token_estimate: { readonly method: string; readonly input_tokens: number };
}

it('a program validates its file, creates its batch once, retries what failed, and tidies up', async () => {
  let isWell = false;
  const upstream = await startUpstreamServer((request) => {
    const failing = !isWell && request.body.includes('question 2');
    return failing ? { status: 400, body: { error: 'bad' } } : { body: {} };
  });
  onTestFinished(() => upstream.close());
  const dataDir = await temporaryFolder();
  const settings = { UPSTREAM_BASE_URL: upstream.baseUrl, DATA_DIR: dataDir };
  const first = await startTestService(settings);
  const file = await first.client.files.create({
    file: new File([chatLines(3)], 'input.jsonl'),
    purpose: 'batch',
  });
  const validation = await first.client.post<Validation>('/batches/validate', {
    body: { input_file_id: file.id, endpoint: '/v1/chat/completions' },
  });
  expect(validation).toMatchObject({ valid: true, request_counts: { total: 3 } });
  // `question`, a blank and a digit.
  expect(validation.token_estimate).toMatchObject({ method: 'o200k_base', input_tokens: 9 });

  const create = {
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  } as const;
  const headers = { 'Idempotency-Key': 'tonight' };
  const created = await first.client.batches.create(create, { headers });
  await endOf(first.client, created.id);
  await first.stop();

  // The key survives a restart, and so does what is needed for a retry.
  const { client } = await startTestService(settings);
  expect(await client.batches.create(create, { headers })).toEqual(created);
  const old = await client.batches.retrieve(created.id);
  expect(old.request_counts).toEqual({ total: 3, completed: 2, failed: 1 });
  isWell = true;
  const { id } = await client.post<{ id: string }>(`/batches/${old.id}/retry`);
  const retry = await endOf(client, id);
  expect(retry).toMatchObject({
    status: 'completed',
    metadata: { retry_of: old.id },
    request_counts: { total: 1, completed: 1, failed: 0 },
  });
  expect((await resultsOf(client, retry.output_file_id)).map((line) => line.custom_id)).toEqual(['line-2']);

  expect(await client.delete(`/batches/${old.id}`)).toEqual({ object: 'batch', id: old.id, deleted: true });
  await expect(client.batches.retrieve(old.id)).rejects.toMatchObject({ status: 404 });
  expect((await client.batches.list()).data.map((batch) => batch.id)).toEqual([id]);
  expect(await resultsOf(client, old.output_file_id)).toHaveLength(2);
});

it('a batch that is deleted still tells its end, by webhook', async () => {
  let isUp = false;
  const receiver = await startUpstreamServer(() => (isUp ? {} : { status: 500 }));
  onTestFinished(() => receiver.close());
  const { client, logs } = await startTestService({
    WEBHOOK_URLS: receiver.origin,
    WEBHOOK_SIGNING_SECRET: `whsec_${Buffer.alloc(32, 9).toString('base64')}`,
  });
  const { id } = await endOf(client, (await submitBatch(client, chatLines(1, 'echo'))).id);
  await expect.poll(() => logs.filter((line) => line.includes('webhook not delivered')).length).toBe(3);
  await client.delete(`/batches/${id}`);
  isUp = true;
  await expect
    .poll(() => logs.filter((line) => line.includes('webhook delivered')).length, { timeout: 15_000 })
    .toBe(3);
  const bodies = receiver.requests
    .slice(-3)
    .map((request) => request.json() as { type: string; data: object });
  expect(bodies.find(({ type }) => type === 'batch.completed')?.data).toEqual({ id });
});
