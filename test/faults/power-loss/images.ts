/** Power loss: starts from images of the disk in which what was not synced is missing, torn or there. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { Fault, Trials } from '../harness/fault.ts';
import { checkInvariants } from '../harness/invariants/index.ts';
import { createScope } from '../harness/scope.ts';
import type { Scope } from '../harness/scope.ts';
import { createWorld } from '../harness/world.ts';
import { DiskModel } from './disk-model.ts';
import type { Fate, Image } from './disk-model.ts';
import { record } from './recording.ts';
import type { Recording } from './recording.ts';
import { goOnWithUploads } from './uploads.ts';

const FATES: readonly Fate[] = ['all lost', 'some lost', 'some lost', 'all kept'];
/** Images at random moments, beside those at each acknowledgement. */
const RANDOM_IMAGES = { quick: 4, full: 110 };

export const powerLoss: Fault = {
  family: 'power-loss',
  name: 'unsynced writes and names missing or torn, at each acknowledgement and at random moments',
  needs: ['strace'],
  async run(trials) {
    const scope = createScope();
    try {
      const recording = await record(scope);
      trials.note(`${recording.steps.length} steps recorded`);
      await tryImages(trials, recording);
    } finally {
      await scope.close();
    }
  },
};

async function tryImages(trials: Trials, recording: Recording): Promise<void> {
  const disk = new DiskModel(recording.root);
  let at = 0;
  for (const { step, fate } of chooseMoments(trials, recording)) {
    for (; at < step; at++) disk.apply(recording.steps[at] as Recording['steps'][number]);
    const image = disk.image(fate, trials.random);
    // One after another: they share the receiver of the webhooks.
    await trials.attempt(`at step ${step}, what was not synced ${fate}`, (scope) =>
      startFrom(scope, recording, step, image),
    );
  }
}

/** The moments in order, each the number of steps that had happened by then. */
function chooseMoments(
  { quick, random }: Trials,
  { steps, acknowledgements }: Recording,
): { step: number; fate: Fate }[] {
  // The first of each kind: of two with the same key the later one stays in a map.
  const kinds = new Map(acknowledgements.toReversed().map((one) => [one.what, one]));
  const tried = quick ? [...kinds.values()] : acknowledgements;
  const told = tried.flatMap(({ at }): { step: number; fate: Fate }[] => [
    { step: at + 1, fate: 'all lost' },
    ...(quick ? [] : [{ step: at + 1, fate: 'some lost' as const }]),
  ]);
  const chosen = Array.from({ length: quick ? RANDOM_IMAGES.quick : RANDOM_IMAGES.full }, () => ({
    step: random.between(1, steps.length),
    fate: random.pick(FATES),
  }));
  return [...told, ...chosen].toSorted((a, b) => a.step - b.step);
}

/** Starts the service from the image and lets it come to rest; everything promised before must hold. */
async function startFrom(scope: Scope, recording: Recording, step: number, image: Image): Promise<void> {
  const root = await scope.folder();
  await writeImage(image, recording.root, root);
  const { receiver, upstream } = recording.world;
  const sentBefore = recording.eventsBefore(step);
  const firstNew = receiver.events.length;
  const world = await createWorld(scope, {
    dataDir: join(root, 'data'),
    upstream,
    receiver: {
      ...receiver,
      get events() {
        return [...sentBefore, ...receiver.events.slice(firstNew)];
      },
    },
  });
  recording.promisedBefore(step, world.ledger);
  await world.start();
  if (world.service.hasEnded)
    throw new Error(`the service does not start: ${world.service.output().slice(-600)}`);
  await goOnWithUploads(world, recording.uploadsBefore(step));
  await world.settle();
  await checkInvariants(world, { retriesALine: Infinity });
}

async function writeImage(image: Image, from: string, to: string): Promise<void> {
  for (const [path, content] of [...image].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const target = join(to, relative(from, path));
    if (content === null) await mkdir(target, { recursive: true });
    // SQLite's shared memory, which it builds anew; nothing of it is ever synced.
    else if (!target.endsWith('-shm')) await writeFile(target, content);
  }
}
