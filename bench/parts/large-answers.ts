import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inputFile } from '../input.ts';
import { atLeast, median, MIB } from '../part.ts';
import type { BenchContext, Figure, Part } from '../part.ts';
import { repeat, withService } from '../running.ts';
import { startUpstream } from '../upstream.ts';
import { runYardstick } from '../yardstick.ts';

const SIZES = [
  { name: '64 KiB', bytes: 64 * 1024, lines: 16_000 },
  { name: '1 MiB', bytes: MIB, lines: 1200 },
];
const CONCURRENCY = 64;
const GOAL = 300;

/** Embeddings, images: the bytes of the answers decide. */
export const largeAnswers: Part = {
  name: 'large-answers',
  title: 'Large answers, 64 in flight',
  async run(context) {
    const figures: Figure[] = [];
    for (const size of SIZES) figures.push(...(await measure(context, size)));
    return figures;
  },
};

async function measure(context: BenchContext, size: (typeof SIZES)[number]): Promise<Figure[]> {
  const { name, bytes, lines } = size;
  const warmUp = lines / 4;
  const megabytes = ((lines - warmUp) * bytes) / 1e6;
  const file = join(await context.folder(), 'input.jsonl');
  await writeFile(file, Buffer.concat([...inputFile(lines)]));
  const rounds = await repeat(context.runs, async (run) => {
    const yardstick = await timeYardstick(bytes, { requests: lines, warmUp, file });
    const service = await timeService(context, bytes, lines, warmUp);
    context.progress(`${name}, run ${run}: ${Math.round(megabytes / service.seconds)} MB/s`);
    return { yardstick: (yardstick * bytes) / 1e6, service: megabytes / service.seconds, peak: service.peak };
  });
  const enough = Math.min(GOAL, 0.7 * median(rounds.map((round) => round.yardstick)));
  return [
    {
      name: `${name}: the loop that keeps nothing`,
      unit: 'MB/s',
      values: rounds.map((round) => round.yardstick),
    },
    {
      name: `${name}: the service`,
      unit: 'MB/s',
      values: rounds.map((round) => round.service),
      goal: atLeast(enough, `≥ 300, or 0.7 of the loop`),
    },
    { name: `${name}: peak memory`, unit: 'MiB', values: rounds.map((round) => round.peak / MIB) },
  ];
}

/** Items a second. */
async function timeYardstick(
  answerBytes: number,
  { requests, warmUp, file }: { readonly requests: number; readonly warmUp: number; readonly file: string },
): Promise<number> {
  const upstream = await startUpstream({ answerBytes });
  try {
    const speed = await runYardstick(upstream, {
      kind: 'pipeline',
      requests,
      warmUp,
      concurrency: CONCURRENCY,
      inputFile: file,
    });
    return speed.itemsPerSecond;
  } finally {
    await upstream.stop();
  }
}

/** Until every answer is durable in the result log; what it costs to write the files from it is not about answers. */
async function timeService(
  context: BenchContext,
  answerBytes: number,
  lines: number,
  warmUp: number,
): Promise<{ seconds: number; peak: number }> {
  return await withService(
    context,
    { answerBytes, concurrency: CONCURRENCY },
    async ({ service, upstream }) => {
      const [warm, all] = await upstream.watch(warmUp, lines);
      const ended = service.submit(lines).then((id) => service.completed(id, lines, all));
      const { at: from } = await warm;
      const { at: to } = await all;
      await ended;
      return { seconds: (to - from) / 1000, peak: service.peak() };
    },
  );
}
