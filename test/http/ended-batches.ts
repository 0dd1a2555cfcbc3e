import { expect } from 'vitest';
import { createWorker } from '../../src/worker/index.ts';
import { uploadFile } from '../helpers/http-app.ts';
import type { TestApp } from '../helpers/http-app.ts';
import { createdBatch } from './batch-calls.ts';
import type { BatchObject } from './batch-calls.ts';

const ENDS = ['completed', 'failed', 'expired', 'cancelled'];

/** Gets a batch. */
export async function retrieve(testApp: TestApp, id: string): Promise<BatchObject> {
  const response = await testApp.call({ url: `/v1/batches/${id}` });
  expect(response.statusCode).toBe(200);
  return response.json<BatchObject>();
}

/** Works until this batch has ended, and answers it. */
export async function runToEnd(testApp: TestApp, id: string): Promise<BatchObject> {
  const worker = createWorker({ engine: testApp.engine });
  await worker.start();
  try {
    await expect.poll(async () => ENDS.includes((await retrieve(testApp, id)).status)).toBe(true);
  } finally {
    await worker.stop();
  }
  return await retrieve(testApp, id);
}

/** A batch over an input of this text that has run to its end. */
export async function endedBatch(testApp: TestApp, content: string, more: object = {}): Promise<BatchObject> {
  const { id } = await createdBatch(testApp, {
    input_file_id: await uploadFile(testApp, { content }),
    ...more,
  });
  return await runToEnd(testApp, id);
}

/** The text of a file. */
export async function fileText(testApp: TestApp, id: unknown): Promise<string> {
  const response = await testApp.call({ url: `/v1/files/${String(id)}/content` });
  expect(response.statusCode).toBe(200);
  return response.body;
}

/** A batch that belongs to somebody else. */
export async function foreignBatch({ engine }: TestApp): Promise<string> {
  const request = {
    owner: 'other',
    inputFileId: 'file-x',
    endpoint: '/v1/chat/completions',
    completionWindow: '24h',
  };
  return (await engine.batches.create(request)).id;
}
