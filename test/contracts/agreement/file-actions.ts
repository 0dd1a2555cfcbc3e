/** What happens to files, and to uploads in parts. */
import { anUpload, aPart } from '../store-uploads.ts';
import { aFile, T0 } from '../../helpers/store-fixtures.ts';

import { limitsOf, pick } from './world.ts';
import type { Action } from './world.ts';

export const FILE_ACTIONS: Readonly<Record<string, Action>> = {
  async insertFile({ both, files, batches }, n, m) {
    const input = batches.length > 0 && n % 2 === 0 ? 'file-input' : undefined;
    const file = aFile({
      ...(input === undefined ? {} : { id: input }),
      createdAt: T0 + (m % 3),
      expiresAt: n % 3 === 0 ? null : T0 + (m % 6),
    });
    files.push(file.id);
    await both((store) => store.insertFile(file, limitsOf(m)));
  },
  async listFiles({ both, files }, n, m) {
    const after = m % 3 === 0 ? pick(files, n) : undefined;
    const order = n % 2 === 0 ? 'asc' : 'desc';
    await both((store) =>
      store.listFiles({ owner: 'ann', order, after, limit: 1 + (m % 4), now: T0 + (n % 4) }),
    );
  },
  async deleteFile({ both, files }, n, m) {
    await both((store) => store.deleteFile('ann', pick(files, n) ?? 'file-unknown', T0 + (m % 4)));
  },
  expireFiles: ({ both }, n) =>
    both(async (store) => (await store.expireFiles(T0 + (n % 7), 100)).map(({ key }) => key).toSorted()),
};

export const UPLOAD_ACTIONS: Readonly<Record<string, Action>> = {
  async insertUpload({ both, uploads }, n, m) {
    const upload = anUpload({ bytes: 1 + (n % 4), expiresAt: T0 + 1 + (m % 9) });
    uploads.push(upload.id);
    await both((store) => store.insertUpload(upload, limitsOf(n)));
  },
  async addPart({ both, uploads }, n, m) {
    const part = aPart(pick(uploads, n) ?? 'upload_unknown', 'abcd'.slice(0, m % 4), T0 + (m % 3));
    await both((store) => store.addUploadPart(m % 9 === 0 ? 'bob' : 'ann', part, limitsOf(n)));
  },
  async completeUpload({ both, uploads }, n, m) {
    const file = aFile();
    await both((store) =>
      store.completeUpload('ann', pick(uploads, n) ?? '', T0 + (m % 6), file, limitsOf(m)),
    );
  },
  async cancelUpload({ both, uploads }, n, m) {
    await both((store) => store.cancelUpload('ann', pick(uploads, n) ?? '', T0 + (m % 6)));
  },
  expireUploads: ({ both }, n) => both((store) => store.expireUploads(T0 + (n % 9), 100)),
  // All of them, for which come first is a store's own choice.
  removeParts: ({ both }) =>
    both(async (store) => {
      const removed: string[] = [];
      for (;;) {
        const blobs = await store.removeUploadParts(100);
        if (blobs.length === 0) return removed.toSorted();
        removed.push(...blobs.map(({ key }) => key));
      }
    }),
  purgeUploads: ({ both }, n) => both((store) => store.purgeUploads(T0 + (n % 7))),
  async readUpload({ both, uploads }, n, m) {
    const id = pick(uploads, n) ?? '';
    await both(async (store) => [
      await store.getUpload('ann', id, T0 + (m % 9)),
      (await store.readUploadParts(id)).toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    ]);
  },
};
