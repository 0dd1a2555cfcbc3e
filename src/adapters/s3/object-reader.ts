import type { Readable } from 'node:stream';
import { BlobMissingError } from '../../engine/errors.ts';
import type { Bucket } from './bucket.ts';
import { toStorageError } from './errors.ts';

/** What a reader asks for: the object `name`, called `label` in errors. */
export interface ObjectRef {
  readonly bucket: Bucket;
  readonly name: string;
  readonly label: string;
}

/** A body that breaks off is asked for again from there so often, as long as no byte comes between. */
const BREAKS = 3;

/** Begins to read bytes [start, end), by default all. Rejects where there are fewer, or with BlobMissingError. */
export async function openObject(
  ref: ObjectRef,
  range?: { readonly start: number; readonly end: number },
): Promise<ObjectReader> {
  const { bucket, name, label } = ref;
  if (range !== undefined && range.start >= range.end) {
    if ((await bucket.size(name)) === null) throw new BlobMissingError(label);
    return new ObjectReader(ref, range, null);
  }
  const opened = await bucket.get(name, range);
  if (opened === null) throw new BlobMissingError(label);
  const body = 'body' in opened ? opened.body : null;
  const { start, end } = range ?? { start: 0, end: opened.size };
  if (end > opened.size) {
    body?.destroy();
    throw new Error(`blob ${label} ends at byte ${opened.size}, before byte ${end}`);
  }
  return new ObjectReader(ref, { start, end }, body);
}

/** Exactly the bytes [start, start + length). Rejects as `openObject`. */
export async function readObject(ref: ObjectRef, start: number, length: number): Promise<Buffer> {
  const reader = await openObject(ref, { start, end: start + length });
  try {
    const bytes = Buffer.allocUnsafe(length);
    await reader.fill(bytes);
    return bytes;
  } finally {
    reader.close();
  }
}

/** One GetObject; where its connection breaks, as it does for readers that pause, another one from there on. */
export class ObjectReader {
  readonly #ref: ObjectRef;
  readonly #end: number;
  /** Of the next byte that the body brings. */
  #position: number;
  #body: BodyIterator | null;
  #rest: Buffer = Buffer.alloc(0);
  #breaks = 0;

  constructor(ref: ObjectRef, { start, end }: { start: number; end: number }, body: Readable | null) {
    this.#ref = ref;
    this.#position = start;
    this.#end = end;
    this.#body = body && iterate(body);
  }

  /** Bytes that were not given out yet. */
  get left(): number {
    return this.#end - this.#position + this.#rest.length;
  }

  /** Fills all of `target` with the next bytes, of which there must be as many left. */
  async fill(target: Buffer): Promise<void> {
    let filled = 0;
    while (filled < target.length) {
      if (this.#rest.length === 0) this.#rest = await this.#receive();
      const copied = this.#rest.copy(target, filled);
      this.#rest = this.#rest.subarray(copied);
      filled += copied;
    }
  }

  /** Lets go of the connection, which others may use where the body was read to its end. */
  close(): void {
    if (this.#position === this.#end) this.#body?.next().catch(() => {});
    else this.#body?.stream.destroy();
    this.#body = null;
  }

  async #receive(): Promise<Buffer> {
    for (;;) {
      this.#body ??= await this.#reopen();
      try {
        const { done, value } = await this.#body.next();
        if (done !== true) {
          this.#breaks = 0;
          this.#position += value.length;
          return value;
        }
        throw Object.assign(new Error(`blob ${this.#ref.label} broke off`), { code: 'ECONNRESET' });
      } catch (error) {
        this.#body = null;
        this.#breaks++;
        if (this.#breaks >= BREAKS) throw toStorageError(error);
      }
    }
  }

  async #reopen(): Promise<BodyIterator> {
    const { bucket, name, label } = this.#ref;
    const opened = await bucket.get(name, { start: this.#position, end: this.#end });
    if (opened === null || !('body' in opened)) throw new BlobMissingError(label);
    return iterate(opened.body);
  }
}

interface BodyIterator {
  readonly stream: Readable;
  next(): Promise<IteratorResult<Buffer, undefined>>;
}

function iterate(stream: Readable): BodyIterator {
  // One that breaks while nobody waits for it is noticed by who asks for more.
  stream.on('error', () => {});
  const iterator = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
  return { stream, next: () => iterator.next() };
}
