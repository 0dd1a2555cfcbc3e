import { Readable } from 'node:stream';
import OpenAI from 'openai';
import { inputFile } from '../input.ts';
import { cpuSeconds, peakMemoryBytes, startNode, stop } from '../processes.ts';
import type { Measurement } from '../report.ts';

export interface BenchedService {
  /** Uploads `lines` requests, runs them as a batch, and measures from `in_progress` to `completed`. */
  runBatch(lines: number): Promise<Measurement>;
  stop(): Promise<void>;
}

/** How often the batch's status is asked for while it runs, milliseconds: precise enough, and no load. */
const POLL_MS = 50;

/** Starts the service as a user would, as a process of its own. */
export async function startService(options: {
  readonly upstreamUrl: string;
  readonly dataDir: string;
  readonly concurrency: number;
  readonly lines: number;
}): Promise<BenchedService> {
  const child = startNode(0, ['--max-semi-space-size=8', 'src/main.ts'], {
    PORT: '0',
    DATA_DIR: options.dataDir,
    UPSTREAM_BASE_URL: `${options.upstreamUrl}/v1`,
    MAX_CONCURRENCY: String(options.concurrency),
    MAX_BATCH_LINES: String(options.lines),
    MAX_BATCH_BYTES: '4GiB',
    MAX_FILE_BYTES: '4GiB',
    API_KEYS: '',
  });
  const url = await new Promise<string>((resolve, reject) => {
    let output = '';
    child.stdout?.on('data', (data: Buffer) => {
      output += data.toString();
      const found = /"url":"([^"]+)"/.exec(output);
      if (found?.[1] !== undefined) resolve(found[1]);
    });
    child.once('exit', (code) => reject(new Error(`the service ended with code ${code}:\n${output}`)));
  });
  const client = new OpenAI({ apiKey: 'unused', baseURL: `${url}/v1`, maxRetries: 0 });
  const pid = child.pid as number;

  async function until(id: string, ended: (status: string) => boolean): Promise<OpenAI.Batch> {
    for (;;) {
      const batch = await client.batches.retrieve(id);
      if (ended(batch.status)) return batch;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  return {
    async runBatch(lines) {
      const source = Readable.from(inputFile(lines));
      const file = await client.files.create({
        file: await OpenAI.toFile(source, 'bench.jsonl'),
        purpose: 'batch',
      });
      const created = await client.batches.create({
        input_file_id: file.id,
        endpoint: '/v1/chat/completions',
        completion_window: '24h',
      });
      await until(created.id, (status) => status !== 'validating');
      const startedAt = performance.now();
      const cpuAtStart = cpuSeconds(pid);
      const batch = await until(created.id, (status) => status !== 'in_progress' && status !== 'finalizing');
      const seconds = (performance.now() - startedAt) / 1000;
      const cpu = cpuSeconds(pid) - cpuAtStart;
      if (batch.status !== 'completed' || batch.request_counts?.completed !== lines) {
        throw new Error(`the batch ended as ${batch.status}: ${JSON.stringify(batch.request_counts)}`);
      }
      return {
        itemsPerSecond: lines / seconds,
        cpuMicrosPerItem: (cpu / lines) * 1e6,
        peakMemoryBytes: peakMemoryBytes(pid),
      };
    },
    stop: () => stop(child),
  };
}
