import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { pino } from 'pino';
import { expect, onTestFinished } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { startService } from '../../src/service.ts';
import type { Service } from '../../src/service.ts';

export interface TestService extends Service {
  readonly dataDir: string;
  /** The official SDK, pointed at the service. */
  readonly client: OpenAI;
  /** All log lines so far. */
  readonly logs: readonly string[];
}

/** A folder that is removed at the end of the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'anyllm-e2e-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** The whole service in this process, on a free port and a folder of its own, stopped at the end of the test. */
export async function startTestService(env: Readonly<Record<string, string>> = {}): Promise<TestService> {
  const dataDir = env['DATA_DIR'] ?? (await temporaryFolder());
  const logs: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void logs.push(line) });
  const config = loadConfig({ PORT: '0', DATA_DIR: dataDir, SHUTDOWN_GRACE_MS: '100', ...env });
  const service = await startService(config, log);
  let stopped: Promise<void> | null = null;
  const stop = (): Promise<void> => (stopped ??= service.stop());
  onTestFinished(stop);
  const apiKey = env['API_KEYS']?.split(',')[0] ?? 'unused';
  return {
    ...service,
    stop,
    dataDir,
    logs,
    client: createClient(service.url, apiKey),
  };
}

/** The official SDK with a key, without retries, so that every answer is seen. */
export function createClient(url: string, apiKey = 'unused'): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
}

/** `count` chat requests with the custom ids `line-1` … */
export function chatLines(count: number, model = 'test-model'): string {
  const line = (n: number): string =>
    JSON.stringify({
      custom_id: `line-${n}`,
      method: 'POST',
      url: '/v1/chat/completions',
      body: { model, messages: [{ role: 'user', content: `question ${n}` }] },
    });
  return Array.from({ length: count }, (_, i) => `${line(i + 1)}\n`).join('');
}

/** Uploads `input` and creates a batch over it. */
export async function submitBatch(
  client: OpenAI,
  input: string,
  options: Partial<OpenAI.BatchCreateParams> & { readonly webhook_url?: string } = {},
): Promise<OpenAI.Batch> {
  const file = await client.files.create({
    file: await OpenAI.toFile(Buffer.from(input), 'input.jsonl'),
    purpose: 'batch',
  });
  return await client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
    ...options,
  });
}

/** Waits until the batch has ended. */
export async function endOf(client: OpenAI, id: string): Promise<OpenAI.Batch> {
  let batch = await client.batches.retrieve(id);
  await expect
    .poll(async () => (batch = await client.batches.retrieve(id)).status, { timeout: 30_000, interval: 20 })
    .toMatch(/^(completed|failed|expired|cancelled)$/);
  return batch;
}

/** The lines of a result file, parsed; none where there is no file. */
export async function resultsOf(
  client: OpenAI,
  fileId: string | null | undefined,
): Promise<{ custom_id: string; response: { status_code: number; body: unknown } | null; error: unknown }[]> {
  if (fileId == null) return [];
  const text = await (await client.files.content(fileId)).text();
  expect(text.endsWith('\n')).toBe(true);
  return text
    .slice(0, -1)
    .split('\n')
    .map((line) => JSON.parse(line));
}
