/** The benchmark's model server as a child process. */
import type { ChildProcess } from 'node:child_process';
import { firstMessage, startNode, stop } from './processes.ts';

export interface Mark {
  /** So many requests had been answered … */
  readonly answered: number;
  /** … at this time, milliseconds. */
  readonly at: number;
}

export interface BenchUpstream {
  /** E.g. `http://127.0.0.1:4711`. */
  readonly url: string;
  /** Counts from zero again; the marks come when so many requests were answered. */
  watch<Counts extends readonly number[]>(
    ...counts: Counts
  ): Promise<{ [Index in keyof Counts]: Promise<Mark> }>;
  stop(): Promise<void>;
}

export interface UpstreamOptions {
  readonly answerBytes?: number;
  readonly latencyMs?: number;
  /** 0.01: one in a hundred answers is a 400. */
  readonly errorShare?: number;
}

/** Starts it on the core that the service does not use. */
export async function startUpstream(options: UpstreamOptions = {}): Promise<BenchUpstream> {
  const { answerBytes = 600, latencyMs = 0, errorShare = 0 } = options;
  const child = startNode(1, [
    'bench/programs/upstream.ts',
    ...[answerBytes, latencyMs, errorShare].map(String),
  ]);
  const { port } = await firstMessage<{ port: number }>(child);
  return {
    url: `http://127.0.0.1:${port}`,
    async watch(...counts) {
      const marks = counts.map((count) => markOf(child, count));
      const reset = markOf(child, 0);
      child.send({ watch: counts });
      await reset;
      return marks as never;
    },
    stop: () => stop(child),
  };
}

async function markOf(child: ChildProcess, count: number): Promise<Mark> {
  return await new Promise((resolve) => {
    const listener = (mark: Mark): void => {
      if (mark.answered !== count) return;
      child.off('message', listener);
      resolve(mark);
    };
    child.on('message', listener);
  });
}

/** The clock of the marks, milliseconds. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
