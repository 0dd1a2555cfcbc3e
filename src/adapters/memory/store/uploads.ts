import type { UploadRecord } from '../../../engine/files/upload.ts';
import { MAX_PARTS } from '../../../engine/files/upload.ts';
import type { UploadChange, UploadStore } from '../../../engine/files/upload-store.ts';
import { insertFiles } from './files.ts';
import { refuseBytes } from './owner-usage.ts';
import type { StoreState, UploadState } from './state.ts';

/** Files that come in parts. */
export function createUploadVerbs(state: StoreState): UploadStore {
  function find(owner: string, id: string): UploadState | undefined {
    const found = state.uploads.get(id);
    return found?.upload.owner === owner ? found : undefined;
  }

  /** Why the upload cannot be changed; undefined where it can be. */
  function refuse(
    found: UploadState | undefined,
    now: number,
  ): Exclude<UploadChange, { kind: 'ok' }> | undefined {
    if (found === undefined) return { kind: 'missing' };
    const upload = asOf(found.upload, now);
    return upload.status === 'pending' ? undefined : { kind: 'refused', upload };
  }

  function end(found: UploadState, fields: Partial<UploadRecord>, at: number): UploadChange {
    found.upload = { ...found.upload, ...fields };
    found.endedAt = at;
    return { kind: 'ok', upload: found.upload };
  }

  return {
    async insertUpload(upload, limits) {
      const over = refuseBytes(state, upload.owner, upload.bytes, limits);
      if (over !== null) return over;
      if (state.uploads.has(upload.id)) throw new Error(`upload ${upload.id} exists already`);
      state.uploads.set(upload.id, { upload, endedAt: null, parts: [], partBytes: 0 });
      return { kind: 'ok' };
    },
    async getUpload(owner, id, now) {
      const found = find(owner, id);
      return found === undefined ? null : asOf(found.upload, now);
    },
    async addUploadPart(owner, part, limits) {
      const found = find(owner, part.uploadId);
      const refused = refuse(found, part.createdAt);
      if (found === undefined || refused !== undefined) return refused ?? { kind: 'missing' };
      const { upload, parts, partBytes } = found;
      const equal = parts.find(({ sha256 }) => sha256 === part.sha256);
      const added = equal === undefined ? part.blob.bytes : 0;
      if (parts.length >= MAX_PARTS || partBytes + added > upload.bytes) {
        return { kind: 'full', upload, parts: parts.length, partBytes };
      }
      const over = refuseBytes(state, owner, added, limits);
      if (over !== null) return over;
      const blob = equal?.blob ?? part.blob;
      parts.push({ ...part, blob });
      found.partBytes += added;
      return { kind: 'ok', upload, blob };
    },
    readUploadParts: async (uploadId) => [...(state.uploads.get(uploadId)?.parts ?? [])],
    async completeUpload(owner, id, now, file, limits) {
      const found = find(owner, id);
      const refused = refuse(found, now);
      if (found === undefined || refused !== undefined) return refused ?? { kind: 'missing' };
      const over = refuseBytes(state, owner, file.blob.bytes - found.partBytes, limits);
      if (over !== null) return over;
      insertFiles(state, [file]);
      return end(found, { status: 'completed', fileId: file.id }, file.createdAt);
    },
    async cancelUpload(owner, id, now) {
      const found = find(owner, id);
      const refused = refuse(found, now);
      if (found === undefined || refused !== undefined) return refused ?? { kind: 'missing' };
      return end(found, { status: 'cancelled' }, now);
    },
    async expireUploads(before, limit) {
      const expired = [...state.uploads.values()]
        .filter(({ upload }) => upload.status === 'pending' && upload.expiresAt <= before)
        .toSorted((a, b) => a.upload.expiresAt - b.upload.expiresAt)
        .slice(0, limit);
      for (const found of expired) end(found, { status: 'expired' }, found.upload.expiresAt);
      return expired.length;
    },
    async removeUploadParts(limit) {
      const [found] = [...state.uploads.values()]
        .filter(({ endedAt, parts }) => endedAt !== null && parts.length > 0)
        .toSorted((a, b) => (a.endedAt ?? 0) - (b.endedAt ?? 0));
      return found?.parts.splice(0, limit).map(({ blob }) => blob) ?? [];
    },
    async purgeUploads(before) {
      const old = [...state.uploads.values()].filter(
        ({ endedAt, parts }) => endedAt !== null && endedAt < before && parts.length === 0,
      );
      for (const { upload } of old) state.uploads.delete(upload.id);
      return old.length;
    },
  };
}

/** The upload as it is at `now`. */
function asOf(upload: UploadRecord, now: number): UploadRecord {
  return upload.status === 'pending' && upload.expiresAt <= now ? { ...upload, status: 'expired' } : upload;
}
