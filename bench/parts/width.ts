import { atLeast, median } from '../part.ts';
import type { Figure, Part } from '../part.ts';
import { repeat, warmUp, withService } from '../running.ts';

const WIDTHS = [64, 256, 1024, 4096];
const LATENCY_MS = 50;
/** Each width runs for some seconds. */
const SECONDS = 3;
const MOST_ITEMS_PER_SECOND = 20_000;

/** More in flight must not make it slower. */
export const width: Part = {
  name: 'width',
  title: 'Width: answers after 50 ms',
  async run(context) {
    const figures: Figure[] = [];
    for (const concurrency of WIDTHS) {
      const possible = Math.min(MOST_ITEMS_PER_SECOND, (concurrency * 1000) / LATENCY_MS);
      const lines = possible * SECONDS;
      const values = await withService(context, { latencyMs: LATENCY_MS, concurrency }, async (running) => {
        await warmUp(running);
        return await repeat(context.runs, async () => lines / (await running.timeBatch(lines)).seconds);
      });
      context.progress(`${concurrency} in flight: ${Math.round(median(values))} items/s`);
      const best = Math.max(0, ...figures.map((figure) => median(figure.values)));
      figures.push({
        name: `${concurrency} in flight`,
        unit: 'items/s',
        values,
        ...(best > 0 && {
          goal: atLeast(0.75 * best, `≥ ${Math.round(0.75 * best)}, 75% of the best before`),
        }),
      });
    }
    return figures;
  },
};
