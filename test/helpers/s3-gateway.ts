/** A bucket of a real S3 server for the tests of one file: see `scripts/s3-gateway.sh`. */
import { randomUUID } from 'node:crypto';
import { CreateBucketCommand, DeleteBucketCommand } from '@aws-sdk/client-s3';
import type { S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, onTestFinished } from 'vitest';
import { openBucket } from '../../src/adapters/s3/index.ts';
import type { Bucket, BucketOptions } from '../../src/adapters/s3/index.ts';
import { createS3Client } from '../../src/adapters/s3/client.ts';
import { awsVariables, readS3Settings } from './s3-settings.ts';
import { S3_SKIPPED } from './s3-skipped.ts';

/** Of everything that is opened by tests: they go nowhere else, whatever the machine's own settings are. Skipped where there is none. */
export const S3_CONNECTION = readS3Settings() ?? {
  endpoint: '',
  region: '',
  credentials: { accessKeyId: '', secretAccessKey: '' },
};

export interface TestS3 {
  /** The name of the bucket. */
  readonly bucket: string;
  readonly host: string;
  readonly port: number;
  /** What a service needs to use a prefix of its own in the bucket. */
  env(): Readonly<Record<string, string>>;
  /** A prefix of its own, or the options' one, closed at the end of the test. */
  open(options?: Partial<BucketOptions>): Promise<Bucket>;
}

/** Describes what needs S3: with a bucket of its own, or skipped where there is no server. */
export function describeOnS3(name: string, define: (s3: TestS3) => void): void {
  describe.skipIf(S3_SKIPPED !== null)(name, () => {
    const bucket = `test-${randomUUID()}`;
    let client: S3Client;
    beforeAll(async () => {
      client = await createS3Client(S3_CONNECTION);
      await client.send(new CreateBucketCommand({ Bucket: bucket }));
    });
    afterAll(async () => {
      await empty(bucket);
      await client.send(new DeleteBucketCommand({ Bucket: bucket }));
      client.destroy();
    });
    define({
      bucket,
      host: URL.parse(S3_CONNECTION.endpoint)?.hostname ?? '',
      port: Number(URL.parse(S3_CONNECTION.endpoint)?.port),
      env: () => ({
        BLOB_URL: `s3://${bucket}/${randomUUID()}`,
        ...awsVariables(S3_CONNECTION),
      }),
      async open(options = {}) {
        const opened = await openBucket({ ...S3_CONNECTION, bucket, prefix: randomUUID(), ...options });
        onTestFinished(() => opened.close());
        return opened;
      },
    });
  });
}

async function empty(bucket: string): Promise<void> {
  const all = await openBucket({ ...S3_CONNECTION, bucket, prefix: '' });
  for await (const { name, uploadId } of all.listUploads('')) await all.abortUpload(name, uploadId);
  await all.delete((await Array.fromAsync(all.list(''))).map(({ name }) => name));
  all.close();
}
