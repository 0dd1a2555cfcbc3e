/**
 * `npm run demo`: the whole service in one process, with a temporary data folder and no settings. Uploads
 * `chat.jsonl` with the official SDK, runs it as a batch on the built-in model `echo`, receives the webhooks, and
 * prints the results. Exits with 0 where all of that worked, else with 1, and leaves nothing behind in either case.
 */
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';
import { pino } from 'pino';
import { loadConfig } from '../src/config.ts';
import { startService } from '../src/service.ts';
import { command, comment, done, progress, title } from './output.ts';
import { openWebhookReceiver } from './webhook-receiver.ts';
import type { WebhookReceiver } from './webhook-receiver.ts';

const INPUT = new URL('chat.jsonl', import.meta.url);
const TIMEOUT_MS = 60_000;
const POLL_MS = 50;
/** Where a service that was started with `npm start` listens: the printed commands are for that one. */
const BY_HAND = 'http://127.0.0.1:8080/v1';

/** Opens everything, tells the story, and closes everything again, also where the story was cut short. */
async function run(signal: AbortSignal): Promise<void> {
  const closers: (() => Promise<unknown>)[] = [];
  try {
    const folder = await mkdtemp(join(tmpdir(), 'anyllm-batch-demo-'));
    closers.push(() => rm(folder, { recursive: true, force: true }));
    const secret = `whsec_${randomBytes(32).toString('base64')}`;
    const receiver = await openWebhookReceiver({ secret });
    closers.push(() => receiver.close());
    const config = loadConfig({
      PORT: '0',
      DATA_DIR: folder,
      WEBHOOK_URLS: receiver.url,
      WEBHOOK_SIGNING_SECRET: secret,
    });
    const service = await startService(config, pino({ level: 'warn' }, pino.destination(2)));
    closers.push(() => service.stop());

    title('Start the service: no key, no database, no settings');
    command('npm start');
    done(`listening on ${service.url}, data in ${folder}`);
    await story(new OpenAI({ apiKey: 'unused', baseURL: `${service.url}/v1` }), receiver, signal);
  } finally {
    await closeAll(closers);
  }
}

/** Closes what was opened, the last first, and the others also where one of them fails. */
async function closeAll(closers: (() => Promise<unknown>)[]): Promise<void> {
  const close = closers.pop();
  if (close === undefined) return;
  try {
    await close();
  } finally {
    await closeAll(closers);
  }
}

async function story(client: OpenAI, receiver: WebhookReceiver, signal: AbortSignal): Promise<void> {
  const file = await upload(client, signal);
  const created = await create(client, file.id, signal);
  const batch = await follow(client, created.id, signal);

  title('Receive the webhooks: signed, verified with `client.webhooks.unwrap`');
  await receiver.waitFor('batch.completed', signal);
  done(receiver.received.join(', '));

  await fetchResults(client, batch, signal);
}

async function upload(client: OpenAI, signal: AbortSignal): Promise<OpenAI.FileObject> {
  title('Upload the requests: one JSON line each');
  command(`FILE=$(curl -s ${BY_HAND}/files -F purpose=batch -F file=@examples/chat.jsonl | jq -r .id)`);
  const file = await client.files.create({ file: createReadStream(INPUT), purpose: 'batch' }, { signal });
  done(`${file.id}, ${number(file.bytes)} bytes`);
  return file;
}

async function create(client: OpenAI, fileId: string, signal: AbortSignal): Promise<OpenAI.Batch> {
  title('Create the batch');
  command(
    `BATCH=$(curl -s ${BY_HAND}/batches -H 'content-type: application/json' -d '{"input_file_id": "'$FILE'",` +
      ` "endpoint": "/v1/chat/completions", "completion_window": "24h"}' | jq -r .id)`,
  );
  const batch = await client.batches.create(
    { input_file_id: fileId, endpoint: '/v1/chat/completions', completion_window: '24h' },
    { signal },
  );
  done(`${batch.id}, ${batch.status}`);
  return batch;
}

/** Shows how the batch comes on until it is completed; throws where it ends otherwise, or lacks an answer. */
async function follow(client: OpenAI, batchId: string, signal: AbortSignal): Promise<OpenAI.Batch> {
  title('Follow it');
  command(`curl -s ${BY_HAND}/batches/$BATCH`);
  for (;;) {
    const batch = await client.batches.retrieve(batchId, { signal });
    const { total, completed, failed } = batch.request_counts ?? { total: 0, completed: 0, failed: 0 };
    const counts = total === 0 ? '' : `: ${completed} of ${total} requests answered, ${failed} failed`;
    progress(batch.status + counts);
    if (['completed', 'failed', 'expired', 'cancelled'].includes(batch.status)) {
      progress(null);
      if (batch.status === 'completed' && total > 0 && completed === total) return batch;
      throw new Error(
        `the batch is ${batch.status}: ${JSON.stringify(batch.errors ?? batch.request_counts)}`,
      );
    }
    await sleep(POLL_MS, undefined, { signal });
  }
}

interface ResultLine {
  readonly custom_id: string;
  readonly response: { readonly body: OpenAI.ChatCompletion };
}

async function fetchResults(client: OpenAI, batch: OpenAI.Batch, signal: AbortSignal): Promise<void> {
  title('Fetch the results: one line for each request, in the order of the input');
  command(`curl -s ${BY_HAND}/files/$(curl -s ${BY_HAND}/batches/$BATCH | jq -r .output_file_id)/content`);
  const content = await client.files.content(batch.output_file_id ?? '', { signal });
  const lines = (await content.text()).trimEnd().split('\n');
  done(`${number(lines.length)} lines; ${tokens(batch.usage)}; the first three:`);
  for (const line of lines.slice(0, 3)) {
    const { custom_id, response } = JSON.parse(line) as ResultLine;
    done(`  ${custom_id}: ${response.body.choices[0]?.message.content}`);
  }
}

function tokens(usage: OpenAI.Batch['usage']): string {
  return `${number(usage?.input_tokens ?? 0)} tokens in, ${number(usage?.output_tokens ?? 0)} out`;
}

function number(value: number): string {
  return value.toLocaleString('en');
}

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => stop.abort(new Error(`stopped by ${signal}`)));
}
// Whoever reads the output went away (`npm run demo | head`): end in order, rather than with an exception.
process.stdout.on('error', (error) => stop.abort(error));

const startedAt = performance.now();
const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(TIMEOUT_MS)]);
comment('A batch of 200 chat requests, answered by the built-in model `echo`.');
comment('The commands do the same by hand on a service that you started with `npm start`.');
try {
  await run(signal);
  comment(
    `\nAll done in ${((performance.now() - startedAt) / 1000).toFixed(1)} s, and everything is removed again.`,
  );
  comment('With UPSTREAM_BASE_URL=http://localhost:11434/v1 npm start, a model server of yours answers.');
} catch (error) {
  const reason: unknown = signal.aborted ? signal.reason : error;
  process.stderr.write(
    `\nThe demonstration did not end well: ${reason instanceof Error ? reason.message : String(reason)}\n`,
  );
  process.exitCode = 1;
}
