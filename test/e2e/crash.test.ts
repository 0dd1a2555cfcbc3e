import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startUpstreamServer } from '../helpers/upstream-server.ts';
import { listeningUrl, ROOT, startNode } from './node-process.ts';
import type { NodeProcess } from './node-process.ts';
import {
  chatLines,
  createClient,
  endOf,
  resultsOf,
  startTestService,
  submitBatch,
  temporaryFolder,
} from './test-service.ts';

const LINES = 2000;

function startProcess(dataDir: string, upstreamUrl: string): NodeProcess {
  return startNode(['src/main.ts'], {
    cwd: ROOT,
    env: { PORT: '0', DATA_DIR: dataDir, UPSTREAM_BASE_URL: upstreamUrl, MAX_CONCURRENCY: '32' },
  });
}

describe('a process that is killed in the middle of a batch', () => {
  it('goes on after its restart, and each line has exactly one result: its own answer', async () => {
    const upstream = await startUpstreamServer(async (request) => {
      await new Promise((resolve) => setImmediate(resolve));
      return { body: { heard: request.json() } };
    });
    onTestFinished(() => upstream.close());
    const dataDir = await temporaryFolder();
    let service = startProcess(dataDir, upstream.baseUrl);
    let client = createClient(await listeningUrl(service));
    const { id, input_file_id } = await submitBatch(client, chatLines(LINES));

    for (const share of [0.2, 0.5, 0.8]) {
      await expect
        .poll(async () => (await client.batches.retrieve(id)).request_counts?.completed, {
          timeout: 20_000,
          interval: 2,
        })
        .toBeGreaterThan(LINES * share);
      service.kill('SIGKILL');
      await service.ended;
      service = startProcess(dataDir, upstream.baseUrl);
      client = createClient(await listeningUrl(service));
      expect((await client.files.retrieve(input_file_id)).id).toBe(input_file_id);
    }

    const batch = await endOf(client, id);
    expect(batch).toMatchObject({ status: 'completed', request_counts: { total: LINES, completed: LINES } });
    const results = await resultsOf(client, batch.output_file_id);
    expect(results.map((line) => line.custom_id)).toEqual(
      Array.from({ length: LINES }, (_, i) => `line-${i + 1}`),
    );
    for (const [i, line] of results.entries()) {
      expect(line.response?.body).toMatchObject({ heard: { messages: [{ content: `question ${i + 1}` }] } });
    }
    // At each kill at most what was in flight or gathering for a commit is sent again.
    expect(upstream.requests.length).toBeLessThan(LINES + 3 * 700);
    const keys = new Set(upstream.requests.map((request) => request.headers['idempotency-key']));
    expect(keys.size).toBe(LINES);
  });
});

describe('a process that is told to stop', () => {
  it('ends its requests in flight, exits with 0, and the next one sends only the rest', async () => {
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => (release = resolve));
    const upstream = await startUpstreamServer(async () => {
      await gate;
      return {};
    });
    onTestFinished(() => upstream.close());
    const dataDir = await temporaryFolder();
    const service = startProcess(dataDir, upstream.baseUrl);
    const client = createClient(await listeningUrl(service));
    const { id } = await submitBatch(client, chatLines(100));
    await expect.poll(() => upstream.requests.length, { timeout: 10_000 }).toBe(32);
    service.kill('SIGTERM');
    await expect.poll(() => service.stdout()).toContain('stopping');
    release();
    expect((await service.ended).code).toBe(0);
    expect(upstream.requests).toHaveLength(32);

    const next = startProcess(dataDir, upstream.baseUrl);
    const batch = await endOf(createClient(await listeningUrl(next)), id);
    expect(batch.request_counts).toEqual({ total: 100, completed: 100, failed: 0 });
    expect(upstream.requests).toHaveLength(100);
  });

  it('exits at once at the second signal', async () => {
    const upstream = await startUpstreamServer(() => 'hang');
    onTestFinished(() => upstream.close());
    const service = startProcess(await temporaryFolder(), upstream.baseUrl);
    const client = createClient(await listeningUrl(service));
    await submitBatch(client, chatLines(10));
    await expect.poll(() => upstream.requests.length, { timeout: 10_000 }).toBe(10);
    service.kill('SIGTERM');
    await expect.poll(() => service.stdout()).toContain('stopping');
    service.kill('SIGTERM');
    expect((await service.ended).code).toBe(1);
  });
});

describe('a start that cannot succeed', () => {
  it('names every bad setting', async () => {
    const env = { PORT: 'x', MAX_CONCURRENCY: '0', HOST: '0.0.0.0', UPSTREAM_BASE_URL: 'ftp://x' };
    const { code, stderr } = await startNode(['src/main.ts'], { cwd: ROOT, env }).ended;
    expect(code).toBe(1);
    for (const name of ['PORT', 'MAX_CONCURRENCY', 'UPSTREAM_BASE_URL'])
      expect(stderr).toContain(`${name}: `);
  });

  it('is told apart: no keys on a public address, a folder in use, a port in use', async () => {
    const dataDir = await temporaryFolder();
    const first = startNode(['src/main.ts'], { cwd: ROOT, env: { PORT: '0', DATA_DIR: dataDir } });
    const { port } = new URL(await listeningUrl(first));
    const start = async (env: Record<string, string>) =>
      await startNode(['src/main.ts'], { cwd: ROOT, env: { PORT: '0', ...env } }).ended;
    const open = await start({ HOST: '0.0.0.0', DATA_DIR: await temporaryFolder() });
    expect(open.stderr).toContain('API_KEYS: needed to listen on 0.0.0.0');
    const locked = await start({ DATA_DIR: dataDir });
    expect(locked.stdout).toContain(`in use by another process (pid ${first.pid}`);
    const taken = await start({ DATA_DIR: await temporaryFolder(), PORT: port });
    expect(taken.stdout).toContain('EADDRINUSE');
    expect([open.code, locked.code, taken.code]).toEqual([1, 1, 1]);
  });

  it('claims nothing, sends nothing and waits for no request where the port is in use', async () => {
    const upstream = await startUpstreamServer(() => 'hang');
    onTestFinished(() => upstream.close());
    const dataDir = await temporaryFolder();
    const first = await startTestService({ DATA_DIR: dataDir, UPSTREAM_BASE_URL: upstream.baseUrl });
    await submitBatch(first.client, chatLines(3));
    await expect.poll(() => upstream.requests.length, { timeout: 10_000 }).toBe(3);
    await first.stop();

    const claims = (): number => {
      const db = new Database(join(dataDir, 'database.db'), { readonly: true });
      try {
        return db.prepare<[], number>('select epoch from chunks').pluck().get() as number;
      } finally {
        db.close();
      }
    };
    const before = claims();
    const other = await startTestService();
    const taken = startTestService({
      DATA_DIR: dataDir,
      UPSTREAM_BASE_URL: upstream.baseUrl,
      PORT: new URL(other.url).port,
      SHUTDOWN_GRACE_MS: '60000',
    });
    await expect(taken).rejects.toThrow('EADDRINUSE');
    expect([claims(), upstream.requests.length]).toEqual([before, 3]);
  });
});
