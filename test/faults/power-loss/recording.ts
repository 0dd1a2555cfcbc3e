/** A run of the service, recorded down to its writes and syncs: what it was asked, what it promised, and when. */
import { join } from 'node:path';
import type { BatchObject, Ledger } from '../harness/ledger.ts';
import { makeInput } from '../harness/lines.ts';
import type { ReceivedEvent } from '../harness/receiver.ts';
import type { Scope } from '../harness/scope.ts';
import type { ServiceOptions } from '../harness/service-process.ts';
import { waitFor } from '../harness/wait.ts';
import { createWorld } from '../harness/world.ts';
import type { World } from '../harness/world.ts';
import { before, findTold } from './told.ts';
import { readTrace, straceCommand } from './trace.ts';
import type { Step } from './trace.ts';
import { runUploads } from './uploads.ts';
import type { PromisedUpload } from './uploads.ts';

const LINES = 500;

const CLOCK_AHEAD = new URL('clock-ahead.ts', import.meta.url);
/** An hour, after which uploads expire, the time for which their parts are kept, and some. */
const AHEAD_MS = 2 * 3_600_000;

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
  const { files, batches, cancels, ends, begun, parts, uploadEnds, webhooks } = findTold(
    steps,
    world.ledger,
    uploads,
  );
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
