import { createMemoryStorage } from '../../src/adapters/memory/index.ts';
import { createEngine } from '../../src/engine/index.ts';
import type {
  Batch,
  Clock,
  CreateBatchRequest,
  Engine,
  EngineParts,
  EngineSettings,
  Log,
  TokenCounter,
  Upstream,
  WebhookSender,
} from '../../src/engine/index.ts';
import { createScriptedUpstream } from './scripted-upstream.ts';

export const OWNER = 'owner-1';
export const CHAT = '/v1/chat/completions';

export interface TestEngineOptions {
  readonly storage?: Pick<EngineParts, 'store' | 'blobs' | 'results'>;
  readonly upstream?: Upstream;
  readonly webhooks?: WebhookSender;
  readonly tokens?: TokenCounter;
  readonly settings?: Partial<EngineSettings>;
  readonly clock?: Clock;
  readonly log?: Log;
}

/** An engine over storage in memory and an upstream in the process. */
export function createTestEngine(options: TestEngineOptions = {}): Engine {
  return createEngine({
    ...(options.storage ?? createMemoryStorage()),
    upstream: options.upstream ?? createScriptedUpstream(),
    webhooks: options.webhooks,
    tokens: options.tokens,
    clock: options.clock,
    log: options.log,
    settings: { retryBaseMs: 1, ...options.settings },
  });
}

/** One input line as text, without its line break. */
export function inputLine(customId: string, options: { model?: string; body?: string } = {}): string {
  const body = options.body ?? JSON.stringify({ model: options.model ?? 'm', n: customId });
  return `{"custom_id":${JSON.stringify(customId)},"method":"POST","url":"${CHAT}","body":${body}}`;
}

/** `count` lines named `<prefix>1` … */
export function inputLines(count: number, prefix = 'line-'): string[] {
  return Array.from({ length: count }, (_, i) => inputLine(`${prefix}${i + 1}`));
}

/** Uploads lines and creates a batch over them, both for `options.owner`. */
export async function submit(
  engine: Engine,
  lines: readonly string[] | string,
  options: Partial<CreateBatchRequest> = {},
): Promise<Batch> {
  const text = typeof lines === 'string' ? lines : lines.map((line) => `${line}\n`).join('');
  const file = await engine.files.upload({
    owner: options.owner ?? OWNER,
    filename: 'input.jsonl',
    purpose: 'batch',
    source: bytesOf(text),
  });
  return await engine.batches.create({
    owner: OWNER,
    inputFileId: file.id,
    endpoint: CHAT,
    completionWindow: '24h',
    ...options,
  });
}

/** A stream of one buffer. */
export async function* bytesOf(text: string | Uint8Array): AsyncGenerator<Uint8Array> {
  yield typeof text === 'string' ? Buffer.from(text) : text;
}

/** The whole text of a file; '' for none. */
export async function readText(engine: Engine, fileId: string | null): Promise<string> {
  if (fileId === null) return '';
  const parts: Uint8Array[] = [];
  for await (const part of engine.files.read(await engine.files.get(OWNER, fileId))) parts.push(part);
  return Buffer.concat(parts).toString();
}

/** One parsed result line. */
export interface ResultLine {
  readonly id: string;
  readonly custom_id: string;
  readonly response: {
    readonly status_code: number;
    readonly request_id: string;
    readonly body: unknown;
  } | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

/** The parsed lines of a result file; none for null. */
export async function readResults(engine: Engine, fileId: string | null): Promise<ResultLine[]> {
  const lines = (await readText(engine, fileId)).split('\n');
  if (lines.pop() !== '') throw new Error('the file does not end with a line break');
  return lines.map((line) => JSON.parse(line) as ResultLine);
}
