import type { BlobStore, ResultLog, Store } from '../../engine/ports.ts';
import { createMemoryBlobStore } from './blobs.ts';
import { createMemoryResultLog } from './results.ts';
import { createMemoryStore } from './store.ts';

export { createMemoryBlobStore } from './blobs.ts';
export { createMemoryResultLog } from './results.ts';
export { createMemoryStore } from './store.ts';
export { createFunctionUpstream } from './upstream.ts';
export type { FunctionAnswer, FunctionRequest } from './upstream.ts';

/** All storage that an engine needs, in memory: for tests and for programs that need nothing after their end. */
export function createMemoryStorage(): {
  readonly store: Store;
  readonly blobs: BlobStore;
  readonly results: ResultLog;
} {
  return { store: createMemoryStore(), blobs: createMemoryBlobStore(), results: createMemoryResultLog() };
}
