/** SIGKILL before and after each fsync, rename, removal and commit on the way of a batch. */
import type { Fault } from '../harness/fault.ts';
import { checkInvariants } from '../harness/invariants/index.ts';
import { createWorld } from '../harness/world.ts';
import { runProgram } from './program.ts';

const FAILPOINTS = new URL('failpoints.ts', import.meta.url);
const LINES = 500;
/** `npm test` tries every so many of them. */
const QUICK_STEP = 5;

export const killAtEachPoint: Fault = {
  family: 'kill',
  name: 'SIGKILL before and after each fsync, rename, removal and commit of a 500-line batch',
  async run(trials) {
    let survived = false;
    function* points(): Generator<number> {
      for (let point = 1; !survived; point += trials.quick ? QUICK_STEP : 1) yield point;
    }
    await trials.each(points(), async (point) => {
      await trials.attempt(`point ${point}`, async (scope) => {
        const world = await createWorld(scope);
        await world.start({ preload: [FAILPOINTS], env: { FAULT_KILL_AT: String(point) } });
        if (world.service.hasEnded) {
          await world.died();
          await world.start();
        }
        await runProgram(world, { lines: LINES, restart: () => world.start() });
        // The last points come after the end that a client sees, some of them while the service stops.
        if (world.crashes.length === 0) {
          if ((await world.stop()) === 0) survived = true;
          else await world.died();
          await world.start();
        }
        await checkInvariants(world);
      });
    });
  },
};
