/** A client that brings its batch to the end however often the service dies, as a careful user's program would. */
import { randomUUID } from 'node:crypto';
import { noteCreated, Refused } from '../harness/client.ts';
import { isTerminal } from '../harness/ledger.ts';
import type { PromisedBatch, PromisedFile } from '../harness/ledger.ts';
import { makeInput } from '../harness/lines.ts';
import { waitFor } from '../harness/wait.ts';
import type { World } from '../harness/world.ts';

export interface ProgramOptions {
  readonly lines: number;
  /** How the service is started again when it has died. */
  readonly restart: () => Promise<void>;
}

/** Uploads, creates a batch with a webhook and waits for its end. A call without an answer is asked about or made again. */
export async function runProgram(world: World, options: ProgramOptions): Promise<PromisedBatch> {
  const { restart } = options;
  // Other bytes each time: the same ones would mend what an upload without an answer has left.
  const file = await persist(world, restart, () => world.client.upload(makeInput(options.lines)));
  const batch = await createOnce(world, restart, file);
  await waitFor(`the end of ${batch.id}`, () =>
    persist(world, restart, async () => isTerminal((await world.client.retrieve(batch)).status)),
  );
  return batch;
}

/** Never creates a second batch where the first create has happened without an answer. */
async function createOnce(
  world: World,
  restart: () => Promise<void>,
  file: PromisedFile,
): Promise<PromisedBatch> {
  const tag = randomUUID();
  const webhookUrl = world.receiver.url('own');
  return await persist(world, restart, async () => {
    const found = (await world.client.list()).find((batch) => batch.metadata?.['tag'] === tag);
    if (found !== undefined) return noteCreated(world.ledger, { id: found.id, file, tag, webhookUrl });
    return await world.client.create(file, { tag, webhookUrl });
  });
}

/** Makes the call until it has an answer; starts the service again where it has died. A refusal is passed on. */
export async function persist<T>(
  world: World,
  restart: () => Promise<void>,
  call: () => Promise<T>,
): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (error instanceof Refused) throw error;
      await world.died();
      await restart();
    }
  }
}
