import { describe, expect, it } from 'vitest';
import {
  createMemoryBlobStore,
  createMemoryResultLog,
  createMemoryStorage,
} from '../../src/adapters/memory/index.ts';
import { describeBlobStoreContract } from '../contracts/blob-store.ts';
import { describeResultLogContract } from '../contracts/result-log.ts';

describeBlobStoreContract('the memory blob store', async () => ({
  blobs: createMemoryBlobStore(),
  close: async () => {},
}));

describeResultLogContract('the memory result log', async () => {
  const results = createMemoryResultLog();
  return { results, close: () => results.close() };
});

describe('the storage in memory', () => {
  it('is new each time', async () => {
    const [one, other] = [createMemoryStorage(), createMemoryStorage()];
    await one.results.append('batch_a', [Buffer.from('x')]);
    expect(await Array.fromAsync(other.results.list())).toEqual([]);
    expect(await Array.fromAsync(one.results.list())).toEqual(['batch_a']);
  });
});
