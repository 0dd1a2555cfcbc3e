import type { Database } from './database.ts';
import { groupsOf } from './result-groups.ts';
import type { ReadObject } from './result-objects.ts';

/** Reads gather in one statement until they ask for so many bytes … */
const STATEMENT_BYTES = 8 * 1024 * 1024;
/** … or are so many. */
const STATEMENT_READS = 256;

/** Which log: one that a reader holds, or the one that the batch has now. */
export interface LogSource {
  readonly batchId: string;
  readonly log: number | null;
}

/** What was read. */
export interface ReadBytes {
  /** From `start` on, as many as there are without a gap, but no more than were asked for. */
  readonly bytes: Buffer;
  /** Where the bytes about `start` end; 0 where there are none. */
  readonly end: number;
}

/**
 * Reads up to `length` bytes from `start` on, and beyond them up to `most` in all: but no object that begins only there, for it may
 * be on its way, or never come, and that is nothing to whoever wants the bytes before it.
 */
export type ReadPieces = (
  source: LogSource,
  start: number,
  length: number,
  most?: number,
) => Promise<ReadBytes>;

interface Wanted {
  readonly start: number;
  /** Where the bytes end that were asked for … */
  readonly needed: number;
  /** … and where those that may come with them. */
  readonly stop: number;
}

interface Waiting extends Wanted {
  readonly resolve: (read: ReadBytes) => void;
  readonly reject: (error: unknown) => void;
}

/** A part of a piece. */
interface PieceRow {
  /** Whose it is: the place of the read among those of the statement, from 1 on. */
  readonly place: number;
  readonly log: number;
  readonly position: number;
  readonly length: number;
  /** Those that are wanted; null: they are in an object. */
  readonly bytes: Buffer | null;
}

/** Reads of one log that are asked for at once go as one statement: a chunk's lines may lie in hundreds of places. */
export function createPieceReader(db: Database, readObject: ReadObject): ReadPieces {
  const waiting = new Map<string, { readonly source: LogSource; readonly reads: Waiting[] }>();

  function flush(key: string): void {
    const { source, reads } = waiting.get(key) ?? {};
    waiting.delete(key);
    if (source === undefined || reads === undefined) return;
    const limits = { bytesOf, maxBytes: STATEMENT_BYTES, maxItems: STATEMENT_READS };
    for (const group of groupsOf(reads, limits)) void read(source, group);
  }

  async function read(source: LogSource, group: readonly Waiting[]): Promise<void> {
    try {
      const rows = Map.groupBy(await selectPieces(db, source, group), ({ place }) => place);
      for (const [i, wanted] of group.entries()) {
        const { resolve, reject } = wanted;
        assemble(source, rows.get(i + 1) ?? [], wanted, readObject).then(resolve, reject);
      }
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
  }

  return (source, start, length, most = length) =>
    new Promise((resolve, reject) => {
      const key = `${source.log} ${source.batchId}`;
      let entry = waiting.get(key);
      if (entry === undefined) {
        waiting.set(key, (entry = { source, reads: [] }));
        queueMicrotask(() => flush(key));
      }
      entry.reads.push({ start, needed: start + length, stop: start + most, resolve, reject });
    });
}

const bytesOf = ({ start, stop }: Wanted): number => stop - start;

/** The pieces from the one on in which each read begins, and of each what is wanted of it. */
async function selectPieces(
  db: Database,
  { batchId, log }: LogSource,
  reads: readonly Wanted[],
): Promise<PieceRow[]> {
  return await db.all<PieceRow>(
    `
    with source as (
      select coalesce($2::bigint, (select seq from result_logs where batch_id = $1 and dropped_at is null)) as log
    )
    select wanted.place, piece.log, piece.position, piece.length,
      substring(
        piece.bytes
        from greatest(wanted.start - piece.position, 0)::integer + 1
        for greatest(
          least(wanted.stop, piece.position + piece.length) - greatest(wanted.start, piece.position), 0
        )::integer
      ) as bytes
    from source
      cross join unnest($3::bigint[], $4::bigint[]) with ordinality as wanted (start, stop, place)
      cross join lateral (
        select p.log, p.position, p.length, p.bytes
        from result_pieces p
        where p.log = source.log and p.position < wanted.stop and p.position >= coalesce(
          (
            select first.position
            from result_pieces first
            where first.log = source.log and first.position <= wanted.start
            order by first.position desc
            limit 1
          ),
          wanted.start
        )
      ) piece
    order by wanted.place, piece.position
    `,
    batchId,
    log,
    reads.map(({ start }) => start),
    reads.map(({ stop }) => stop),
  );
}

async function assemble(
  { batchId }: LogSource,
  rows: readonly PieceRow[],
  { start, needed, stop }: Wanted,
  readObject: ReadObject,
): Promise<ReadBytes> {
  const parts: Promise<Buffer>[] = [];
  let at = start;
  let end = 0;
  for (const { log, position, length, bytes } of rows) {
    if (position > at || (bytes === null && position >= needed)) break;
    end = position + length;
    const until = Math.min(stop, end);
    if (until <= at) continue;
    const piece = { batchId, log, position, length };
    parts.push(bytes === null ? readObject(piece, at - position, until - position) : Promise.resolve(bytes));
    at = until;
  }
  // Copies: what comes from an object is kept for others, who must not see it changed.
  return { bytes: Buffer.concat(await Promise.all(parts)), end };
}
