/** A server that answers requests of S3 as a test says: for what real stores do that the one of the other tests does not. */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { openBucket } from '../../src/adapters/s3/index.ts';
import type { Bucket } from '../../src/adapters/s3/index.ts';

/** The XML of a list without anything in it. */
const EMPTY_LIST = '<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>';

/** `call`: method and path with its query, such as `GET /bucket/?uploads=`. Answers false where the list is to be empty. */
type Answer = (call: string, response: ServerResponse, request: IncomingMessage) => boolean;

/** A bucket `bucket` on such a server, closed at the end of the test. */
export async function openScriptedBucket(answer: Answer): Promise<Bucket> {
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      if (!answer(`${request.method} ${request.url}`, response, request)) response.end(EMPTY_LIST);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const bucket = await openBucket({
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    region: 'us-east-1',
    credentials: { accessKeyId: 'key', secretAccessKey: 'secret' },
    bucket: 'bucket',
    prefix: '',
    maxAttempts: 1,
  });
  onTestFinished(async () => {
    bucket.close();
    await new Promise((resolve) => server.close(resolve));
  });
  return bucket;
}
