/** A run of the service, recorded down to its writes and syncs: what it was asked, what it promised, and when. */
import { join } from 'node:path';
import type { BatchObject, Ledger } from '../harness/ledger.ts';
import { isTerminal } from '../harness/ledger.ts';
import { makeInput } from '../harness/lines.ts';
import type { ReceivedEvent } from '../harness/receiver.ts';
import type { Scope } from '../harness/scope.ts';
import { waitFor } from '../harness/wait.ts';
import { createWorld } from '../harness/world.ts';
import type { World } from '../harness/world.ts';
import { readTrace, straceCommand } from './trace.ts';
import type { Step } from './trace.ts';

const LINES = 500;

/** Something that holds from step `from` of the trace on. */
interface Since<T> {
  readonly from: number;
  readonly what: T;
}

/** A file or batch as an answer showed it. */
interface Told {
  readonly id: string;
  readonly status?: string;
  readonly deleted?: boolean;
}

export interface Recording {
  readonly world: World;
  readonly steps: readonly Step[];
  /** The folder above the data folder. */
  readonly root: string;
  /** Where in the trace something was acknowledged to a client. */
  readonly acknowledgements: readonly number[];
  /** Writes into `ledger` what clients had been told before step `at`. */
  promisedBefore(at: number, ledger: Ledger): void;
  /** The webhooks that had been sent before step `at`. */
  eventsBefore(at: number): readonly ReceivedEvent[];
}

/** Runs one batch to its end, cancels another, and removes a file, all recorded. */
export async function record(scope: Scope): Promise<Recording> {
  const root = await scope.folder();
  const traceFile = join(await scope.folder(), 'trace');
  const world = await createWorld(scope, { dataDir: join(root, 'data') });
  world.upstream.latencyMs = 5;
  await world.start({ wrapper: straceCommand(traceFile) });
  await runClients(world);
  // Everything that was begun is on record once the process has ended.
  await world.stop();
  return createRecording(world, await readTrace(traceFile, root), root);
}

async function runClients(world: World): Promise<void> {
  const { client, receiver } = world;
  const webhookUrl = receiver.url('own');
  const first = await client.upload(makeInput(LINES));
  const batch = await client.create(first, { webhookUrl });
  const removed = await client.upload(makeInput(3));
  const second = await client.upload(makeInput(LINES));
  const cancelled = await client.create(second, { webhookUrl });
  await client.deleteFile(removed);
  await waitFor(
    'the second batch runs',
    async () => (await client.retrieve(cancelled)).request_counts.completed > 50,
  );
  await client.cancel(cancelled);
  await world.settle();
  const ends = (): number => receiver.events.filter((event) => event.path === '/own').length;
  await waitFor('both webhooks have arrived', () => ends() >= 2);
  await client.retrieve(batch);
}

function createRecording(world: World, steps: readonly Step[], root: string): Recording {
  const answers: Since<Told>[] = [];
  const webhooks: Since<string>[] = [];
  for (const [from, step] of steps.entries()) {
    if (step.kind !== 'sent') continue;
    if (step.text.startsWith('HTTP/1.1 200'))
      answers.push(...objectsIn(step.text).map((what) => ({ from, what })));
    else if (step.text.includes('evt_')) webhooks.push({ from, what: step.text });
  }
  /** `what` from the first answer on that told so. */
  function since<T extends { readonly id: string }>(what: T, matches: (told: Told) => boolean): Since<T> {
    const answer = answers.find(({ what: told }) => told.id === what.id && matches(told));
    if (answer === undefined) throw new Error(`the trace lacks what the client was told of ${what.id}`);
    return { from: answer.from, what };
  }

  const { ledger } = world;
  // A file that is being removed may be there or not: nothing is known of it until its removal was answered.
  const files = ledger.files.map((file) => since(file, (told) => (told.deleted ?? false) === file.isDeleted));
  const batches = ledger.batches.map((batch) => since(batch, () => true));
  const cancels = ledger.batches
    .filter((batch) => batch.isCancelled)
    .map((batch) => since(batch, (told) => told.status?.startsWith('cancel') ?? false));
  const ends = ledger.batches.map((batch) => since(batch, (told) => isTerminal(told.status ?? '')));

  return {
    world,
    steps,
    root,
    acknowledgements: [...files, ...batches, ...cancels, ...ends]
      .map(({ from }) => from)
      .toSorted((a, b) => a - b),
    promisedBefore(at, ledger) {
      const before = <T>(all: readonly Since<T>[]): T[] =>
        all.filter(({ from }) => from < at).map(({ what }) => what);
      for (const file of before(files)) ledger.files.push({ ...file });
      const cancelled = new Set(before(cancels));
      const ended = new Set(before(ends));
      for (const batch of before(batches)) {
        ledger.batches.push({
          ...batch,
          isCancelled: cancelled.has(batch),
          ended: ended.has(batch) ? (batch.ended as BatchObject) : null,
          contradictions: [],
        });
      }
    },
    eventsBefore: (at) =>
      world.receiver.events.filter((event) =>
        webhooks.some(({ from, what }) => from < at && what.includes(event.id)),
      ),
  };
}

/** What an answer holds: one object, or those of a list; none where it is no JSON. */
function objectsIn(answer: string): Told[] {
  try {
    const body = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))) as Told & {
      readonly data?: readonly Told[];
    };
    return [...(body.data ?? [body])];
  } catch {
    return [];
  }
}
