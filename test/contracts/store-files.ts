import { describe, expect } from 'vitest';
import type { FileRecord } from '../../src/engine/files/file.ts';
import type { FileQuery, Store } from '../../src/engine/ports.ts';
import {
  aBlob,
  aFile,
  batchIn,
  claimStepOf,
  createBatch,
  failOf,
  HOUR_MS,
  startBatch,
  startOf,
  T0,
} from '../helpers/store-fixtures.ts';
import type { StoreIt } from './store-test.ts';

const LATER = T0 + HOUR_MS;

function query(fields: Partial<FileQuery> = {}): FileQuery {
  return { owner: 'ann', order: 'asc', limit: 100, now: T0, ...fields };
}

async function insertFile(store: Store, fields: Partial<FileRecord> = {}): Promise<FileRecord> {
  const file = aFile(fields);
  await store.insertFile(file);
  return file;
}

async function listIds(store: Store, fields: Partial<FileQuery> = {}): Promise<string[] | null> {
  const page = await store.listFiles(query(fields));
  return page === null ? null : page.data.map((file) => file.id);
}

/** Files: rows that name blobs. */
export function describeFiles(it: StoreIt): void {
  describe('files', () => {
    describeReading(it);
    describeListing(it);
    describeRemoval(it);
    describeBlobs(it);
  });
}

function describeReading(it: StoreIt): void {
  it('answers a file as it was inserted', async ({ store }) => {
    const file = await insertFile(store, {
      purpose: 'batch_output',
      filename: 'Ergebnis "ß" \u{1F600}.jsonl',
      blob: { key: 'f'.repeat(64), bytes: 2 ** 40 },
      expiresAt: LATER,
    });
    expect(await store.getFile('ann', file.id, T0)).toEqual(file);
  });

  it('refuses a file whose id is taken', async ({ store }) => {
    const file = await insertFile(store);
    await expect(store.insertFile({ ...file, filename: 'other' })).rejects.toThrow(/./);
    expect(await store.getFile('ann', file.id, T0)).toEqual(file);
  });

  it('answers null for an unknown file, for one of another owner, and for an expired one', async ({
    store,
  }) => {
    const { id } = await insertFile(store, { expiresAt: LATER });
    expect(await store.getFile('ann', 'file-unknown', T0)).toBeNull();
    expect(await store.getFile('bob', id, T0)).toBeNull();
    expect(await store.getFile('ann', id, LATER - 1)).not.toBeNull();
    expect(await store.getFile('ann', id, LATER)).toBeNull();
  });
}

function describeListing(it: StoreIt): void {
  it('lists by creation in both orders, and files of the same time by insertion', async ({ store }) => {
    const late = await insertFile(store, { createdAt: T0 + 2 });
    const first = await insertFile(store, { createdAt: T0 + 1 });
    const second = await insertFile(store, { createdAt: T0 + 1 });
    expect(await listIds(store)).toEqual([first.id, second.id, late.id]);
    expect(await listIds(store, { order: 'desc' })).toEqual([late.id, second.id, first.id]);
  });

  it('answers whole records', async ({ store }) => {
    const file = await insertFile(store, { expiresAt: LATER });
    expect(await store.listFiles(query())).toEqual({ data: [file], hasMore: false });
  });

  it('lists neither the files of other owners nor expired ones', async ({ store }) => {
    await insertFile(store, { owner: 'bob' });
    await insertFile(store, { expiresAt: T0 });
    const live = await insertFile(store, { expiresAt: T0 + 1 });
    expect(await listIds(store)).toEqual([live.id]);
    expect(await listIds(store, { owner: 'carl' })).toEqual([]);
  });

  it('lists one purpose, also after a file of another one', async ({ store }) => {
    const input = await insertFile(store);
    const output = await insertFile(store, { purpose: 'batch_output' });
    expect(await listIds(store, { purpose: 'batch_output' })).toEqual([output.id]);
    expect(await listIds(store, { purpose: 'batch_output', after: input.id })).toEqual([output.id]);
    expect(await listIds(store, { purpose: 'batch', after: output.id })).toEqual([]);
  });

  it('says whether there are more', async ({ store }) => {
    for (let i = 0; i < 3; i++) await insertFile(store);
    expect(await store.listFiles(query({ limit: 2 }))).toMatchObject({ hasMore: true });
    expect(await store.listFiles(query({ limit: 3 }))).toMatchObject({ hasMore: false });
  });

  it('answers null after a file that is unknown, another owner’s, or expired', async ({ store }) => {
    const others = await insertFile(store, { owner: 'bob' });
    const expired = await insertFile(store, { expiresAt: T0 });
    expect(await listIds(store, { after: 'file-unknown' })).toBeNull();
    expect(await listIds(store, { after: others.id })).toBeNull();
    expect(await listIds(store, { after: expired.id })).toBeNull();
  });

  for (const order of ['asc', 'desc'] as const) {
    it(`pages 250 files (${order}) without gaps or repeats while others are inserted`, async ({ store }) => {
      const files: FileRecord[] = [];
      for (let i = 0; i < 250; i++)
        files.push(await insertFile(store, { createdAt: T0 + Math.floor(i / 7) }));
      const seen: string[] = [];
      let after: string | undefined;
      for (;;) {
        const page = await store.listFiles(query({ order, after, limit: 9 }));
        seen.push(...(page?.data ?? []).map((file) => file.id));
        after = seen.at(-1);
        if (page?.hasMore !== true) break;
        if (seen.length < 200) await insertFile(store, { createdAt: T0 + 1000 });
      }
      const expected = files.map((file) => file.id);
      if (order === 'desc') expected.reverse();
      expect(seen.slice(0, 250)).toEqual(expected);
      expect(new Set(seen).size).toBe(seen.length);
    });
  }
}

function describeRemoval(it: StoreIt): void {
  it('deletes a file and answers its blob', async ({ store }) => {
    const file = await insertFile(store);
    expect(await store.deleteFile('ann', file.id, T0)).toEqual({ kind: 'deleted', blob: file.blob });
    expect(await store.getFile('ann', file.id, T0)).toBeNull();
    expect(await store.deleteFile('ann', file.id, T0)).toEqual({ kind: 'missing' });
  });

  it('deletes neither another owner’s file nor an expired one', async ({ store }) => {
    const file = await insertFile(store, { expiresAt: LATER });
    expect(await store.deleteFile('bob', file.id, T0)).toEqual({ kind: 'missing' });
    expect(await store.deleteFile('ann', file.id, LATER)).toEqual({ kind: 'missing' });
    expect(await store.getFile('ann', file.id, T0)).toEqual(file);
  });

  for (const situation of ['validating', 'in_progress', 'finalizing as completed', 'cancelling'] as const) {
    it(`keeps the input of a batch that is ${situation}`, async ({ store }) => {
      const batch = await batchIn(store, situation);
      await insertFile(store, { id: batch.inputFileId, expiresAt: LATER });
      expect(await store.deleteFile('ann', batch.inputFileId, T0)).toEqual({
        kind: 'in_use',
        batch: { id: batch.id, format: batch.format },
      });
      expect(await store.expireFiles(LATER, 10)).toEqual([]);
      expect(await store.getFile('ann', batch.inputFileId, T0)).not.toBeNull();
    });
  }

  for (const situation of ['failed', 'completed', 'expired', 'cancelled'] as const) {
    it(`removes the input of a batch that is ${situation}`, async ({ store }) => {
      const batch = await batchIn(store, situation);
      const file = aFile({ id: batch.inputFileId, expiresAt: LATER });
      await store.insertFile(file);
      expect(await store.deleteFile('ann', file.id, T0)).toEqual({ kind: 'deleted', blob: file.blob });
      await store.insertFile(file);
      expect(await store.expireFiles(LATER, 10)).toEqual([file.blob]);
    });
  }

  it('is not kept from removing a file by another owner’s batch that names it', async ({ store }) => {
    const file = await insertFile(store, { expiresAt: LATER });
    await createBatch(store, { owner: 'bob', inputFileId: file.id });
    expect(await store.expireFiles(LATER, 10)).toEqual([file.blob]);
    await store.insertFile(file);
    expect(await store.deleteFile('ann', file.id, T0)).toMatchObject({ kind: 'deleted' });
  });

  it('expires files of all owners, the longest expired first, no more than asked for', async ({ store }) => {
    const second = await insertFile(store, { expiresAt: T0 + 2, owner: 'bob' });
    const first = await insertFile(store, { expiresAt: T0 + 1 });
    const third = await insertFile(store, { expiresAt: T0 + 3 });
    const live = await insertFile(store, { expiresAt: T0 + 4 });
    const forever = await insertFile(store);
    const expired = await store.expireFiles(T0 + 3, 2);
    expect(new Set(expired.map((blob) => blob.key))).toEqual(new Set([first.blob.key, second.blob.key]));
    expect(await store.expireFiles(T0 + 3, 2)).toEqual([third.blob]);
    expect(await store.expireFiles(T0 + 3, 2)).toEqual([]);
    expect(await listIds(store)).toEqual([live.id, forever.id]);
  });
}

function describeBlobs(it: StoreIt): void {
  it('finds a blob in use while a file names it, also an expired one that is not yet removed', async ({
    store,
  }) => {
    const blob = aBlob('shared');
    expect(await store.blobInUse(blob.key)).toBe(false);
    const first = await insertFile(store, { blob });
    await insertFile(store, { blob, owner: 'bob', expiresAt: T0 });
    expect(await store.blobInUse(blob.key)).toBe(true);
    await store.deleteFile('ann', first.id, T0);
    expect(await store.blobInUse(blob.key)).toBe(true);
    await store.expireFiles(T0, 10);
    expect(await store.blobInUse(blob.key)).toBe(false);
  });

  it('finds a blob in use from the start of a batch that reads it until the batch ends', async ({
    store,
  }) => {
    const input = aBlob('read by a batch');
    const { id } = await createBatch(store);
    const step = await claimStepOf(store, id);
    expect(await store.blobInUse(input.key)).toBe(false);
    await store.startBatch(startOf(step, { input }));
    expect(await store.blobInUse(input.key)).toBe(true);
    await store.cancelBatch('ann', id, T0);
    expect(await store.blobInUse(input.key)).toBe(true);
    const { epoch, batch } = await claimStepOf(store, id);
    await store.finishBatch({
      ...failOf({ epoch, batch }),
      status: 'cancelled',
      counts: batch.counts,
      outputFile: null,
      errorFile: null,
    });
    expect(await store.blobInUse(input.key)).toBe(false);
  });

  it('does not find a blob in use because some other batch runs', async ({ store }) => {
    await startBatch(store);
    expect(await store.blobInUse(aBlob('not read').key)).toBe(false);
  });
}
