import { createS3BlobStore } from '../../src/adapters/s3/index.ts';
import { describeBlobStoreContract } from '../contracts/blob-store.ts';
import { describeOnS3 } from '../helpers/s3-gateway.ts';

describeOnS3('on S3,', (s3) => {
  describeBlobStoreContract(
    'the S3 blob store',
    async () => {
      const bucket = await s3.open();
      return { blobs: createS3BlobStore({ bucket, listedAfterMs: 0 }), close: async () => {} };
    },
    { sharesKeys: false },
  );
});
