import type { Bucket } from './bucket.ts';
import { resultName } from './names.ts';
import { readObject } from './object-reader.ts';

/** Pieces of results that are too large for a database: objects below `results/`. Each is written once. */
export interface ResultObjects {
  /** Durable when it resolves. */
  put(name: string, parts: readonly Uint8Array[]): Promise<void>;
  /** Exactly the bytes [start, start + length). Rejects where there are fewer, or with BlobMissingError. */
  readRange(name: string, start: number, length: number): Promise<Buffer>;
  /** Missing ones are no error. */
  delete(names: readonly string[]): Promise<void>;
}

/** Names have letters, digits, `_`, `-`, `.`, and slashes between. */
export function createS3ResultObjects({ bucket }: { readonly bucket: Bucket }): ResultObjects {
  return {
    put: async (name, parts) => await bucket.put(resultName(name), Buffer.concat(parts)),
    readRange: async (name, start, length) =>
      await readObject({ bucket, name: resultName(name), label: name }, start, length),
    delete: async (names) => await bucket.delete(names.map(resultName)),
  };
}
