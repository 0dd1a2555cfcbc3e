import { describe, expect } from 'vitest';
import type { AddPartResult } from '../../src/engine/files/upload-store.ts';
import { MAX_PARTS, newPartId, newUploadId } from '../../src/engine/files/upload.ts';
import type { UploadPart, UploadRecord } from '../../src/engine/files/upload.ts';
import type { Store } from '../../src/engine/ports.ts';
import { aBlob, aFile, HOUR_MS, T0 } from '../helpers/store-fixtures.ts';
import type { StoreIt } from './store-test.ts';

const EXPIRY = T0 + HOUR_MS;

export function anUpload(fields: Partial<UploadRecord> = {}): UploadRecord {
  return {
    id: newUploadId(),
    owner: 'ann',
    filename: 'input.jsonl',
    purpose: 'batch',
    bytes: 1000,
    expiresAfterSeconds: null,
    createdAt: T0,
    expiresAt: EXPIRY,
    status: 'pending',
    fileId: null,
    ...fields,
  };
}

export function aPart(uploadId: string, text: string, createdAt = T0): UploadPart {
  const sha256 = aBlob(`the bytes of ${text}`).key;
  return { id: newPartId(), uploadId, blob: aBlob(text), sha256, createdAt };
}

async function insertUpload(store: Store, fields: Partial<UploadRecord> = {}): Promise<UploadRecord> {
  const upload = anUpload(fields);
  await store.insertUpload(upload);
  return upload;
}

async function addPart(store: Store, upload: UploadRecord, text: string): Promise<UploadPart> {
  const part = aPart(upload.id, text);
  expect(await store.addUploadPart('ann', part)).toEqual({ kind: 'ok', upload, blob: part.blob });
  return part;
}

const byId = (a: UploadPart, b: UploadPart): number => (a.id < b.id ? -1 : 1);

async function partsOf(store: Store, { id }: UploadRecord): Promise<UploadPart[]> {
  return (await store.readUploadParts(id)).toSorted(byId);
}

/** Brings a pending upload to its end. */
const ENDS = {
  completed: async (store: Store, { id }: UploadRecord) => {
    const result = await store.completeUpload('ann', id, T0, aFile({ id: `file-of-${id}` }));
    return result.kind === 'ok' ? result.upload : null;
  },
  cancelled: async (store: Store, { id }: UploadRecord) => {
    const result = await store.cancelUpload('ann', id, T0);
    return result.kind === 'ok' ? result.upload : null;
  },
  expired: async (store: Store, upload: UploadRecord) => {
    await store.expireUploads(EXPIRY, 10);
    return { ...upload, status: 'expired' } as const;
  },
};

/** Uploads: files that come in parts. */
export function describeUploads(it: StoreIt): void {
  describe('uploads', () => {
    describePending(it);
    describeParts(it);
    describeEnds(it);
    describeTidying(it);
  });
}

function describePending(it: StoreIt): void {
  it('answers an upload as it was inserted, to its owner alone, and as expired from its time on', async ({
    store,
  }) => {
    const upload = await insertUpload(store, {
      filename: 'Ergebnis "ß" \u{1F600}.jsonl',
      purpose: 'user_data',
      bytes: 2 ** 33,
      expiresAfterSeconds: 3600,
    });
    expect(await store.getUpload('ann', upload.id, EXPIRY - 1)).toEqual(upload);
    expect(await store.getUpload('ann', upload.id, EXPIRY)).toEqual({ ...upload, status: 'expired' });
    expect(await store.getUpload('bob', upload.id, T0)).toBeNull();
    expect(await store.getUpload('ann', 'upload_unknown', T0)).toBeNull();
  });

  it('refuses an upload whose id is taken', async ({ store }) => {
    const upload = await insertUpload(store);
    await expect(store.insertUpload({ ...upload, filename: 'other' })).rejects.toThrow(/./);
    expect(await store.getUpload('ann', upload.id, T0)).toEqual(upload);
  });
}

function describeParts(it: StoreIt): void {
  it('adds parts, equal ones too, and answers those of one upload', async ({ store }) => {
    const upload = await insertUpload(store);
    const other = await insertUpload(store);
    const parts = [];
    for (const text of ['a', 'bb', 'a']) parts.push(await addPart(store, upload, text));
    await addPart(store, other, 'a');
    expect(await partsOf(store, upload)).toEqual(parts.toSorted(byId));
    expect(await store.readUploadParts('upload_unknown')).toEqual([]);
  });

  it('adds none to an unknown upload, nor to another owner’s', async ({ store }) => {
    const upload = await insertUpload(store);
    expect(await store.addUploadPart('ann', aPart('upload_unknown', 'a'))).toEqual({ kind: 'missing' });
    expect(await store.addUploadPart('bob', aPart(upload.id, 'a'))).toEqual({ kind: 'missing' });
    expect(await store.readUploadParts(upload.id)).toEqual([]);
  });

  it('adds none from the moment on at which the upload expires', async ({ store }) => {
    const upload = await insertUpload(store);
    expect(await store.addUploadPart('ann', aPart(upload.id, 'a', EXPIRY - 1))).toMatchObject({ kind: 'ok' });
    expect(await store.addUploadPart('ann', aPart(upload.id, 'b', EXPIRY))).toEqual({
      kind: 'refused',
      upload: { ...upload, status: 'expired' },
    });
    expect(await store.readUploadParts(upload.id)).toHaveLength(1);
  });

  it('adds no more bytes than were declared, and counts a part that is sent again once', async ({
    store,
  }) => {
    const upload = await insertUpload(store, { bytes: 5 });
    await addPart(store, upload, 'abc');
    await addPart(store, upload, 'abc');
    const full = { kind: 'full', upload, parts: 2, partBytes: 3 } satisfies AddPartResult;
    expect(await store.addUploadPart('ann', aPart(upload.id, 'xyz'))).toEqual(full);
    await addPart(store, upload, 'de');
    await addPart(store, upload, '');
    expect(await store.addUploadPart('ann', aPart(upload.id, 'f'))).toMatchObject({ partBytes: 5 });
    expect(await store.readUploadParts(upload.id)).toHaveLength(4);
  });

  it('knows a part that is sent again by its bytes: it names the blob of the first one, and nothing its own', async ({
    store,
  }) => {
    const upload = await insertUpload(store, { bytes: 3 });
    const first = await addPart(store, upload, 'abc');
    const again: UploadPart = { ...first, id: newPartId(), blob: aBlob('another key of abc') };
    const { blob } = first;
    expect(await store.addUploadPart('ann', again)).toEqual({ kind: 'ok', upload, blob });
    expect(await partsOf(store, upload)).toEqual([first, { ...again, blob }].toSorted(byId));
    expect(await store.blobInUse(again.blob.key)).toBe(false);
    await store.cancelUpload('ann', upload.id, T0);
    expect(await store.removeUploadParts(1)).toEqual([blob]);
    expect(await store.blobInUse(blob.key)).toBe(true);
    expect(await store.removeUploadParts(1)).toEqual([blob]);
    expect(await store.blobInUse(blob.key)).toBe(false);
  });

  it('adds no more than so many parts', async ({ store }) => {
    const upload = await insertUpload(store);
    const add = () => store.addUploadPart('ann', aPart(upload.id, ''));
    // All at once some would wait for a connection for longer than a store lets them.
    for (let added = 0; added < MAX_PARTS; added += 100) await Promise.all(Array.from({ length: 100 }, add));
    expect(await store.addUploadPart('ann', aPart(upload.id, ''))).toEqual({
      kind: 'full',
      upload,
      parts: MAX_PARTS,
      partBytes: 0,
    });
    expect(await store.readUploadParts(upload.id)).toHaveLength(MAX_PARTS);
  });

  it('find their blob in use as long as they are there', async ({ store }) => {
    const upload = await insertUpload(store);
    const { blob } = await addPart(store, upload, 'shared');
    expect(await store.blobInUse(blob.key)).toBe(true);
    expect(await store.blobInUse(aBlob('other').key)).toBe(false);
    await store.cancelUpload('ann', upload.id, T0);
    expect(await store.blobInUse(blob.key)).toBe(true);
    expect(await store.removeUploadParts(10)).toEqual([blob]);
    expect(await store.blobInUse(blob.key)).toBe(false);
  });
}

function describeEnds(it: StoreIt): void {
  it('completes a pending upload together with its file', async ({ store }) => {
    const upload = await insertUpload(store);
    const file = aFile();
    const completed = { ...upload, status: 'completed', fileId: file.id } as const;
    expect(await store.completeUpload('ann', upload.id, T0, file)).toEqual({ kind: 'ok', upload: completed });
    expect(await store.getUpload('ann', upload.id, EXPIRY)).toEqual(completed);
    expect(await store.getFile('ann', file.id, T0)).toEqual(file);
  });

  it('does not complete it where the file’s id is taken', async ({ store }) => {
    const upload = await insertUpload(store);
    const file = aFile();
    await store.insertFile(file);
    await expect(store.completeUpload('ann', upload.id, T0, file)).rejects.toThrow(/./);
    expect(await store.getUpload('ann', upload.id, T0)).toEqual(upload);
  });

  it('goes by the time at which complete was asked for, not by that of the file', async ({ store }) => {
    const upload = await insertUpload(store);
    const file = aFile({ createdAt: EXPIRY + 5 });
    expect(await store.completeUpload('ann', upload.id, EXPIRY - 1, file)).toMatchObject({ kind: 'ok' });
  });

  it('lets one of many complete it', async ({ store }) => {
    const upload = await insertUpload(store);
    const files = Array.from({ length: 5 }, () => aFile());
    const results = await Promise.all(files.map((file) => store.completeUpload('ann', upload.id, T0, file)));
    const won = results.filter((result) => result.kind === 'ok');
    expect(won).toHaveLength(1);
    const found = await Promise.all(files.map(({ id }) => store.getFile('ann', id, T0)));
    expect(found.filter((file) => file !== null).map(({ id }) => id)).toEqual([won[0]?.upload.fileId]);
  });

  it('neither completes nor cancels one that is unknown, another owner’s or expired', async ({ store }) => {
    const upload = await insertUpload(store);
    const { id } = upload;
    const refused = { kind: 'refused', upload: { ...upload, status: 'expired' } };
    const file = aFile();
    expect(await store.completeUpload('ann', 'upload_unknown', T0, file)).toEqual({ kind: 'missing' });
    expect(await store.completeUpload('bob', id, T0, file)).toEqual({ kind: 'missing' });
    expect(await store.completeUpload('ann', id, EXPIRY, file)).toEqual(refused);
    expect(await store.cancelUpload('ann', 'upload_unknown', T0)).toEqual({ kind: 'missing' });
    expect(await store.cancelUpload('bob', id, T0)).toEqual({ kind: 'missing' });
    expect(await store.cancelUpload('ann', id, EXPIRY)).toEqual(refused);
    expect(await store.getUpload('ann', id, T0)).toEqual(upload);
    expect(await store.getFile('ann', file.id, T0)).toBeNull();
  });

  for (const [status, end] of Object.entries(ENDS)) {
    it(`changes nothing of one that is ${status}`, async ({ store }) => {
      const upload = await insertUpload(store);
      const ended = await end(store, upload);
      expect(ended?.status).toBe(status);
      const refused = { kind: 'refused', upload: ended };
      expect(await store.addUploadPart('ann', aPart(upload.id, 'a'))).toEqual(refused);
      expect(await store.completeUpload('ann', upload.id, T0, aFile())).toEqual(refused);
      expect(await store.cancelUpload('ann', upload.id, T0)).toEqual(refused);
      expect(await store.expireUploads(EXPIRY, 10)).toBe(0);
      expect(await store.getUpload('ann', upload.id, T0)).toEqual(ended);
      expect(await store.readUploadParts(upload.id)).toEqual([]);
    });
  }
}

function describeTidying(it: StoreIt): void {
  it('expires uploads of all owners, the longest expired first, no more than asked for', async ({
    store,
  }) => {
    const second = await insertUpload(store, { expiresAt: T0 + 2, owner: 'bob' });
    const first = await insertUpload(store, { expiresAt: T0 + 1 });
    const live = await insertUpload(store, { expiresAt: T0 + 3 });
    expect(await store.expireUploads(T0 + 2, 1)).toBe(1);
    expect((await store.getUpload('ann', first.id, T0))?.status).toBe('expired');
    expect((await store.getUpload('bob', second.id, T0))?.status).toBe('pending');
    expect(await store.expireUploads(T0 + 2, 10)).toBe(1);
    expect((await store.getUpload('bob', second.id, T0))?.status).toBe('expired');
    expect((await store.getUpload('ann', live.id, T0))?.status).toBe('pending');
  });

  for (const [status, end] of Object.entries(ENDS)) {
    it(`removes the parts of one that is ${status}, some at a time, and no others`, async ({ store }) => {
      const live = await insertUpload(store, { expiresAt: EXPIRY + 1 });
      await addPart(store, live, 'live');
      const uploads = [await insertUpload(store), await insertUpload(store)];
      const removed = new Set<string>();
      for (const [i, upload] of uploads.entries()) {
        for (const letter of 'xyzw') {
          removed.add((await addPart(store, upload, `${letter}${i}`)).blob.key);
        }
      }
      for (const upload of uploads) await end(store, upload);
      const counts = [];
      for (;;) {
        const blobs = await store.removeUploadParts(2);
        if (blobs.length === 0) break;
        counts.push(blobs.length);
        for (const { key } of blobs) expect(removed.delete(key)).toBe(true);
      }
      expect(counts).toEqual([2, 2, 2, 2]);
      expect(await store.readUploadParts(live.id)).toHaveLength(1);
    });

    it(`forgets one that is ${status} when it has no parts and its end lies back long enough`, async ({
      store,
    }) => {
      const upload = await insertUpload(store);
      const pending = await insertUpload(store, { expiresAt: EXPIRY + 1 });
      await addPart(store, upload, 'a');
      await end(store, upload);
      expect(await store.purgeUploads(EXPIRY + 1)).toBe(0);
      await store.removeUploadParts(10);
      expect(await store.purgeUploads(T0)).toBe(0);
      expect(await store.purgeUploads(EXPIRY + 1)).toBe(1);
      expect(await store.getUpload('ann', upload.id, T0)).toBeNull();
      expect(await store.getUpload('ann', pending.id, T0)).toEqual(pending);
    });
  }
}
