import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { atMost } from '../part.ts';
import type { Part } from '../part.ts';
import { repeat, warmUp, withService } from '../running.ts';

const WATCHED_MS = 20_000;

/** What a service costs that has nothing to do. */
export const idle: Part = {
  name: 'idle',
  title: 'Cost of idling',
  async run(context) {
    const runs = await withService(context, {}, async (running) => {
      await warmUp(running);
      // What follows a batch (webhooks, tidying up) is over.
      await sleep(3000);
      return await repeat(context.runs, async () => {
        const [cpu, woken] = [running.service.cpu(), wakeUps(running.service.pid)];
        await sleep(WATCHED_MS);
        const seconds = WATCHED_MS / 1000;
        return {
          share: (100 * (running.service.cpu() - cpu)) / seconds,
          woken: (wakeUps(running.service.pid) - woken) / seconds,
        };
      });
    });
    return [
      { name: 'of a core', unit: '%', values: runs.map(({ share }) => share), goal: atMost(0.5, '< 0.5') },
      { name: 'wake-ups of the main thread', unit: 'a second', values: runs.map(({ woken }) => woken) },
    ];
  },
};

/** How often the process's main thread has gone to sleep so far. */
function wakeUps(pid: number): number {
  return Number(
    /^voluntary_ctxt_switches:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1],
  );
}
