/**
 * `npm run bench`: how fast the whole service runs a batch, next to a bare undici `dispatch` loop over the same
 * requests. Both alternate, so that a machine that drifts hurts both; the ratio is the result.
 *
 * Settings by environment: BENCH_LINES (50000), BENCH_CONCURRENCY (256), BENCH_RUNS (3).
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { runBareLoop } from './parts/bare-loop.ts';
import { startService } from './parts/service.ts';
import { firstMessage, placement, startNode, stop } from './processes.ts';
import { formatTable, median } from './report.ts';
import type { Measurement } from './report.ts';

const lines = Number(process.env['BENCH_LINES'] ?? 50_000);
const concurrency = Number(process.env['BENCH_CONCURRENCY'] ?? 256);
const runs = Number(process.env['BENCH_RUNS'] ?? 3);

const upstream = startNode(1, ['bench/upstream.ts']);
const dataDir = await mkdtemp(join(tmpdir(), 'anyllm-bench-'));
try {
  const { port } = await firstMessage<{ port: number }>(upstream);
  const upstreamUrl = `http://127.0.0.1:${port}`;
  const bare: Measurement[] = [];
  const service: Measurement[] = [];
  for (let run = 0; run < runs; run++) {
    bare.push(await runBareLoop(upstreamUrl, lines, concurrency));
    const running = await startService({
      upstreamUrl,
      dataDir: join(dataDir, String(run)),
      concurrency,
      lines,
    });
    try {
      service.push(await running.runBatch(lines));
    } finally {
      await running.stop();
    }
    process.stderr.write(`run ${run + 1} of ${runs} done\n`);
  }
  const ratio = median(service.map((result, i) => result.itemsPerSecond / (bare[i]?.itemsPerSecond ?? NaN)));
  process.stdout.write(
    `${lines} lines of 1 KB, answers of 600 bytes, ${concurrency} in flight; medians of ${runs}\n` +
      `${cpus()[0]?.model ?? 'unknown CPU'}, Node ${process.version}, ${placement}\n\n` +
      `${formatTable({ 'bare undici dispatch': bare, 'anyllm-batch': service })}\n` +
      `ratio: ${ratio.toFixed(2)} of the bare loop\n`,
  );
  await mkdir('bench/results', { recursive: true });
  await writeFile(
    'bench/results/throughput.json',
    `${JSON.stringify({ lines, concurrency, node: process.version, cpu: cpus()[0]?.model, placement, ratio, bare, service }, null, 2)}\n`,
  );
} finally {
  await stop(upstream);
  await rm(dataDir, { recursive: true, force: true });
}
