/** What may happen to an ended batch, at the same time. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createBody, noteCreated } from '../harness/client.ts';
import type { Fault } from '../harness/fault.ts';
import type { BatchObject, PromisedBatch } from '../harness/ledger.ts';
import { makeInput } from '../harness/lines.ts';
import type { Random } from '../harness/random.ts';
import type { World } from '../harness/world.ts';
import { answerOf, atOnce, counting, endOf, onOneService, statusesOf } from './shared.ts';
import type { Answer } from './shared.ts';

const APART_MS = 6;
/** About as long as a batch of a few lines lives, milliseconds. */
const LIFE_MS = 120;
const LINES = 4;

/** Answers how it went. */
type Race = (world: World, random: Random) => Promise<string>;

export const removedBatches: Fault = {
  family: 'races',
  name: 'deletes of a batch against each other, its retry, cancel and results, and of its files against its retry',
  async run(trials) {
    const { quick, random } = trials;
    const races: Readonly<Record<string, Race>> = {
      'deletes and a retry': deleteAgainstRetry,
      'a delete and a cancel': deleteAgainstCancel,
      'a delete and its results': deleteAgainstResults,
      'deletes of its files and a retry': filesAgainstRetry,
    };
    const ends: Record<string, number> = {};
    // Lines fail the first time, and are sent again by a retry.
    const repeated = { retriesALine: 1 };
    await onOneService(
      trials,
      async (world) => {
        world.upstream.script = ({ attempt, json }) =>
          attempt === 1 && json['model'] === 'fails' ? { status: 400, body: { error: 'no' } } : null;
        await trials.each(counting(quick ? 2 : 40), async (n) => {
          for (const [what, race] of Object.entries(races)) {
            await trials.attempt(`${what} ${n}`, async () => {
              const end = await race(world, random);
              ends[end] = (ends[end] ?? 0) + 1;
            });
          }
        });
      },
      repeated,
    );
    for (const [end, count] of Object.entries(ends)) trials.note(`${count} ${end}`);
  },
};

/** An ended batch all of whose lines have failed, or none. */
async function endedBatch(world: World, model: 'fails' | 'works'): Promise<PromisedBatch> {
  const file = await world.client.upload(makeInput(LINES, { modelOf: () => model }));
  const batch = await world.client.create(file);
  assert.equal((await endOf(world, batch)).status, 'completed');
  return batch;
}

async function remove({ client }: World, batch: PromisedBatch): Promise<string> {
  await client.deleteBatch(batch);
  return '';
}

/** Retries a batch whose lines all have failed, and enters what is created. */
async function retry({ client, ledger }: World, batch: PromisedBatch): Promise<Answer> {
  const answer = await answerOf(client.call('a retry', `/batches/${batch.id}/retry`, { method: 'POST' }));
  if (answer.status !== 200) return answer;
  const { id, input_file_id } = JSON.parse(answer.body) as BatchObject;
  const file = { id: input_file_id, input: batch.file.input, isDeleted: false };
  ledger.files.push(file);
  noteCreated(ledger, { id, file, tag: batch.tag });
  return answer;
}

/** The retry's batch, where there is one, lives on its own: it needs nothing of the old one. */
async function endOfRetry(world: World, { status, body }: Answer): Promise<string> {
  if (status !== 200) return 'not retried';
  const { id } = JSON.parse(body) as BatchObject;
  const batch = world.ledger.batches.find((promised) => promised.id === id) as PromisedBatch;
  const end = await endOf(world, batch);
  assert.deepEqual([end.status, end.request_counts.completed], ['completed', LINES]);
  return 'retried';
}

const deleteAgainstRetry: Race = async (world, random) => {
  const batch = await endedBatch(world, 'fails');
  const [first, second, retried] = (await atOnce(random, APART_MS, [
    () => answerOf(remove(world, batch)),
    () => answerOf(remove(world, batch)),
    () => retry(world, batch),
  ])) as [Answer, Answer, Answer];
  assert.deepEqual(statusesOf(first, second), [200, 404]);
  assert.ok(retried.status === 200 || retried.status === 404, retried.body);
  return await endOfRetry(world, retried);
};

/** A batch is removed only once it has ended; what a cancel was answered is how it ended. */
const deleteAgainstCancel: Race = async (world, random) => {
  const { client } = world;
  const batch = await client.create(await client.upload(makeInput(LINES)));
  const [removed, cancelled] = (await atOnce(random, LIFE_MS, [
    () => answerOf(remove(world, batch)),
    () => answerOf(client.cancel(batch)),
  ])) as [Answer, Answer];
  if (removed.status === 200) {
    assert.ok([200, 404, 409].includes(cancelled.status), cancelled.body);
    return 'removed at their end';
  }
  assert.equal(removed.status, 409, removed.body);
  const { status } = await endOf(world, batch);
  assert.equal(status, cancelled.status === 200 ? 'cancelled' : 'completed', cancelled.body);
  return 'not removed before it';
};

/** Results that have begun come whole, and else not at all. */
const deleteAgainstResults: Race = async (world, random) => {
  const { client } = world;
  const batch = await endedBatch(world, 'works');
  const { output_file_id } = await client.retrieve(batch);
  const output = await client.content(output_file_id as string);
  const path = `/batches/${batch.id}/results`;
  const read = (): Promise<Answer> => answerOf(client.call('results', path));
  const [removed, ...results] = await atOnce(random, APART_MS, [
    () => answerOf(remove(world, batch)),
    read,
    read,
    read,
  ]);
  assert.equal(removed?.status, 200, removed?.body);
  for (const { status, body } of results) {
    if (status === 200) assert.equal(body, output);
    else assert.equal(status, 404, body);
  }
  assert.equal((await read()).status, 404);
  assert.equal(await client.content(output_file_id as string), output, 'the files of a batch outlive it');
  return results.some(({ status }) => status === 200) ? 'read in time' : 'not read in time';
};

const filesAgainstRetry: Race = async (world, random) => {
  const { client } = world;
  const batch = await endedBatch(world, 'fails');
  const { error_file_id } = await client.retrieve(batch);
  const errors = { id: error_file_id as string, input: batch.file.input, isDeleted: false };
  const file = random.pick([batch.file, errors]);
  const [removed, retried] = (await atOnce(random, APART_MS, [
    () => answerOf(client.deleteFile(file).then(() => '')),
    () => retry(world, batch),
  ])) as [Answer, Answer];
  assert.equal(removed.status, 200, removed.body);
  if (retried.status !== 200) {
    assert.equal(retried.status, 404, retried.body);
    assert.match(retried.body, /was deleted or has expired, so its failed lines cannot be retried/);
  }
  // Its results cannot be looked at any more.
  if (file === errors) await client.deleteBatch(batch);
  return await endOfRetry(world, retried);
};

/** Creates at a time under one key. */
const CREATES = 4;
/** Two tries run at a time, and the service makes four retries at a time. */
const RETRIES = 2;

export const sameIdempotencyKey: Fault = {
  family: 'races',
  name: `${CREATES} creates or ${RETRIES} retries at once under one Idempotency-Key: one batch, and the others are told of it`,
  async run(trials) {
    const { quick, random } = trials;
    await onOneService(
      trials,
      async (world) => {
        world.upstream.script = ({ attempt, json }) =>
          attempt === 1 && json['model'] === 'fails' ? { status: 400, body: { error: 'no' } } : null;
        await trials.each(counting(quick ? 2 : 60), async (n) => {
          await trials.attempt(`creates ${n}`, () => createUnderOneKey(world, random));
          await trials.attempt(`retries ${n}`, () => retryUnderOneKey(world, random));
        });
      },
      { retriesALine: 1 },
    );
  },
};

/** The one id that all answers with 200 have. */
function oneIdOf(answers: readonly Answer[]): BatchObject {
  const batches = answers.map(({ status, body }) => {
    assert.equal(status, 200, body);
    return JSON.parse(body) as BatchObject;
  });
  assert.equal(new Set(batches.map(({ id }) => id)).size, 1);
  return batches[0] as BatchObject;
}

/** One of them asks for something else: it is the one that is refused, or all others are. */
async function createUnderOneKey(world: World, random: Random): Promise<void> {
  const { client, ledger } = world;
  const file = await client.upload(makeInput(LINES));
  const [key, tag, otherTag] = [randomUUID(), randomUUID(), randomUUID()];
  const create = (named: string) => (): Promise<Answer> =>
    answerOf(
      client.call('a create', '/batches', {
        headers: { 'idempotency-key': key },
        body: createBody(file, { tag: named }),
      }),
    );
  const answers = await atOnce(random, APART_MS, [
    create(otherTag),
    ...counting(CREATES).map(() => create(tag)),
  ]);
  const accepted = answers.filter(({ status }) => status === 200);
  for (const { status, body } of answers.filter((answer) => !accepted.includes(answer))) {
    assert.equal(status, 409, body);
  }
  assert.ok([1, CREATES].includes(accepted.length), `${accepted.length} creates are accepted`);
  const { id, metadata } = oneIdOf(accepted);
  const created = metadata?.['tag'] as string;
  assert.equal(created, accepted.length === 1 ? otherTag : tag);
  ledger.refusedTags.push(created === tag ? otherTag : tag);
  await endOf(world, noteCreated(ledger, { id, file, tag: created }));
  const same = (await client.list()).filter((batch) => batch.metadata?.['tag'] === created);
  assert.deepEqual(
    same.map((batch) => batch.id),
    [id],
  );
}

async function retryUnderOneKey(world: World, random: Random): Promise<void> {
  const { client, ledger } = world;
  const batch = await endedBatch(world, 'fails');
  const headers = { 'idempotency-key': randomUUID() };
  const call = (): Promise<Answer> =>
    answerOf(client.call('a retry', `/batches/${batch.id}/retry`, { method: 'POST', headers }));
  const { id, input_file_id } = oneIdOf(
    await atOnce(
      random,
      APART_MS,
      counting(RETRIES).map(() => call),
    ),
  );
  const file = { id: input_file_id, input: batch.file.input, isDeleted: false };
  ledger.files.push(file);
  await endOf(world, noteCreated(ledger, { id, file, tag: batch.tag }));
  const same = (await client.list()).filter((one) => one.metadata?.['retry_of'] === batch.id);
  assert.equal(same.length, 1);
}
