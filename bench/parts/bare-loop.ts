import { once } from 'node:events';
import { cpuSeconds, firstMessage, peakMemoryBytes, startNode } from '../processes.ts';
import type { Measurement } from '../report.ts';

/** Runs the yardstick once. Its CPU time includes the start of its process, some 50 ms. */
export async function runBareLoop(
  upstreamUrl: string,
  requests: number,
  concurrency: number,
): Promise<Measurement> {
  const child = startNode(0, ['bench/bare-loop.ts', upstreamUrl, String(requests), String(concurrency)]);
  const exited = once(child, 'exit');
  const { seconds } = await firstMessage<{ seconds: number }>(child);
  const pid = child.pid as number;
  const measurement = {
    itemsPerSecond: requests / seconds,
    cpuMicrosPerItem: (cpuSeconds(pid) / requests) * 1e6,
    peakMemoryBytes: peakMemoryBytes(pid),
  };
  child.disconnect();
  await exited;
  return measurement;
}
