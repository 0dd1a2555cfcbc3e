/** The objects of one bucket below one prefix, and what can be done with them. Failures reject as storage that fails. */
import type { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { readDate } from './answer-date.ts';
import { createS3Client } from './client.ts';
import type { S3Connection } from './client.ts';
import { isMissing, isOutOfRange, isUploadMissing, toStorageError } from './errors.ts';

/** As many as one request may delete. */
const DELETES_A_REQUEST = 1000;

export interface BucketOptions extends S3Connection {
  readonly bucket: string;
  /** Names of all objects begin with it and a slash; '' for none. */
  readonly prefix: string;
}

/** Something in the bucket. */
export interface Listed {
  readonly name: string;
  /** How long it was there when the store answered, by the store's own clock; null where the store gives no date. */
  readonly ageMs: number | null;
}

/** A multipart upload that was begun and neither completed nor aborted. */
export interface ListedUpload extends Listed {
  readonly uploadId: string;
}

/** A part of a multipart upload that the store has. */
export interface StoredPart {
  readonly PartNumber: number;
  readonly ETag: string;
}

export interface OpenedObject {
  readonly body: Readable;
  /** Of the whole object, bytes. */
  readonly size: number;
}

/** Names are those below the prefix. */
export interface Bucket {
  put(name: string, body: Uint8Array): Promise<void>;
  /** Bytes; null where there is no such object. */
  size(name: string): Promise<number | null>;
  /**
   * Begins to stream bytes [start, end), at least one, or all of them. Where the object ends before `end`, so does the body, or
   * the answer is its size alone; null where there is no such object.
   */
  get(name: string, range?: ByteRange): Promise<OpenedObject | { readonly size: number } | null>;
  /** Removes objects; missing ones are no error. */
  delete(names: readonly string[]): Promise<void>;
  list(under: string): AsyncIterable<Listed>;
  beginUpload(name: string): Promise<string>;
  /** Parts are numbered from 1; all but the last one have at least 5 MiB. */
  putPart(name: string, uploadId: string, number: number, body: Uint8Array): Promise<StoredPart>;
  /** Makes the parts one object. */
  completeUpload(name: string, uploadId: string, parts: readonly StoredPart[]): Promise<void>;
  /** Removes the parts; an upload that has ended is no error. */
  abortUpload(name: string, uploadId: string): Promise<void>;
  listUploads(under: string): AsyncIterable<ListedUpload>;
  close(): void;
}

interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** Rejects, with a message that says why, where the bucket cannot be listed: it is missing, or not ours to use, or out of reach. */
export async function openBucket(options: BucketOptions): Promise<Bucket> {
  const client = await createS3Client(options);
  const Bucket = options.bucket;
  const keyOf = (name: string): string => (options.prefix === '' ? name : `${options.prefix}/${name}`);
  const nameOf = (key: string): string =>
    options.prefix === '' ? key : key.slice(options.prefix.length + 1);
  const at = (name: string) => ({ Bucket, Key: keyOf(name) });
  const deleteOne = async (Key: string): Promise<void> => {
    await client.send(new DeleteObjectCommand({ Bucket, Key })).catch(nullWhere(isMissing));
  };

  const bucket: Bucket = {
    async put(name, Body) {
      await client.send(new PutObjectCommand({ ...at(name), Body })).catch(rethrow);
    },

    async size(name) {
      const head = await client.send(new HeadObjectCommand(at(name))).catch(nullWhere(isMissing));
      return head && (head.ContentLength ?? 0);
    },

    async get(name, range) {
      const Range = range && `bytes=${range.start}-${range.end - 1}`;
      const command = new GetObjectCommand({ ...at(name), Range });
      const answer = await client
        .send(command)
        .catch(nullWhere((error) => isMissing(error) || isOutOfRange(error)));
      if (answer !== null) {
        const body = answer.Body as Readable;
        const size = Number(answer.ContentRange?.split('/')[1] ?? answer.ContentLength);
        if (Number.isFinite(size)) return { body, size };
        body.destroy();
        throw Object.assign(new Error(`S3 answered ${name} without its size.`), { code: 'ES3SIZE' });
      }
      const size = await bucket.size(name);
      return size === null ? null : { size };
    },

    async delete(names) {
      if (names.length === 1) {
        const [name = ''] = names;
        await deleteOne(keyOf(name));
        return;
      }
      for (let done = 0; done < names.length; done += DELETES_A_REQUEST) {
        const Objects = names.slice(done, done + DELETES_A_REQUEST).map((name) => ({ Key: keyOf(name) }));
        const Delete = { Objects, Quiet: true };
        const answer = await client.send(new DeleteObjectsCommand({ Bucket, Delete })).catch(() => null);
        // Some stores do not know it, or not its checksum; one that is out of reach fails here again.
        if (answer === null) for (const { Key } of Objects) await deleteOne(Key);
        const failed = answer?.Errors?.[0];
        if (failed !== undefined) throw deleteFailed(failed.Key, failed.Code, failed.Message);
      }
    },

    async *list(under) {
      let ContinuationToken: string | undefined;
      do {
        const command = new ListObjectsV2Command({ Bucket, Prefix: keyOf(under), ContinuationToken });
        const answeredAt = readDate(command);
        const page = await client.send(command).catch(rethrow);
        for (const { Key = '', LastModified } of page.Contents ?? []) {
          yield { name: nameOf(Key), ageMs: ageAt(answeredAt(), LastModified) };
        }
        ContinuationToken = page.NextContinuationToken;
      } while (ContinuationToken !== undefined);
    },

    async beginUpload(name) {
      const answer = await client.send(new CreateMultipartUploadCommand(at(name))).catch(rethrow);
      return answer.UploadId as string;
    },

    async putPart(name, UploadId, PartNumber, Body) {
      const command = new UploadPartCommand({ ...at(name), UploadId, PartNumber, Body });
      const { ETag } = await client.send(command).catch(rethrow);
      return { PartNumber, ETag: ETag as string };
    },

    async completeUpload(name, UploadId, parts) {
      const MultipartUpload = { Parts: [...parts] };
      const command = new CompleteMultipartUploadCommand({ ...at(name), UploadId, MultipartUpload });
      await client.send(command).catch(rethrow);
    },

    async abortUpload(name, UploadId) {
      await client
        .send(new AbortMultipartUploadCommand({ ...at(name), UploadId }))
        .catch(nullWhere(isUploadMissing));
    },

    async *listUploads(under) {
      let markers: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } = {};
      for (;;) {
        const command = new ListMultipartUploadsCommand({ Bucket, Prefix: keyOf(under), ...markers });
        const answeredAt = readDate(command);
        const page = await client.send(command).catch(rethrow);
        for (const { Key = '', UploadId = '', Initiated } of page.Uploads ?? []) {
          yield { name: nameOf(Key), uploadId: UploadId, ageMs: ageAt(answeredAt(), Initiated) };
        }
        if (page.IsTruncated !== true) return;
        markers = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
      }
    },

    close: () => client.destroy(),
  };

  try {
    await client.send(new ListObjectsV2Command({ Bucket, Prefix: keyOf(''), MaxKeys: 1 })).catch(rethrow);
  } catch (error) {
    client.destroy();
    throw error;
  }
  return bucket;
}

function ageAt(now: number, date: Date | undefined): number | null {
  return date === undefined ? null : now - date.getTime();
}

function rethrow(error: unknown): never {
  throw toStorageError(error);
}

function nullWhere(isNull: (error: unknown) => boolean): (error: unknown) => null {
  return (error) => (isNull(error) ? null : rethrow(error));
}

function deleteFailed(key = '', code = 'unknown error', message = ''): Error {
  return Object.assign(new Error(`${key} cannot be deleted: ${code} ${message}`.trim()), {
    code: 'ES3DELETE',
  });
}
