import { setTimeout as sleep } from 'node:timers/promises';
import { atMost } from '../part.ts';
import type { Figure, Part } from '../part.ts';
import { repeat, warmUp, withService } from '../running.ts';
import type { Running } from '../running.ts';

const LINES = 100_000;
/** Between two calls, milliseconds: a few clients that poll. */
const PAUSE_MS = 5;

/** How long the API takes while the worker uses all of its core. */
export const api: Part = {
  name: 'api',
  title: 'The API while it runs flat out',
  async run(context) {
    const rounds = await withService(context, {}, async (running) => {
      await warmUp(running);
      return await repeat(context.runs, () => measure(running));
    });
    const calls = ['retrieve', 'list', 'create'] as const;
    return calls.map((call): Figure => ({
      name: `${call}, 99th percentile`,
      unit: 'ms',
      values: rounds.map((round) => percentile(round[call], 0.99)),
      goal: atMost(50, '< 50'),
    }));
  },
};

async function measure({
  service,
  upstream,
}: Running): Promise<Record<'retrieve' | 'list' | 'create', number[]>> {
  const file = await service.upload(1);
  const [running, nearEnd] = await upstream.watch(1000, LINES - 5000);
  const large = service.submit(LINES);
  await running;
  let isRunning = true;
  void nearEnd.then(() => (isRunning = false));
  const id = await large;
  const times = { retrieve: [] as number[], list: [] as number[], create: [] as number[] };
  while (isRunning) {
    times.retrieve.push(await time(() => fetch(`${service.url}/v1/batches/${id}`)));
    times.list.push(await time(() => fetch(`${service.url}/v1/batches?limit=20`)));
    times.create.push(await time(() => createBatch(service.url, file)));
    await sleep(PAUSE_MS);
  }
  await service.completed(id, LINES);
  return times;
}

async function createBatch(url: string, inputFileId: string): Promise<Response> {
  const body = { input_file_id: inputFileId, endpoint: '/v1/chat/completions', completion_window: '24h' };
  const headers = { 'content-type': 'application/json' };
  return await fetch(`${url}/v1/batches`, { method: 'POST', headers, body: JSON.stringify(body) });
}

async function time(call: () => Promise<Response>): Promise<number> {
  const from = performance.now();
  const response = await call();
  await response.text();
  if (!response.ok) throw new Error(`the call was answered ${response.status}`);
  return performance.now() - from;
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * share) - 1] ?? NaN;
}
