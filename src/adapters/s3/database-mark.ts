import { text } from 'node:stream/consumers';
import type { Bucket } from './bucket.ts';

const NAME = 'database-id';

/** Says which database the objects below the bucket's prefix belong to. */
export interface BucketMark {
  /** The id of that database; null where none was written. */
  read(): Promise<string | null>;
  /** Durably. */
  write(databaseId: string): Promise<void>;
}

export function bucketMark(bucket: Bucket): BucketMark {
  return {
    async read() {
      const object = await bucket.get(NAME);
      return object !== null && 'body' in object ? (await text(object.body)).trim() : null;
    },
    write: async (databaseId) => await bucket.put(NAME, Buffer.from(`${databaseId}\n`)),
  };
}
