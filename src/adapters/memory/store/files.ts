import { isTerminal } from '../../../engine/batches/batch.ts';
import type { Batch } from '../../../engine/batches/batch.ts';
import type { FileRecord } from '../../../engine/files/file.ts';
import type { Page, Store } from '../../../engine/ports.ts';
import { refuseBytes } from './owner-usage.ts';
import type { StoreState } from './state.ts';

export type FileVerbs = Pick<
  Store,
  'insertFile' | 'getFile' | 'listFiles' | 'deleteFile' | 'expireFiles' | 'blobInUse'
>;

export function createFileVerbs(state: StoreState): FileVerbs {
  function find(owner: string, id: string, now: number): FileRecord | undefined {
    const file = state.files.get(id);
    return file?.owner === owner && !isExpired(file, now) ? file : undefined;
  }

  /** A live batch that reads the file. */
  function findReader({ owner, id }: FileRecord): Batch | undefined {
    for (const { batch } of state.batches.values()) {
      if (batch.inputFileId === id && batch.owner === owner && !isTerminal(batch.status)) return batch;
    }
    return undefined;
  }

  return {
    async insertFile(file, limits) {
      const over = refuseBytes(state, file.owner, file.blob.bytes, limits);
      if (over !== null) return over;
      insertFiles(state, [file]);
      return { kind: 'ok' };
    },
    getFile: async (owner, id, now) => find(owner, id, now) ?? null,
    async listFiles({ owner, purpose, order, after, limit, now }) {
      if (after !== undefined && find(owner, after, now) === undefined) return null;
      const files = [...state.files.values()]
        .filter((file) => file.owner === owner && !isExpired(file, now))
        .toSorted((a, b) => a.createdAt - b.createdAt);
      if (order === 'desc') files.reverse();
      const first = files.findIndex((file) => file.id === after) + 1;
      const rest = files.slice(first).filter((file) => purpose === undefined || file.purpose === purpose);
      return page(rest, limit);
    },
    async deleteFile(owner, id, now) {
      const file = find(owner, id, now);
      if (file === undefined) return { kind: 'missing' };
      const batch = findReader(file);
      if (batch !== undefined) return { kind: 'in_use', batch: { id: batch.id, format: batch.format } };
      state.files.delete(id);
      return { kind: 'deleted', blob: file.blob };
    },
    async expireFiles(now, limit) {
      const removable = [...state.files.values()]
        .filter((file) => isExpired(file, now) && findReader(file) === undefined)
        .toSorted((a, b) => (a.expiresAt ?? 0) - (b.expiresAt ?? 0))
        .slice(0, limit);
      for (const file of removable) state.files.delete(file.id);
      return removable.map((file) => file.blob);
    },
    async blobInUse(key) {
      const batches = [...state.batches.values()];
      return (
        [...state.files.values()].some((file) => file.blob.key === key) ||
        [...state.uploads.values()].some(({ parts }) => parts.some(({ blob }) => blob.key === key)) ||
        batches.some(({ batch, input }) => input?.key === key && !isTerminal(batch.status))
      );
    },
  };
}

/** Inserts all of them, or none. Throws where an id is taken. */
export function insertFiles(state: StoreState, files: readonly FileRecord[]): void {
  const taken = files.find((file) => state.files.has(file.id));
  if (taken !== undefined) throw new Error(`file ${taken.id} exists already`);
  for (const file of files) state.files.set(file.id, file);
}

/** The first `limit` items. */
export function page<T>(items: readonly T[], limit: number): Page<T> {
  return { data: items.slice(0, limit), hasMore: items.length > limit };
}

function isExpired(file: FileRecord, now: number): boolean {
  return file.expiresAt !== null && file.expiresAt <= now;
}
