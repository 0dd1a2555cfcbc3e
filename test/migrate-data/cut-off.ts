/** Storage elsewhere, and moves that are cut off in the middle. */
import { randomUUID } from 'node:crypto';
import { createMemoryBlobStore } from '../../src/adapters/memory/index.ts';
import type { MoveTarget } from '../../src/adapters/postgres/index.ts';
import { BlobMissingError } from '../../src/engine/errors.ts';
import type { BlobStore, ResultLog } from '../../src/engine/ports.ts';

/** As a store that processes share: each blob has a key of its own, which ends in `/<sha256>`. */
export function createSharedBlobs(): BlobStore {
  const inner = createMemoryBlobStore();
  const keys = new Set<string>();
  const hashOf = (key: string): string => {
    if (!keys.has(key)) throw new BlobMissingError(key);
    return key.slice(-64);
  };
  return {
    ...inner,
    async create() {
      const writer = await inner.create();
      let key = '';
      return {
        ...writer,
        async seal() {
          const blob = await writer.seal();
          key = `${randomUUID()}/${blob.key}`;
          return { ...blob, key };
        },
        async publish() {
          await writer.publish();
          keys.add(key);
        },
      };
    },
    async *read(key, range) {
      yield* inner.read(hashOf(key), range);
    },
    readRange: async (key, start, length) => await inner.readRange(hashOf(key), start, length),
    async delete(key) {
      keys.delete(key);
    },
    async *list() {
      yield* keys;
    },
  };
}

/** Lets so many writes pass, whatever they go to; the one after it fails, and so do all others. */
export interface CutOff {
  target(target: MoveTarget): MoveTarget;
  blobs(blobs: BlobStore): BlobStore;
  results(results: ResultLog): ResultLog;
  /** How many were made. */
  readonly writes: number;
}

/** `moment`: whether the first write that fails has happened nevertheless, as where only its answer was lost. */
export function cutOffAfter(max: number, moment: 'before' | 'after' = 'before'): CutOff {
  let writes = 0;
  async function write<T>(work: () => Promise<T>): Promise<T> {
    writes++;
    if (writes > max + 1 || (writes > max && moment === 'before')) throw new Error('cut off');
    const result = await work();
    if (writes > max) throw new Error('cut off');
    return result;
  }
  return {
    target: (target) => ({
      ...target,
      begin: (...args) => write(() => target.begin(...args)),
      writeRows: (...args) => write(() => target.writeRows(...args)),
      writeBlob: (...args) => write(() => target.writeBlob(...args)),
      finish: (...args) => write(() => target.finish(...args)),
    }),
    blobs: (blobs) => ({
      ...blobs,
      async create() {
        const writer = await blobs.create();
        return { ...writer, publish: () => write(() => writer.publish()) };
      },
    }),
    results: (results) => ({ ...results, append: (...args) => write(() => results.append(...args)) }),
    get writes() {
      return writes;
    },
  };
}
