import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inputFile } from '../input.ts';
import { atLeast, atMost, MIB } from '../part.ts';
import type { BenchContext, Figure, Part } from '../part.ts';
import { WARM_UP_LINES, withService } from '../running.ts';
import type { Running } from '../running.ts';
import { runYardstick } from '../yardstick.ts';
import type { Speed } from '../yardstick.ts';

const LINES = 50_000;
const CONCURRENCY = 256;
const YARDSTICK = { requests: LINES, warmUp: WARM_UP_LINES, concurrency: CONCURRENCY };
const LOOP = 'read, find body, dispatch, wrap; keep nothing';
const RATIO = 'the service ÷ the loop that keeps nothing';

/** Lines of 1 KB, answers of 600 bytes, on one core, next to loops that store and check nothing. */
export const throughput: Part = {
  name: 'throughput',
  title: 'Throughput: lines of 1 KB, answers of 600 bytes, 256 in flight',
  async run(context) {
    const file = join(await context.folder(), 'input.jsonl');
    await writeFile(file, Buffer.concat([...inputFile(LINES)]));
    return await withService(context, { concurrency: CONCURRENCY }, async (running) => {
      // One service for all runs, as it is used: its code goes on being compiled for longer than one batch takes.
      await running.timeBatch(LINES);
      return await (context.smoke ? smoke : measure)(context, running, file);
    });
  },
};

async function measure(context: BenchContext, running: Running, inputFile: string): Promise<Figure[]> {
  const { upstream } = running;
  const yardstick = { ...YARDSTICK, inputFile };
  const ceiling: Speed[] = [];
  const bare: Speed[] = [];
  const pipeline: Speed[] = [];
  const service: (Speed & { readonly peak: number })[] = [];
  for (let run = 1; run <= context.runs; run++) {
    // In turns, so that a machine that drifts hurts all of them.
    ceiling.push(await runYardstick(upstream, { ...yardstick, kind: 'ceiling' }));
    bare.push(await runYardstick(upstream, { ...yardstick, kind: 'dispatch' }));
    pipeline.push(await runYardstick(upstream, { ...yardstick, kind: 'pipeline' }));
    service.push(await runBatch(running));
    context.progress(`run ${run}: ${Math.round(service.at(-1)?.itemsPerSecond ?? 0)} items/s`);
  }
  const speeds = (all: readonly Speed[]): number[] => all.map((speed) => speed.itemsPerSecond);
  const ratios = service.map((speed, i) => speed.itemsPerSecond / (pipeline[i]?.itemsPerSecond ?? NaN));
  return [
    {
      name: 'the model server itself, requests sent many at a time',
      unit: 'requests/s',
      values: speeds(ceiling),
    },
    { name: 'bare undici dispatch', unit: 'items/s', values: speeds(bare) },
    { name: LOOP, unit: 'items/s', values: speeds(pipeline) },
    { name: 'the service', unit: 'items/s', values: speeds(service), goal: atLeast(12_000, '≥ 12,000') },
    { name: RATIO, unit: '', values: ratios, goal: atLeast(0.65) },
    {
      name: 'CPU of the service',
      unit: 'µs an item',
      values: service.map((speed) => speed.cpuMicrosPerItem),
      goal: atMost(70),
    },
    {
      name: 'CPU of the loop that keeps nothing',
      unit: 'µs an item',
      values: pipeline.map((speed) => speed.cpuMicrosPerItem),
    },
    { name: 'peak memory of the service', unit: 'MiB', values: service.map(({ peak }) => peak / MIB) },
  ];
}

/** What continuous integration holds the service to. */
const SMOKE_RATIO = 0.5;
/** Under this it fails however much the machine's speed varies. */
const SMOKE_FLOOR = 0.35;
/** What the slowest run of each lacks at the most where the machine is steady enough for a verdict between the two. */
const STEADY = 0.95;
const SMOKE_RUNS = 3;
/** After so long no more runs are begun, milliseconds. */
const SMOKE_MS = 30_000;

/**
 * A short run. Noise makes things slower, never faster: so the best run of each is compared, and where that does not do,
 * more runs are made, for some time.
 */
async function smoke(context: BenchContext, running: Running, inputFile: string): Promise<Figure[]> {
  const until = performance.now() + SMOKE_MS;
  const yardstick = { ...YARDSTICK, kind: 'pipeline' as const, inputFile };
  const pipeline: number[] = [];
  const service: number[] = [];
  const ratio = (): number => Math.max(...service) / Math.max(...pipeline);
  const isEnough = (): boolean => service.length > 1 && ratio() >= SMOKE_RATIO;
  while (!isEnough() && (service.length < SMOKE_RUNS || performance.now() < until)) {
    pipeline.push((await runYardstick(running.upstream, yardstick)).itemsPerSecond);
    service.push((await runBatch(running)).itemsPerSecond);
    context.progress(`run ${service.length}: the best run of each gives ${ratio().toFixed(2)}`);
  }
  const isSteady = [pipeline, service].every((speeds) => Math.min(...speeds) >= STEADY * Math.max(...speeds));
  if (!isEnough() && !isSteady) context.progress(`this machine varies too much for more than a floor`);
  return [
    { name: LOOP, unit: 'items/s', values: pipeline },
    { name: 'the service', unit: 'items/s', values: service },
    {
      name: `${RATIO}, the best run of each`,
      unit: '',
      values: [ratio()],
      goal: atLeast(isSteady || isEnough() ? SMOKE_RATIO : SMOKE_FLOOR),
    },
  ];
}

/** One batch in a service that is warm; from its own warm-up's end to `completed`. */
async function runBatch({ upstream, service }: Running): Promise<Speed & { readonly peak: number }> {
  service.forgetPeak();
  const [warm, all] = await upstream.watch(WARM_UP_LINES, LINES);
  const ended = service.submit(LINES).then((id) => service.completed(id, LINES, all));
  const { at: from } = await warm;
  const cpuBefore = service.cpu();
  const { at: to } = await ended;
  const items = LINES - WARM_UP_LINES;
  return {
    itemsPerSecond: (items / (to - from)) * 1000,
    cpuMicrosPerItem: ((service.cpu() - cpuBefore) / items) * 1e6,
    peak: service.peak(),
  };
}
