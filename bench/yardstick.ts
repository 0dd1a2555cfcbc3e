import { once } from 'node:events';
import { cpuSeconds, firstMessage, startNode } from './processes.ts';
import type { BenchUpstream } from './upstream.ts';

/** `ceiling`: of the model server itself. */
export type YardstickKind = 'dispatch' | 'pipeline' | 'ceiling';

export interface Speed {
  readonly itemsPerSecond: number;
  readonly cpuMicrosPerItem: number;
}

export interface YardstickOptions {
  readonly kind: YardstickKind;
  readonly requests: number;
  /** So many requests are left out, until the code is compiled. */
  readonly warmUp: number;
  readonly concurrency: number;
  readonly inputFile: string;
}

/** Runs a yardstick once, on the core on which the service runs otherwise. */
export async function runYardstick(upstream: BenchUpstream, options: YardstickOptions): Promise<Speed> {
  const { kind, requests, warmUp, concurrency, inputFile } = options;
  const [warm, all] = await upstream.watch(warmUp, requests);
  const child = startNode(0, [
    kind === 'ceiling' ? 'bench/programs/ceiling.ts' : 'bench/programs/yardstick.ts',
    ...[kind, upstream.url, requests, concurrency, inputFile].map(String),
  ]);
  const exited = once(child, 'exit');
  const ended = firstMessage(child);
  const pid = child.pid as number;
  const { at: from } = await warm;
  const cpuBefore = cpuSeconds(pid);
  const { at: to } = await all;
  await ended;
  const cpu = cpuSeconds(pid) - cpuBefore;
  child.disconnect();
  await exited;
  const items = requests - warmUp;
  return { itemsPerSecond: (items / (to - from)) * 1000, cpuMicrosPerItem: (cpu / items) * 1e6 };
}
