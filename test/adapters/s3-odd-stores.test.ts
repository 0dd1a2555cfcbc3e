import { describe, expect, it } from 'vitest';
import { createS3BlobStore } from '../../src/adapters/s3/index.ts';
import { openScriptedBucket } from '../helpers/scripted-s3.ts';

const KEY = 'a'.repeat(64);
const OLD = '<Initiated>2001-02-03T04:05:06.000Z</Initiated>';

describe('a store of objects', () => {
  it('that gives no dates has nothing removed as old', async () => {
    const aborted: string[] = [];
    const bucket = await openScriptedBucket((call, response) => {
      if (call.startsWith('DELETE '))
        aborted.push(new URL(call.slice(7), 'http://s3').searchParams.get('uploadId') ?? '');
      if (call.includes('uploads')) {
        const uploads = [`<UploadId>young</UploadId>`, `<UploadId>old</UploadId>${OLD}`];
        const listed = uploads.map((fields) => `<Upload><Key>blobs/${KEY}</Key>${fields}</Upload>`);
        response.end(`<ListMultipartUploadsResult>${listed.join('')}</ListMultipartUploadsResult>`);
      } else if (call.includes('prefix=blobs')) {
        response.end(`<ListBucketResult><Contents><Key>blobs/${KEY}</Key></Contents></ListBucketResult>`);
      } else return false;
      return true;
    });
    const blobs = createS3BlobStore({ bucket });
    expect(await blobs.removeAbandoned()).toBe(1);
    expect(aborted).toEqual(['old']);
    expect(await Array.fromAsync(blobs.list())).toEqual([]);
  });

  it('that refuses to delete many objects at once has them deleted one by one', async () => {
    const deleted: string[] = [];
    let busy = 'none';
    const bucket = await openScriptedBucket((call, response) => {
      const [method, path = ''] = call.split(/[ ?]/);
      if (method === 'POST') response.writeHead(501).end('<Error><Code>NotImplemented</Code></Error>');
      else if (method !== 'DELETE') return false;
      else if (path.endsWith(busy)) response.writeHead(503).end('<Error><Code>SlowDown</Code></Error>');
      else response.writeHead(deleted.push(path) && 204).end();
      return true;
    });
    await bucket.delete(['a', 'b/c']);
    expect(deleted).toEqual(['/bucket/a', '/bucket/b/c']);
    busy = '/a';
    await expect(bucket.delete(['a', 'b'])).rejects.toMatchObject({ code: 'ES3SLOWDOWN' });
  });

  it('that does not say how large an object is does not have it taken for empty', async () => {
    const bucket = await openScriptedBucket((call, response) => {
      if (!call.includes(KEY)) return false;
      response.write('the bytes');
      response.end();
      return true;
    });
    const reading = Array.fromAsync(createS3BlobStore({ bucket }).read(KEY));
    await expect(reading).rejects.toMatchObject({ code: 'ES3SIZE' });
  });
});
