import { setTimeout as sleep } from 'node:timers/promises';
import { atMost, median } from '../part.ts';
import type { BenchContext, Figure, Part } from '../part.ts';
import { repeat, warmUp, withService } from '../running.ts';
import type { Running } from '../running.ts';
import { now } from '../upstream.ts';

const BATCHES = 1000;
const LINES_EACH = 50;
const SMALL_BATCHES = 100;
const SMALL_LINES = 10;

/** Many small batches cost little more than a large one, and do not wait behind it. */
export const many: Part = {
  name: 'many',
  title: 'Many: 1,000 batches of 50 lines; one of 50,000 beside 100 of 10',
  run: (context) => withService(context, {}, (running) => measure(context, running)),
};

async function measure(context: BenchContext, running: Running): Promise<Figure[]> {
  await warmUp(running);
  const rounds = await repeat(context.runs, async (run) => {
    const { seconds: large } = await running.timeBatch(BATCHES * LINES_EACH);
    const small = await timeManyBatches(running);
    const slowest = await slowestBesideLarge(running);
    context.progress(
      `run ${run}: one ${large.toFixed(2)} s, many ${small.toFixed(2)} s, small ones ${slowest.toFixed(2)} s`,
    );
    return { large, small, slowest };
  });
  return [
    { name: 'one batch of 50,000', unit: 's', values: rounds.map(({ large }) => large) },
    {
      name: '1,000 batches of 50, from the first answer on',
      unit: 's',
      values: rounds.map(({ small }) => small),
      goal: atMost(1.25 * median(rounds.map(({ large }) => large)), 'at most 25% more'),
    },
    {
      name: 'the slowest of 100 small batches beside a large one',
      unit: 's',
      values: rounds.map(({ slowest }) => slowest),
      goal: atMost(5),
    },
  ];
}

/** Created while the worker is busy with the first of them; all files are there before. */
async function timeManyBatches({ service, upstream }: Running): Promise<number> {
  const file = await service.upload(LINES_EACH);
  const total = BATCHES * LINES_EACH;
  const [first, last] = await upstream.watch(1, total);
  const creating = service.createAll(file, BATCHES);
  const { at: from } = await first;
  await last;
  const ids = await creating;
  for (const id of ids) await service.completed(id, LINES_EACH);
  return (now() - from) / 1000;
}

async function slowestBesideLarge({ service, upstream }: Running): Promise<number> {
  const [running] = await upstream.watch(1000);
  const large = service.submit(50_000);
  await running;
  const file = await service.upload(SMALL_LINES);
  let slowest = 0;
  const small = Array.from({ length: SMALL_BATCHES }, async (_, i) => {
    await sleep(i * 10);
    const createdAt = now();
    const [id = ''] = await service.createAll(file, 1);
    const { at } = await service.completed(id, SMALL_LINES);
    slowest = Math.max(slowest, (at - createdAt) / 1000);
  });
  await Promise.all(small);
  await service.completed(await large, 50_000);
  return slowest;
}
