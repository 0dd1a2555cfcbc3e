/** Files that are deleted while something else needs them. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { Refused } from '../harness/client.ts';
import type { Fault } from '../harness/fault.ts';
import type { BatchObject, PromisedFile } from '../harness/ledger.ts';
import { makeInput } from '../harness/lines.ts';
import type { Random } from '../harness/random.ts';
import type { World } from '../harness/world.ts';
import { counting, endOf, onOneService } from './shared.ts';

export const deletedFiles: Fault = {
  family: 'races',
  name: 'deletes of a file against a create that names it, an upload of the same bytes and a download',
  async run(trials) {
    const { random } = trials;
    const ends: Record<string, number> = { completed: 0, failed: 0 };
    await onOneService(trials, async (world) => {
      const times = trials.quick ? 4 : 60;
      await trials.each(counting(times), async (n) => {
        await trials.attempt(`against create ${n}`, async () => {
          const status = await deleteAgainstCreate(world, random);
          ends[status] = (ends[status] ?? 0) + 1;
        });
        await trials.attempt(`against uploads of the same bytes ${n}`, () =>
          deleteAgainstUploads(world, random),
        );
      });
      await trials.each(counting(trials.quick ? 1 : 10), async (n) => {
        await trials.attempt(`against a download ${n}`, () => deleteAgainstDownload(world));
      });
    });
    for (const [end, count] of Object.entries(ends)) trials.note(`${count} ${end}`);
  },
};

/** Either the delete is refused and the batch runs, or the file is gone and the batch fails at once for that reason. */
async function deleteAgainstCreate(world: World, random: Random): Promise<string> {
  const { client } = world;
  const file = await client.upload(makeInput(3));
  const [first, second] = [random.between(0, 2), random.between(0, 6)];
  const deleting = sleep(second).then(() => deleteFile(world, file));
  const batch = await sleep(first).then(() => client.create(file));
  const answer = await deleting;
  const end = (await endOf(world, batch)) as BatchObject & { readonly errors: unknown };
  if (end.status === 'failed') {
    assert.equal(answer, 200, 'the batch failed although the delete of its file was refused');
    assert.match(JSON.stringify(end.errors), /Cannot find file/);
    assert.equal(end.in_progress_at, null);
  } else {
    assert.equal(end.status, 'completed');
    // After the end of the batch its file may go.
    if (answer === 409) assert.equal(await client.content(file.id), file.input.text);
  }
  return end.status;
}

async function deleteFile({ client }: World, file: PromisedFile): Promise<number> {
  try {
    await client.deleteFile(file);
    return 200;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    assert.equal(error.status, 409, error.message);
    return error.status;
  }
}

/** Files with the same bytes share them: each delete leaves those that were acknowledged and not deleted readable. */
async function deleteAgainstUploads(world: World, random: Random): Promise<void> {
  const { client } = world;
  const input = makeInput(random.pick([2, 2000]));
  const files = await Promise.all(
    counting(4).map(async (n) => {
      await sleep(random.between(0, 10));
      const file = await client.upload(input);
      if (n > 1) {
        await sleep(random.between(0, 3));
        await client.deleteFile(file);
      }
      return file;
    }),
  );
  for (const file of files) {
    assert.equal(await client.content(file.id), file.isDeleted ? null : input.text, 'the bytes of a file');
  }
}

/** A download that has begun brings the whole file or breaks off, but never ends early as if that were all. */
async function deleteAgainstDownload(world: World): Promise<void> {
  const { client, service } = world;
  const file = await client.upload(makeInput(6, { bytes: 1024 * 1024 }));
  const response = await fetch(`${service.url}/v1/files/${file.id}/content`);
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const parts = [(await reader.read()).value ?? new Uint8Array()];
  await client.deleteFile(file);
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) parts.push(next.value);
  } catch {
    return;
  }
  assert.equal(Buffer.concat(parts).toString(), file.input.text, 'what was downloaded');
  assert.equal(await client.content(file.id), null);
}
