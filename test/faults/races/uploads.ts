/** Calls on one upload in parts that come at the same time. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from '../harness/fault.ts';
import { makeInput } from '../harness/lines.ts';
import type { Input } from '../harness/lines.ts';
import type { Random } from '../harness/random.ts';
import { addPart, beginUpload, cancelUpload, completeUpload, piecesOf } from '../harness/uploads.ts';
import type { World } from '../harness/world.ts';
import { answerOf, atOnce, counting, onOneService, statusesOf } from './shared.ts';
import type { Answer } from './shared.ts';

/** Calls come this far apart at the most, milliseconds. */
const APART_MS = 6;
/** About as long as a small upload takes to be completed, milliseconds. */
const JOIN_MS = 20;

export const uploadsAgainstThemselves: Fault = {
  family: 'races',
  name: 'completes of an upload against each other, against a cancel and against parts: one end, one file',
  async run(trials) {
    const { quick, random } = trials;
    const ends: Record<string, number> = { completed: 0, cancelled: 0 };
    await onOneService(trials, async (world) => {
      await trials.each(counting(quick ? 2 : 60), async (n) => {
        await trials.attempt(`completes ${n}`, () => completes(world, random));
        await trials.attempt(`a cancel ${n}`, async () => {
          const end = await completeAgainstCancel(world, random);
          ends[end] = (ends[end] ?? 0) + 1;
        });
        await trials.attempt(`parts ${n}`, () => completeAgainstParts(world, random));
        await trials.attempt(`parts and a cancel ${n}`, () => cancelAgainstParts(world, random));
      });
    });
    for (const [end, count] of Object.entries(ends)) trials.note(`${count} ${end}`);
  },
};

interface Whole {
  readonly id: string;
  readonly input: Input;
  readonly partIds: readonly string[];
}

/** An upload with all its parts. */
async function uploadParts({ client }: World, random: Random): Promise<Whole> {
  const input = makeInput(random.pick([3, 400]));
  const id = await beginUpload(client, input);
  const pieces = piecesOf(input, random.between(1, 4));
  return { id, input, partIds: await Promise.all(pieces.map((bytes) => addPart(client, id, bytes))) };
}

/** Enters the file where the answer is one. */
async function complete({ client, ledger }: World, upload: Whole): Promise<Answer> {
  const answer = await answerOf(completeUpload(client, upload.id, upload));
  if (answer.status === 200) ledger.files.push({ id: answer.body, input: upload.input, isDeleted: false });
  return answer;
}

async function completes(world: World, random: Random): Promise<void> {
  const upload = await uploadParts(world, random);
  const calls = counting(3).map(() => () => complete(world, upload));
  const answers = await atOnce(random, APART_MS, calls);
  const [made, ...more] = answers.filter(({ status }) => status === 200);
  assert.ok(made !== undefined && more.length === 0, JSON.stringify(answers));
  for (const { status, body } of answers.filter((answer) => answer !== made)) {
    assert.equal(status, 400, body);
    assert.ok(body.includes(`with status 'completed'. Its file is '${made.body}'`), body);
  }
}

async function completeAgainstCancel(world: World, random: Random): Promise<string> {
  const upload = await uploadParts(world, random);
  const [completed, cancelled] = (await atOnce(random, APART_MS, [
    () => complete(world, upload),
    async () => {
      // Joining the parts takes a while.
      await sleep(random.between(0, JOIN_MS));
      return await answerOf(cancel(world, upload.id));
    },
  ])) as [Answer, Answer];
  const end = completed.status === 200 ? 'completed' : 'cancelled';
  const refused = end === 'completed' ? cancelled : completed;
  assert.deepEqual(statusesOf(completed, cancelled), [200, 400], JSON.stringify([completed, cancelled]));
  assert.ok(refused.body.includes(`with status '${end}'`), refused.body);
  return end;
}

async function cancel({ client }: World, uploadId: string): Promise<string> {
  await cancelUpload(client, uploadId);
  return '';
}

/** A part that is sent again, and one that was never announced: neither changes the file. */
async function completeAgainstParts(world: World, random: Random): Promise<void> {
  const { client } = world;
  const upload = await uploadParts(world, random);
  const [again] = piecesOf(upload.input, upload.partIds.length);
  const [completed, ...parts] = await atOnce(random, APART_MS, [
    () => complete(world, upload),
    () => answerOf(addPart(client, upload.id, again as Uint8Array<ArrayBuffer>)),
    () => answerOf(addPart(client, upload.id, Buffer.from('of another file'))),
  ]);
  assert.equal(completed?.status, 200, completed?.body);
  const ended = /with status 'completed'/;
  assert.ok(parts[0]?.status === 200 || ended.test(parts[0]?.body ?? ''), parts[0]?.body);
  assert.match(parts[1]?.body ?? '', /with status 'completed'|with this part the upload would have/);
}

async function cancelAgainstParts(world: World, random: Random): Promise<void> {
  const { client } = world;
  const input = makeInput(20);
  const id = await beginUpload(client, input);
  const [cancelled, ...parts] = await atOnce(random, APART_MS, [
    () => answerOf(cancel(world, id)),
    ...piecesOf(input, 4).map((bytes) => () => answerOf(addPart(client, id, bytes))),
  ]);
  assert.equal(cancelled?.status, 200, cancelled?.body);
  for (const { status, body } of parts) {
    assert.ok(status === 200 || (status === 400 && body.includes("with status 'cancelled'")), body);
  }
}
