import { inspect } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { listenForHints, openPostgresStore } from '../../src/adapters/postgres/index.ts';
import type { Store } from '../../src/engine/ports.ts';
import { usePostgres } from '../helpers/postgres.ts';
import { aBatch, anEvent, createBatch, T0 } from '../helpers/store-fixtures.ts';
import { startTcpProxy } from '../helpers/tcp-proxy.ts';

const postgres = usePostgres();

const LISTENERS = "from pg_stat_activity where application_name = 'anyllm-batch hints'";

async function openStore(): Promise<Store> {
  const store = await postgres.openStore();
  onTestFinished(() => store.close());
  return store;
}

/** Counts the hints that come from now on; resolves when it listens. */
async function listen(url = postgres.url): Promise<{ hints: number; lost: Error[] }> {
  const heard = { hints: 0, lost: [] as Error[] };
  const hints = listenForHints({
    url,
    onHint: () => heard.hints++,
    onLost: (error) => heard.lost.push(error),
  });
  onTestFinished(() => hints.close());
  // The first one says that it listens.
  await expect.poll(() => heard.hints).toBe(1);
  return heard;
}

describe('hints', () => {
  it('come of a create and of a cancel that changed something, and of nothing else', async () => {
    const [store, other] = [
      await openStore(),
      await openPostgresStore({ url: postgres.url, maxConnections: 2, onLost() {} }),
    ];
    onTestFinished(() => other.close());
    const heard = await listen();
    const batch = await createBatch(store);
    await expect.poll(() => heard.hints).toBe(2);
    await other.cancelBatch('ann', batch.id, T0);
    await expect.poll(() => heard.hints).toBe(3);
    await other.cancelBatch('ann', batch.id, T0);
    await other.cancelBatch('ann', 'batch_unknown', T0);
    await other.claimBatchStep('w', T0);
    await store.renewLease('w');
    // What was told before this has been heard by now.
    await other.cancelBatch('ann', (await createBatch(store)).id, T0);
    await expect.poll(() => heard.hints).toBeGreaterThan(3);
    expect(heard.hints).toBeLessThanOrEqual(5);
    expect(heard.lost).toEqual([]);
  });

  it('are not given by a create that was refused or is known already', async () => {
    const store = await openStore();
    const heard = await listen();
    const batch = aBatch();
    const submit = (over: object) =>
      store.submitBatch({
        batch,
        event: anEvent(batch, 'batch.queued'),
        inputFile: null,
        once: { key: 'k', fingerprint: '0'.repeat(64) },
        forgetUntil: 0,
        ...over,
      });
    expect(await submit({})).toEqual({ kind: 'created' });
    await expect.poll(() => heard.hints).toBe(2);
    expect((await submit({})).kind).toBe('known');
    const none = { requestsPerMinute: null, maxStoredBytes: null, maxQueuedLines: null, maxLiveBatches: 0 };
    expect((await submit({ once: null, limits: none })).kind).toBe('over_limit');
    await store.ping();
    expect(heard.hints).toBe(2);
  });

  it('in a burst are one call, and one more for those that came during it', async () => {
    const store = await openStore();
    const heard = await listen();
    await Promise.all(Array.from({ length: 50 }, () => createBatch(store)));
    await expect.poll(() => heard.hints).toBeGreaterThan(1);
    expect(heard.hints).toBeLessThan(20);
  });

  it('come again after the connection broke, whose loss is told once and without the password', async () => {
    const store = await openStore();
    const { hostname: host, port } = new URL(postgres.url);
    const target = { host, port: Number(port) };
    const proxy = await startTcpProxy(target, () => 'pass');
    const url = new URL(postgres.url);
    url.port = String(proxy.port);
    const heard = await listen(url.href);
    await postgres.query(`select pg_terminate_backend(pid) ${LISTENERS}`);
    await expect.poll(() => heard.lost.length).toBe(1);
    // The call after the new connection: hints may have been missed meanwhile.
    await expect.poll(() => heard.hints, { timeout: 5000 }).toBe(2);
    await createBatch(store);
    await expect.poll(() => heard.hints).toBe(3);
    await proxy.close();
    await expect.poll(() => heard.lost.length).toBe(2);
    expect(inspect(heard.lost)).not.toContain('postgres:postgres');
  });

  it('are no longer listened for after the close, also where there was no connection', async () => {
    const heard: Error[] = [];
    const hints = listenForHints({
      url: 'postgres://u:secret@127.0.0.1:1/x',
      onHint: () => {
        throw new Error('nothing can be heard here');
      },
      onLost: (error) => heard.push(error),
    });
    await expect.poll(() => heard.length).toBe(1);
    await hints.close();
    const count = async () => (await postgres.query(`select ${LISTENERS}`)).length;
    await expect.poll(count).toBe(0);
  });
});
