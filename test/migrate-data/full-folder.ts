/** A data folder with a bit of everything, as a service leaves it that was killed. */
import { createDiskBlobStore, createDiskResultLog, openDataFolder } from '../../src/adapters/disk/index.ts';
import { openSqliteStore } from '../../src/adapters/sqlite/index.ts';
import { expect, vi } from 'vitest';
import { isTerminal } from '../../src/engine/index.ts';
import type { Batch, Engine, EngineParts, WebhookSender } from '../../src/engine/index.ts';
import { createWorker } from '../../src/worker/index.ts';
import { answer, createScriptedUpstream } from '../helpers/scripted-upstream.ts';
import { bytesOf, createTestEngine, inputLine, OWNER, submit } from '../helpers/test-engine.ts';

/** Of the running batch. */
export const RUNNING_LINES = 700;
const ANSWERED_LINES = 300;

export interface FullFolder {
  readonly path: string;
  /** What clients saw before the move. */
  readonly seen: Seen;
  readonly running: string;
  /** The custom_ids of the running batch that have their results. */
  readonly finished: ReadonlySet<string>;
  /** The batch that waits for its preparation. */
  readonly waiting: string;
  /** An upload with parts that is still to be completed. */
  readonly upload: { readonly id: string; readonly partIds: readonly string[]; readonly text: string };
  readonly secret: string;
}

/** What the API answers. */
export interface Seen {
  readonly [what: string]: unknown;
}

/** One receiver takes everything, one nothing. */
const webhooks: WebhookSender = {
  check: () => null,
  send: async ({ url }) => ({
    kind: 'answered',
    status: url.includes('down') ? 503 : 200,
    retryAfter: null,
    body: 'thank you\0',
  }),
  close: async () => {},
};

/** An engine over `parts` as the tests of the move use it. */
export function engineOver(
  storage: Pick<EngineParts, 'store' | 'blobs' | 'results'>,
  upstream: EngineParts['upstream'],
): Engine {
  return createTestEngine({
    storage,
    upstream,
    webhooks,
    settings: { webhookUrls: ['https://down.example/all'], webhookSigningSecret: 'whsec_0123456789abcdef' },
  });
}

/** Makes the folder at `path`. */
export async function makeFullFolder(path: string): Promise<FullFolder> {
  const folder = await openDataFolder({ path });
  const store = openSqliteStore({ path: folder.databasePath });
  const blobs = await createDiskBlobStore({ folder });
  const results = await createDiskResultLog({ folder });
  let answered = 0;
  const upstream = createScriptedUpstream(({ model, body }) => {
    if (model.startsWith('slow') && ++answered > ANSWERED_LINES) return 'hold';
    return body.includes('bad') ? answer({ error: 'no' }, 400) : answer({ said: body, usage: USAGE });
  });
  const engine = engineOver({ store, blobs, results }, upstream);
  const worker = createWorker({ engine, maxConcurrency: 32 });
  await worker.start();
  const { secret } = await makeOwners(engine);
  await makeEndedBatches(engine);
  const upload = await makeUploads(engine);
  const running = await submit(
    engine,
    Array.from({ length: RUNNING_LINES }, (_, i) =>
      inputLine(`run-${i + 1}`, { model: i % 3 === 0 ? 'slow-a' : 'slow-b' }),
    ),
    { metadata: { 'a\0b': '\uE000' }, priority: 3 },
  );
  await until(async () => (await engine.batches.get(OWNER, running.id)).counts.completed === ANSWERED_LINES);
  await worker.stop();
  const waiting = await submit(engine, [inputLine('waits')]);
  // What a killed worker holds.
  const now = Date.now();
  await store.renewLease('dead');
  const [held] = await store.claimChunks({
    worker: 'dead',
    now,
    limit: 1,
    perModel: 9,
    held: [],
    oneEachExcept: null,
    above: new Map(),
  });
  if (held === undefined) throw new Error('nothing is left to claim');
  expect(await store.markTrying({ ...held.chunk, chunkNumber: held.chunk.number }, 200)).toBe('ok');
  expect(await store.claimBatchStep('dead', now)).not.toBeNull();
  await store.claimDeliveries('dead', now + 3_600_000, 1);
  const seen = await look(engine);
  const finished = new Set<string>();
  for await (const { customId } of engine.batches.lines(OWNER, running.id)) finished.add(customId);
  await results.close();
  await store.close();
  await folder.close();
  return { path, seen, running: running.id, finished, waiting: waiting.id, upload, secret };
}

const USAGE = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };

async function makeOwners(engine: Engine): Promise<{ readonly secret: string }> {
  await engine.owners.change('team', { weight: 3, maxLiveBatches: 50, requestsPerMinute: 100 });
  const { key, secret } = await engine.keys.create({
    name: 'lap\0top',
    owner: OWNER,
    models: ['m', 'slow-a'],
    requestsPerMinute: 7,
  });
  await engine.keys.rotate({ id: key.id, keepOldSeconds: 3600 });
  const revoked = await engine.keys.create({ name: 'gone', owner: 'team' });
  await engine.keys.revoke(revoked.key.id);
  const endpoint = { owner: OWNER, name: 'mine', eventTypes: ['batch.completed', 'batch.failed'] };
  await engine.webhookEndpoints.create({ ...endpoint, url: 'https://up.example/hook' });
  await engine.webhookEndpoints.create({ ...endpoint, url: 'https://down.example/hook' });
  return { secret };
}

async function makeEndedBatches(engine: Engine): Promise<void> {
  const mixed = ['a', 'bad', 'c'].map((id) => inputLine(id));
  const completed = await ended(
    engine,
    await submit(engine, mixed, { webhookUrl: 'https://up.example/one' }),
  );
  await ended(engine, (await engine.batches.retry({ owner: OWNER, batchId: completed.id })).batch);
  // Equal bytes: on disk one blob.
  await ended(engine, await submit(engine, mixed));
  await ended(engine, await submit(engine, ['{"no":"line"}']));
  await ended(engine, await submit(engine, [inputLine('other')], { owner: 'team' }), 'team');
  const cancelled = await submit(
    engine,
    Array.from({ length: 30 }, (_, i) => inputLine(`c${i}`)),
  );
  await engine.batches.cancel(OWNER, cancelled.id);
  await ended(engine, cancelled);
  const request = {
    owner: OWNER,
    inputFileId: cancelled.inputFileId,
    endpoint: cancelled.endpoint,
    completionWindow: '24h',
  };
  const { batch } = await engine.batches.createOnce(request, { key: 'once', fingerprint: 'f' });
  await ended(engine, batch);
  const message = inputLine('msg').replace('/v1/chat/completions', '/v1/messages');
  const received = await engine.files.receive(bytesOf(`${message}\n`));
  await ended(
    engine,
    await engine.batches.createOver(received, {
      owner: OWNER,
      filename: 'messages.jsonl',
      endpoint: '/v1/messages',
      completionWindow: '24h',
      format: 'anthropic',
    }),
  );
}

async function ended(engine: Engine, { id }: Batch, owner = OWNER): Promise<Batch> {
  await until(async () => isTerminal((await engine.batches.get(owner, id)).status));
  return await engine.batches.get(owner, id);
}

async function makeUploads(engine: Engine): Promise<FullFolder['upload']> {
  const begin = async (bytes: number) =>
    await engine.uploads.create({ owner: OWNER, filename: 'big\0file', purpose: 'user_data', bytes });
  const add = async (id: string, text: string) =>
    await (await engine.uploads.receivePart({ owner: OWNER, id }, bytesOf(text))).store();
  const whole = await begin(6);
  const parts = [await add(whole.id, 'abc'), await add(whole.id, 'def')];
  await engine.uploads.complete({ owner: OWNER, id: whole.id, partIds: parts.map(({ id }) => id) });
  const gone = await begin(3);
  await add(gone.id, 'xyz');
  await engine.uploads.cancel(OWNER, gone.id);
  const pending = await begin(9);
  const pendingParts = [
    await add(pending.id, 'one'),
    await add(pending.id, 'one'),
    await add(pending.id, 'two'),
  ];
  return { id: pending.id, partIds: pendingParts.map(({ id }) => id), text: 'oneonetwo' };
}

/** Everything that the API shows. */
export async function look(engine: Engine): Promise<Seen> {
  const seen: Record<string, unknown> = {};
  for (const owner of [OWNER, 'team']) {
    const files = await engine.files.list({ owner, order: 'asc', limit: 1000 });
    seen[`files of ${owner}`] = files.data.map(({ blob, ...file }) => ({ ...file, bytes: blob.bytes }));
    for (const file of files.data) {
      seen[file.id] = Buffer.concat(await Array.fromAsync(engine.files.read(file))).toString();
    }
    for (const format of ['openai', 'anthropic'] as const) {
      seen[`${format} batches of ${owner}`] = (await engine.batches.list({ owner, limit: 100, format })).data;
    }
    const endpoints = await engine.webhookEndpoints.list({ owner, limit: 100 });
    seen[`endpoints of ${owner}`] = endpoints.data;
    for (const { id } of endpoints.data) {
      seen[`deliveries of ${id}`] = (
        await engine.webhookEndpoints.listDeliveries({ owner, endpointId: id, limit: 100 })
      ).data;
    }
  }
  for (const batch of seen[`openai batches of ${OWNER}`] as Batch[]) {
    const lines = await engine.batches.openLines({ owner: OWNER, id: batch.id });
    seen[`lines of ${batch.id}`] = [lines.next, Buffer.concat(await Array.fromAsync(lines.bytes)).toString()];
    await lines.close();
  }
  seen['keys'] = (await engine.keys.list({ limit: 100 })).data;
  seen['owners'] = (await engine.owners.list({ limit: 100 })).data;
  return seen;
}

/** As `expect.poll`, which hooks may not call. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  await vi.waitFor(async () => expect(await holds()).toBe(true), { timeout: 10_000, interval: 20 });
}
