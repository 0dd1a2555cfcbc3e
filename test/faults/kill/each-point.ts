/** SIGKILL before and after each fsync, rename, removal and commit on the way of something. */
import type { Trials } from '../harness/fault.ts';
import { checkInvariants } from '../harness/invariants/index.ts';
import { createWorld } from '../harness/world.ts';
import type { World } from '../harness/world.ts';

const FAILPOINTS = new URL('failpoints.ts', import.meta.url);

export interface EachPoint {
  /** `npm test` tries every so many of them. */
  readonly quickStep: number;
  /** Settings of every start. */
  readonly env?: Readonly<Record<string, string>>;
  /** Does it in a service that may die at any moment. */
  readonly run: (world: World) => Promise<unknown>;
  /** Checks more than the invariants. */
  readonly check?: (world: World) => Promise<void>;
}

/** Tries one point after another, until there is one that is not reached before the service has stopped. */
export async function killAtEach(
  trials: Trials,
  { quickStep, env = {}, run, check }: EachPoint,
): Promise<void> {
  let survived = false;
  function* points(): Generator<number> {
    for (let point = 1; !survived; point += trials.quick ? quickStep : 1) yield point;
  }
  await trials.each(points(), async (point) => {
    await trials.attempt(`point ${point}`, async (scope) => {
      const world = await createWorld(scope, { env });
      await world.start({ preload: [FAILPOINTS], env: { FAULT_KILL_AT: String(point) } });
      if (world.service.hasEnded) {
        await world.died();
        await world.start();
      }
      await run(world);
      // The last points come after the end that a client sees, some of them while the service stops.
      if (world.crashes.length === 0) {
        if ((await world.stop()) === 0) survived = true;
        else await world.died();
        await world.start();
      }
      await checkInvariants(world);
      await check?.(world);
    });
  });
}
