/** The objects of large pieces of result logs, in a store of objects beside the database. */

/** What a result log needs of that store. */
export interface ResultObjects {
  /** Stores the parts, one after another, as one object; resolves when that is durable. */
  put(name: string, parts: readonly Uint8Array[]): Promise<void>;
  /** Exactly the bytes [start, start + length). */
  readRange(name: string, start: number, length: number): Promise<Buffer>;
  /** Removes objects, at most `MAX_DELETES` at a time; missing ones are no error. */
  delete(names: readonly string[]): Promise<void>;
}

/** As many objects as S3 removes by one request. */
export const MAX_DELETES = 1000;

/** Objects up to this size are read whole: what lies beside the bytes that are wanted is mostly wanted next. */
const WHOLE_BYTES = 4 * 1024 * 1024;
/** So much of what was read is kept. */
const KEPT_BYTES = 32 * 1024 * 1024;

/** A piece in an object. */
export interface ObjectPiece {
  readonly batchId: string;
  readonly log: number;
  readonly position: number;
  readonly length: number;
}

/** Each piece has a name of its own, as no position is given out twice. */
export function objectName({ batchId, log, position }: Omit<ObjectPiece, 'length'>): string {
  return `${batchId}/${log}-${position}`;
}

/** Reads bytes [start, end) of pieces, counted from their beginning. What it answers must not be changed. */
export type ReadObject = (piece: ObjectPiece, start: number, end: number) => Promise<Buffer>;

/**
 * Reads small objects whole and keeps some of them. A batch's lines are read chunk by chunk, and a piece has lines of several chunks;
 * without this each of these would cost a request of tens of milliseconds.
 */
export function createObjectReader(objects: ResultObjects): ReadObject {
  /** The least recently used one first. */
  const kept = new Map<string, { readonly bytes: Promise<Buffer>; readonly size: number }>();
  let keptBytes = 0;

  function forget(name: string): void {
    keptBytes -= kept.get(name)?.size ?? 0;
    kept.delete(name);
  }

  async function readWhole(name: string, size: number): Promise<Buffer> {
    const found = kept.get(name);
    forget(name);
    const entry = found ?? { bytes: objects.readRange(name, 0, size), size };
    kept.set(name, entry);
    keptBytes += size;
    for (const oldest of kept.keys()) {
      if (keptBytes <= KEPT_BYTES) break;
      forget(oldest);
    }
    try {
      return await entry.bytes;
    } catch (error) {
      if (kept.get(name) === entry) forget(name);
      throw error;
    }
  }

  return async (piece, start, end) => {
    const name = objectName(piece);
    if (piece.length > WHOLE_BYTES) return await objects.readRange(name, start, end - start);
    return (await readWhole(name, piece.length)).subarray(start, end);
  };
}
