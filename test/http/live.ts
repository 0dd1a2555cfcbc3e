/** A service whose batch runs for as long as a test holds some of its answers. */
import { onTestFinished } from 'vitest';
import { createWorker } from '../../src/worker/index.ts';
import { createTestApp, uploadFile } from '../helpers/http-app.ts';
import type { TestApp, TestAppOptions } from '../helpers/http-app.ts';
import { answer, createScriptedUpstream } from '../helpers/scripted-upstream.ts';
import type { ScriptedUpstream } from '../helpers/scripted-upstream.ts';
import { inputLine } from '../helpers/test-engine.ts';
import { createdBatch } from './batch-calls.ts';
import type { BatchObject } from './batch-calls.ts';

export interface LiveBatch extends TestApp {
  readonly id: string;
  readonly upstream: ScriptedUpstream;
  /** Ends the held lines whose custom_id is among these (default: all). */
  release(customIds?: readonly string[]): void;
  retrieve(): Promise<BatchObject>;
}

/**
 * Runs a batch with a line for each name: those that begin with `held` wait for `release`, those with `bad` get a 400, all
 * others are answered at once.
 */
export async function startLiveBatch(
  names: readonly string[],
  options: TestAppOptions = {},
): Promise<LiveBatch> {
  const upstream = createScriptedUpstream(({ body }) => {
    const { n } = JSON.parse(body) as { n: string };
    return n.startsWith('held') ? 'hold' : outcomeOf(n);
  });
  const testApp = createTestApp({ ...options, upstream });
  const worker = createWorker({ engine: testApp.engine });
  await worker.start();
  onTestFinished(() => worker.stop());
  const content = names.map((name) => `${inputLine(name)}\n`).join('');
  const { id } = await createdBatch(testApp, { input_file_id: await uploadFile(testApp, { content }) });
  return {
    ...testApp,
    id,
    upstream,
    release(customIds) {
      for (const attempt of upstream.held) {
        const { n } = JSON.parse(attempt.request.body) as { n: string };
        if (customIds === undefined || customIds.includes(n)) attempt.settle(outcomeOf(n));
      }
    },
    retrieve: async () => (await testApp.call({ url: `/v1/batches/${id}` })).json<BatchObject>(),
  };
}

function outcomeOf(name: string) {
  return name.includes('bad') ? answer({ error: { message: 'no' } }, 400) : answer({ name });
}
