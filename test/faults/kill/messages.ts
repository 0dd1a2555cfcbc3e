/** SIGKILL before and after each fsync, rename, removal and commit on the way of a Message Batch, from its create to its removal. */
import { Refused } from '../harness/client.ts';
import type { Fault } from '../harness/fault.ts';
import { waitFor } from '../harness/wait.ts';
import type { World } from '../harness/world.ts';
import { killAtEach } from './each-point.ts';
import { persist } from './program.ts';

const REQUESTS = 300;
const BATCHES = '/messages/batches';

export const killAtEachPointOfAMessageBatch: Fault = {
  family: 'kill',
  name: 'SIGKILL before and after each fsync, rename, removal and commit of a Message Batch',
  run: (trials) =>
    killAtEach(trials, {
      quickStep: 19,
      // The witnesses of the other API know nothing of it.
      env: { UPSTREAM_BASE_URL: '', WEBHOOK_URLS: '' },
      run: runMessageBatch,
      check: eachHasItsFile,
    }),
};

interface MessageBatch {
  readonly id: string;
  readonly processing_status: string;
  readonly request_counts: Readonly<Record<string, number>>;
}

/** Creates, waits for the end, reads the results, and deletes; what has no answer is made again. */
async function runMessageBatch(world: World): Promise<void> {
  const again = <T>(step: () => Promise<T>): Promise<T> => persist(world, () => world.start(), step);
  const requests = Array.from({ length: REQUESTS }, (_, n) => {
    return { custom_id: `r-${n}`, params: { model: 'echo', max_tokens: 1, messages: [] } };
  });
  const { id } = await again(() => callJson<MessageBatch>(world, BATCHES, 'POST', { requests }));
  await waitFor(`the end of ${id}`, () => again(async () => (await listBatches(world)).every(hasEnded)));
  const results = await again(() => call(world, `${BATCHES}/${id}/results`));
  const ids = results
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { custom_id: string }).custom_id);
  if (ids.length !== REQUESTS || new Set(ids).size !== REQUESTS) {
    throw new Error(`${REQUESTS} requests have ${ids.length} results, of ${new Set(ids).size} of them`);
  }
  await again(async () => {
    // An earlier call without an answer may have removed it.
    if ((await listBatches(world)).some((batch) => batch.id === id))
      await call(world, `${BATCHES}/${id}`, 'DELETE');
  });
}

/** A create without an answer may have made a batch: a whole one. Nothing else is left. */
async function eachHasItsFile(world: World): Promise<void> {
  const batches = await listBatches(world);
  const { data } = await callJson<{ data: { filename: string }[] }>(world, '/files');
  const inputs = data.filter(({ filename }) => filename === 'message_batch.jsonl').length;
  if (inputs !== batches.length)
    throw new Error(`${batches.length} Message Batches have ${inputs} input files`);
}

async function listBatches(world: World): Promise<readonly MessageBatch[]> {
  return (await callJson<{ data: MessageBatch[] }>(world, BATCHES)).data;
}

function hasEnded(batch: MessageBatch): boolean {
  return batch.processing_status === 'ended';
}

async function callJson<T>(world: World, path: string, method = 'GET', body?: object): Promise<T> {
  return JSON.parse(await call(world, path, method, body)) as T;
}

async function call(world: World, path: string, method = 'GET', body?: object): Promise<string> {
  const response = await fetch(`${world.service.url}/v1${path}`, {
    method,
    headers: { 'anthropic-version': '2023-06-01' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Refused(path, response.status, text);
  return text;
}
