/** A run of the service, recorded down to its writes and syncs: what it was asked, what it promised, and when. */
import { join } from 'node:path';
import type { BatchObject, Ledger } from '../harness/ledger.ts';
import { isTerminal } from '../harness/ledger.ts';
import { makeInput } from '../harness/lines.ts';
import type { ReceivedEvent } from '../harness/receiver.ts';
import type { Scope } from '../harness/scope.ts';
import type { ServiceOptions } from '../harness/service-process.ts';
import { waitFor } from '../harness/wait.ts';
import { createWorld } from '../harness/world.ts';
import type { World } from '../harness/world.ts';
import { readTrace, straceCommand } from './trace.ts';
import type { Step } from './trace.ts';
import { runUploads } from './uploads.ts';
import type { PromisedUpload } from './uploads.ts';

const LINES = 500;

const CLOCK_AHEAD = new URL('clock-ahead.ts', import.meta.url);
/** An hour, after which uploads expire, the time for which their parts are kept, and some. */
const AHEAD_MS = 2 * 3_600_000;

/** Something that holds from step `from` of the trace on. */
interface Since<T> {
  readonly from: number;
  readonly what: T;
}

/** A file, a batch, an upload or a part of one as an answer showed it. */
interface Told {
  readonly id: string;
  readonly status?: string;
  readonly deleted?: boolean;
}

/** Where in the trace something was acknowledged to a client. */
export interface Acknowledgement {
  readonly at: number;
  /** What was, such as `a cancel`. */
  readonly what: string;
}

export interface Recording {
  readonly world: World;
  readonly steps: readonly Step[];
  /** The folder above the data folder. */
  readonly root: string;
  /** In their order. */
  readonly acknowledgements: readonly Acknowledgement[];
  /** Writes into `ledger` what clients had been told before step `at`. */
  promisedBefore(at: number, ledger: Ledger): void;
  /** The uploads in parts as clients knew them before step `at`. */
  uploadsBefore(at: number): readonly PromisedUpload[];
  /** The webhooks that had been sent before step `at`. */
  eventsBefore(at: number): readonly ReceivedEvent[];
}

/**
 * Runs one batch to its end, cancels another, removes a file, and uploads files in parts, one of which expires in a second
 * process whose clock is ahead: all recorded.
 */
export async function record(scope: Scope): Promise<Recording> {
  const root = await scope.folder();
  const traces = await scope.folder();
  const world = await createWorld(scope, { dataDir: join(root, 'data') });
  world.upstream.latencyMs = 5;
  const startTraced = (name: string, options: Partial<ServiceOptions> = {}): Promise<void> =>
    world.start({ ...options, wrapper: straceCommand(join(traces, name)) });
  await startTraced('first');
  const uploads = await runUploads(world);
  await runClients(world);
  // Everything that was begun is on record once the process has ended.
  await world.stop();
  await startTraced('second', { preload: [CLOCK_AHEAD], env: { FAULT_CLOCK_AHEAD_MS: String(AHEAD_MS) } });
  await waitFor('an upload has expired', () =>
    /"msg":"expired uploads removed"/.test(world.service.output()),
  );
  await world.stop();
  const steps = [
    ...(await readTrace(join(traces, 'first'), root)),
    ...(await readTrace(join(traces, 'second'), root)),
  ];
  return createRecording(world, { steps, root, uploads });
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

interface Recorded {
  readonly steps: readonly Step[];
  readonly root: string;
  readonly uploads: readonly PromisedUpload[];
}

function createRecording(world: World, { steps, root, uploads }: Recorded): Recording {
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
  const begun = uploads.map((upload) => since(upload, () => true));
  const parts = uploads
    .flatMap(({ partIds }) => partIds.flatMap((id) => (id === null ? [] : [{ id }])))
    .map((part) => since(part, () => true));
  const uploadEnds = uploads
    .filter((upload) => upload.hasEnded)
    .map((upload) => since(upload, (told) => told.status === upload.fate));

  return {
    world,
    steps,
    root,
    acknowledgements: Object.entries({
      'a file': files.filter(({ what }) => !what.isDeleted),
      'a removal': files.filter(({ what }) => what.isDeleted),
      'a batch': batches,
      'a cancel': cancels,
      'an end': ends,
      'a part': parts,
      'an upload completed': uploadEnds.filter(({ what }) => what.fate === 'completed'),
      'an upload cancelled': uploadEnds.filter(({ what }) => what.fate === 'cancelled'),
    })
      .flatMap(([what, all]) => all.map(({ from }) => ({ what, at: from })))
      .toSorted((a, b) => a.at - b.at),
    promisedBefore(at, ledger) {
      for (const file of before(files, at)) ledger.files.push({ ...file });
      const cancelled = new Set(before(cancels, at));
      const ended = new Set(before(ends, at));
      for (const batch of before(batches, at)) {
        ledger.batches.push({
          ...batch,
          isCancelled: cancelled.has(batch),
          ended: ended.has(batch) ? (batch.ended as BatchObject) : null,
          contradictions: [],
        });
      }
    },
    uploadsBefore(at) {
      const known = new Set(before(parts, at).map(({ id }) => id));
      const ended = new Set(before(uploadEnds, at));
      return before(begun, at).map((upload) => ({
        ...upload,
        partIds: upload.partIds.map((id) => (id !== null && known.has(id) ? id : null)),
        hasEnded: ended.has(upload),
      }));
    },
    eventsBefore: (at) =>
      world.receiver.events.filter((event) =>
        webhooks.some(({ from, what }) => from < at && what.includes(event.id)),
      ),
  };
}

/** What was known before step `at`. */
function before<T>(all: readonly Since<T>[], at: number): T[] {
  return all.filter(({ from }) => from < at).map(({ what }) => what);
}

/** What an answer holds: one object, with the file of an upload, or those of a list; none where it is no JSON. */
function objectsIn(answer: string): Told[] {
  try {
    const body = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))) as Told & {
      readonly data?: readonly Told[];
      readonly file?: Told | null;
    };
    const file = body.file ?? null;
    return [...(body.data ?? [body]), ...(file === null ? [] : [file])];
  } catch {
    return [];
  }
}
