export { createS3BlobStore } from './blob-store.ts';
export type { S3BlobStoreOptions } from './blob-store.ts';
export { openBucket } from './bucket.ts';
export type { Bucket, BucketOptions } from './bucket.ts';
export { bucketMark } from './database-mark.ts';
export { createS3ResultObjects } from './result-objects.ts';
export type { ResultObjects } from './result-objects.ts';
