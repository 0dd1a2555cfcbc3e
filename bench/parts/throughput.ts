import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inputFile } from '../input.ts';
import { atLeast, atMost, MIB } from '../part.ts';
import type { BenchContext, Figure, Part } from '../part.ts';
import { startService } from '../service.ts';
import { startUpstream } from '../upstream.ts';
import type { BenchUpstream } from '../upstream.ts';
import { runYardstick } from '../yardstick.ts';
import type { Speed } from '../yardstick.ts';

const CONCURRENCY = 256;

interface Sizes {
  readonly lines: number;
  /** Until the code is compiled. */
  readonly warmUp: number;
}

const FULL: Sizes = { lines: 50_000, warmUp: 15_000 };
const SMOKE: Sizes = { lines: 30_000, warmUp: 12_000 };

/** Lines of 1 KB, answers of 600 bytes, on one core, next to loops that store and check nothing. */
export const throughput: Part = {
  name: 'throughput',
  title: 'Throughput: lines of 1 KB, answers of 600 bytes, 256 in flight',
  async run(context) {
    const sizes = context.smoke ? SMOKE : FULL;
    const file = join(await context.folder(), 'input.jsonl');
    await writeFile(file, Buffer.concat([...inputFile(sizes.lines)]));
    const upstream = await startUpstream();
    try {
      return await measure(context, upstream, sizes, file);
    } finally {
      await upstream.stop();
    }
  },
};

async function measure(
  context: BenchContext,
  upstream: BenchUpstream,
  sizes: Sizes,
  file: string,
): Promise<Figure[]> {
  const yardstick = {
    requests: sizes.lines,
    warmUp: sizes.warmUp,
    concurrency: CONCURRENCY,
    inputFile: file,
  };
  const bare: Speed[] = [];
  const pipeline: Speed[] = [];
  const service: (Speed & { readonly peak: number })[] = [];
  for (let run = 1; run <= context.runs; run++) {
    // In turns, so that a machine that drifts hurts all of them.
    bare.push(await runYardstick(upstream, { ...yardstick, kind: 'dispatch' }));
    pipeline.push(await runYardstick(upstream, { ...yardstick, kind: 'pipeline' }));
    service.push(await runBatch(context, upstream, sizes));
    context.progress(`run ${run}: ${Math.round(service.at(-1)?.itemsPerSecond ?? 0)} items/s`);
  }
  const speeds = (all: readonly Speed[]): number[] => all.map((speed) => speed.itemsPerSecond);
  const ratios = service.map((speed, i) => speed.itemsPerSecond / (pipeline[i]?.itemsPerSecond ?? NaN));
  return [
    { name: 'bare undici dispatch', unit: 'items/s', values: speeds(bare) },
    { name: 'read, find body, dispatch, wrap; keep nothing', unit: 'items/s', values: speeds(pipeline) },
    {
      name: 'the service',
      unit: 'items/s',
      values: speeds(service),
      ...(context.smoke ? {} : { goal: atLeast(12_000, '≥ 12,000') }),
    },
    {
      name: 'the service ÷ the loop that keeps nothing',
      unit: '',
      values: ratios,
      goal: context.smoke ? atLeast(0.5) : atLeast(0.65),
    },
    {
      name: 'CPU of the service',
      unit: 'µs an item',
      values: service.map((speed) => speed.cpuMicrosPerItem),
      ...(context.smoke ? {} : { goal: atMost(70) }),
    },
    {
      name: 'CPU of the loop that keeps nothing',
      unit: 'µs an item',
      values: pipeline.map((speed) => speed.cpuMicrosPerItem),
    },
    { name: 'peak memory of the service', unit: 'MiB', values: service.map(({ peak }) => peak / MIB) },
  ];
}

/** One batch in a service that has just started; from the warm-up's end to `completed`. */
async function runBatch(
  context: BenchContext,
  upstream: BenchUpstream,
  { lines, warmUp }: Sizes,
): Promise<Speed & { readonly peak: number }> {
  const [warm, all] = await upstream.watch(warmUp, lines);
  const service = await startService({
    upstreamUrl: upstream.url,
    dataDir: await context.folder(),
    concurrency: CONCURRENCY,
  });
  try {
    const ended = service.submit(lines).then((id) => service.completed(id, lines, all));
    const { at: from } = await warm;
    const cpuBefore = service.cpu();
    const { at: to } = await ended;
    const items = lines - warmUp;
    return {
      itemsPerSecond: (items / (to - from)) * 1000,
      cpuMicrosPerItem: ((service.cpu() - cpuBefore) / items) * 1e6,
      peak: service.peak(),
    };
  } finally {
    await service.stop();
  }
}
