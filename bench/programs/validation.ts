/**
 * Validates one input file as the service does, in a process of its own. Arguments: data folder, lines, bytes a line. Sends
 * {seconds, bytes, longestHoldMs, extraBytes} for each message it gets, and ends when its parent disconnects.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createDiskBlobStore, createDiskResultLog, openDataFolder } from '../../src/adapters/disk/index.ts';
import { openSqliteStore } from '../../src/adapters/sqlite/index.ts';
import { createHttpUpstream } from '../../src/adapters/upstream/index.ts';
import { createEngine, prepareBatch, systemClock } from '../../src/engine/index.ts';
import { inputFile } from '../input.ts';

const [path = '', lines = '', lineBytes = ''] = process.argv.slice(2);
const folder = await openDataFolder({ path });
const store = openSqliteStore({ path: folder.databasePath });
const engine = createEngine({
  store,
  blobs: await createDiskBlobStore({ folder }),
  results: await createDiskResultLog({ folder }),
  // Takes every model; nothing is ever sent.
  upstream: createHttpUpstream({
    baseUrl: 'http://127.0.0.1:9/v1',
    apiKey: null,
    requestTimeoutMs: 1000,
    maxResponseBytes: 1000,
    clock: systemClock,
  }),
  settings: { maxBatchBytes: 2 ** 40, maxFileBytes: 2 ** 40 },
});
const file = await engine.files.upload({
  source: inputFile(Number(lines), Number(lineBytes)),
  owner: 'bench',
  filename: 'bench.jsonl',
  purpose: 'batch',
});

/** Bytes of a line of /proc/self/status. */
function memory(name: string): number {
  return (
    Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(readFileSync('/proc/self/status', 'latin1'))?.[1]) * 1024
  );
}

async function validate(): Promise<void> {
  await engine.batches.create({
    owner: 'bench',
    inputFileId: file.id,
    endpoint: '/v1/chat/completions',
    completionWindow: '24h',
    metadata: null,
  });
  let step = await store.claimBatchStep('bench', Date.now());
  // The batch before was cancelled, and waits for its end.
  while (step?.step === 'finalize') step = await store.claimBatchStep('bench', Date.now());
  if (step === null) throw new Error('the batch cannot be prepared');
  const idle = memory('VmRSS');
  // See proc(5): sets the peak to what is resident now.
  writeFileSync('/proc/self/clear_refs', '5');
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const from = performance.now();
  await prepareBatch(engine.context, step, new AbortController().signal);
  const seconds = (performance.now() - from) / 1000;
  delay.disable();
  const batch = await store.getBatch('bench', step.batch.id);
  if (batch?.status !== 'in_progress')
    throw new Error(`the batch is ${String(batch?.status)}: ${batch?.errors?.[0]?.message}`);
  await store.cancelBatch('bench', step.batch.id, Date.now());
  process.send?.({
    seconds,
    bytes: file.blob.bytes,
    longestHoldMs: delay.max / 1e6,
    extraBytes: memory('VmHWM') - idle,
  });
}

process.on('message', () => void validate());
process.on('disconnect', () => process.exit(0));
process.send?.('ready');
