/** A service and its upstream, started together for one part and stopped together. */
import type { BenchContext } from './part.ts';
import { startService } from './service.ts';
import type { BenchService, ServiceOptions } from './service.ts';
import { startUpstream } from './upstream.ts';
import type { BenchUpstream, UpstreamOptions } from './upstream.ts';

/** Lines that a service must have run before its code is compiled. */
export const WARM_UP_LINES = 15_000;

export interface Running {
  readonly upstream: BenchUpstream;
  readonly service: BenchService;
  /** A batch of `lines` from its first answer to its end, after one that warms up where that was asked for. */
  timeBatch(lines: number): Promise<{ readonly seconds: number }>;
}

export type RunningOptions = UpstreamOptions &
  Partial<Pick<ServiceOptions, 'concurrency' | 'env' | 'dataDir'>>;

/** Runs `work` with both, and stops them whatever happens. */
export async function withService<T>(
  context: BenchContext,
  options: RunningOptions,
  work: (running: Running) => Promise<T>,
): Promise<T> {
  const upstream = await startUpstream(options);
  try {
    const dataDir = options.dataDir ?? (await context.folder());
    const service = await startService({ ...options, upstreamUrl: upstream.url, dataDir });
    try {
      return await work({
        upstream,
        service,
        async timeBatch(lines) {
          const [first, all] = await upstream.watch(1, lines);
          const ended = service.submit(lines).then((id) => service.completed(id, lines, all));
          const { at: from } = await first;
          const { at: to } = await ended;
          return { seconds: (to - from) / 1000 };
        },
      });
    } finally {
      await service.stop();
    }
  } finally {
    await upstream.stop();
  }
}

/** Runs a batch that nobody measures. */
export async function warmUp({ service }: Running): Promise<void> {
  await service.completed(await service.submit(WARM_UP_LINES), WARM_UP_LINES);
}

/** Does `work` so many times, one after another. */
export async function repeat<T>(times: number, work: (run: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let run = 1; run <= times; run++) results.push(await work(run));
  return results;
}
