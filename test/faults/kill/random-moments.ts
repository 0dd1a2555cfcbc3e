/** SIGKILL at moments that nobody chose. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from '../harness/fault.ts';
import { checkInvariants } from '../harness/invariants/index.ts';
import { createWorld } from '../harness/world.ts';
import { runProgram } from './program.ts';

const LINES = 500;
/** About as long as a batch of 500 lines takes from upload to webhook, milliseconds. */
const LIFE_MS = 600;

export const killAtRandomMoments: Fault = {
  family: 'kill',
  name: 'SIGKILL at random moments, one to three in the life of a batch',
  async run(trials) {
    const { random, quick } = trials;
    let kills = 0;
    function* moments(): Generator<readonly number[]> {
      while (kills < (quick ? 12 : 200)) {
        yield Array.from({ length: random.between(1, 3) }, () => random.between(0, LIFE_MS));
      }
    }
    await trials.each(moments(), async (delays) => {
      await trials.attempt(`kills after ${delays.join(', ')} ms`, async (scope) => {
        const world = await createWorld(scope);
        const rest = [...delays];
        await world.start();
        const killSoon = async (): Promise<void> => {
          const delayMs = rest.shift();
          if (delayMs === undefined) return;
          const { service } = world;
          await sleep(delayMs);
          if (!service.hasEnded) kills++;
          service.kill('SIGKILL');
          await service.ended;
        };
        const restart = async (): Promise<void> => {
          await world.start();
          killing.push(killSoon());
        };
        const killing = [killSoon()];
        await runProgram(world, { lines: LINES, restart });
        for (const kill of killing) await kill;
        if (world.service.hasEnded) {
          await world.died();
          await world.start();
          await world.settle();
        }
        await checkInvariants(world);
      });
    });
    trials.note(`${kills} kills, seed ${trials.seed}`);
  },
};
