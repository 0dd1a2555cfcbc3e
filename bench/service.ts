/** The service under test as a child process, driven through its API and measured from outside. */
import { readFileSync, writeFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';
import { inputFile } from './input.ts';
import { cpuSeconds, peakMemoryBytes, startNode, stop } from './processes.ts';
import { now } from './upstream.ts';

export interface ServiceOptions {
  /** Null: only the built-in model `echo` answers. */
  readonly upstreamUrl: string | null;
  readonly dataDir: string;
  /** As `startNode`. Default 0, which the upstream does not use. */
  readonly core?: 0 | null;
  readonly concurrency?: number;
  /** More settings. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface BenchService {
  readonly pid: number;
  readonly url: string;
  /** Uploads `lines` requests; answers the file's id. */
  upload(lines: number, options?: SubmitOptions): Promise<string>;
  /** Creates so many batches over one file, ten at a time; answers their ids. */
  createAll(fileId: string, count: number): Promise<readonly string[]>;
  /** Uploads `lines` requests and creates a batch over them; answers its id. */
  submit(lines: number, options?: SubmitOptions): Promise<string>;
  /**
   * Resolves when the batch has ended; rejects where it has not completed every line. Asks for its status only once `after`
   * has resolved: what asking costs is not to be measured with the rest.
   */
  completed(id: string, lines: number, after?: Promise<unknown>): Promise<{ readonly at: number }>;
  /** How many of the batch's lines are finished now; rejects where it can no longer complete. */
  countFinished(id: string): Promise<{ readonly finished: number; readonly isComplete: boolean }>;
  /** CPU seconds used so far. */
  cpu(): number;
  /** Largest resident size since the last `forgetPeak`, bytes. */
  peak(): number;
  forgetPeak(): void;
  stop(): Promise<void>;
}

export interface SubmitOptions {
  /** Bytes of a line. Default 1000. */
  readonly lineBytes?: number;
  /** Default `bench`. */
  readonly model?: string;
}

/** How often a batch's status is asked for, milliseconds. */
const POLL_MS = 10;

/** Starts the service as a user would, as a process of its own. */
export async function startService(options: ServiceOptions): Promise<BenchService> {
  const { core = 0, upstreamUrl } = options;
  const child = startNode(core, ['--max-semi-space-size=16', 'src/main.ts'], {
    PORT: '0',
    DATA_DIR: options.dataDir,
    UPSTREAM_BASE_URL: upstreamUrl === null ? '' : `${upstreamUrl}/v1`,
    MAX_CONCURRENCY: String(options.concurrency ?? 256),
    MAX_BATCH_LINES: '10000000',
    MAX_BATCH_BYTES: '64GiB',
    MAX_FILE_BYTES: '64GiB',
    API_KEYS: '',
    ...options.env,
  });
  const url = await new Promise<string>((resolve, reject) => {
    let output = '';
    child.stdout?.on('data', (data: Buffer) => {
      output = (output + data.toString()).slice(-4000);
      const found = /"url":"([^"]+)"/.exec(output);
      if (found?.[1] !== undefined) resolve(found[1]);
    });
    child.once('exit', (code) => reject(new Error(`the service ended with code ${code}:\n${output}`)));
  });
  const client = new OpenAI({ apiKey: 'unused', baseURL: `${url}/v1`, maxRetries: 0 });
  const pid = child.pid as number;

  async function upload(lines: number, { lineBytes = 1000, model }: SubmitOptions = {}): Promise<string> {
    const source = Readable.from(inputFile(lines, lineBytes, model));
    const file = await OpenAI.toFile(source, 'bench.jsonl');
    return (await client.files.create({ file, purpose: 'batch' })).id;
  }

  async function create(fileId: string): Promise<string> {
    const batch = await client.batches.create({
      input_file_id: fileId,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    });
    return batch.id;
  }

  async function countFinished(id: string): Promise<{ finished: number; isComplete: boolean }> {
    const { status, request_counts: counts } = await client.batches.retrieve(id);
    if (!/^(validating|in_progress|finalizing|completed)$/.test(status))
      throw new Error(`the batch is ${status}`);
    return {
      finished: (counts?.completed ?? 0) + (counts?.failed ?? 0),
      isComplete: status === 'completed',
    };
  }

  return {
    pid,
    url,
    upload,
    async createAll(fileId, count) {
      const ids: string[] = [];
      const clients = Array.from({ length: Math.min(count, 10) }, async () => {
        while (ids.length < count) {
          const at = ids.push('') - 1;
          ids[at] = await create(fileId);
        }
      });
      await Promise.all(clients);
      return ids;
    },
    submit: async (lines, options) => await create(await upload(lines, options)),
    countFinished,
    async completed(id, lines, after) {
      await after;
      for (;;) {
        const { finished, isComplete } = await countFinished(id);
        const at = now();
        if (isComplete) {
          if (finished !== lines) throw new Error(`${finished} results for ${lines} lines`);
          return { at };
        }
        await sleep(POLL_MS);
      }
    },
    cpu: () => cpuSeconds(pid),
    peak: () => peakMemoryBytes(pid),
    // See proc(5): sets the peak to what is resident now.
    forgetPeak: () => writeFileSync(`/proc/${pid}/clear_refs`, '5'),
    stop: () => stop(child),
  };
}

/** Resident size now, bytes. */
export function residentBytes(pid: number): number {
  const kib = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
  return Number(kib) * 1024;
}
