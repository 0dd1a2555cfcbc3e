import type { Database } from './database.ts';
import { groupsOf } from './result-groups.ts';

/** Pieces gather in one statement until they have this many bytes. */
const STATEMENT_BYTES = 1024 * 1024;

/** One append, at its place. */
export interface Piece {
  readonly log: number;
  readonly position: number;
  readonly length: number;
  /** Null: they go to an object. */
  readonly parts: readonly Uint8Array[] | null;
}

/** Inserts a piece, durably; answers false where its log was dropped, so that it was not inserted. */
export type InsertPiece = (piece: Piece) => Promise<boolean>;

interface Waiting {
  readonly piece: Piece;
  readonly resolve: (inserted: boolean) => void;
  readonly reject: (error: unknown) => void;
}

/** Pieces that are inserted in one turn of the event loop go as one statement, and so cost one commit: small batches are many. */
export function createPieceInserter(db: Database): InsertPiece {
  let waiting: Waiting[] = [];

  function flush(): void {
    const all = waiting;
    waiting = [];
    const limits = { bytesOf, maxBytes: STATEMENT_BYTES, maxItems: Infinity };
    for (const group of groupsOf(all, limits)) void insert(group);
  }

  async function insert(group: readonly Waiting[]): Promise<void> {
    try {
      const inserted = await insertPieces(
        db,
        group.map(({ piece }) => piece),
      );
      for (const { piece, resolve } of group) resolve(inserted.has(piece.log));
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
  }

  return (piece) =>
    new Promise((resolve, reject) => {
      if (waiting.length === 0) setImmediate(flush);
      waiting.push({ piece, resolve, reject });
    });
}

const bytesOf = ({ piece }: Waiting): number => (piece.parts === null ? 0 : piece.length);

/**
 * Answers the logs of the pieces that were inserted: those that are not dropped. The bytes of all pieces are one value, which the driver
 * sends as it is (a list of values it would write out in hex), and the statement cuts it up.
 */
async function insertPieces(db: Database, pieces: readonly Piece[]): Promise<Set<number>> {
  const parts = pieces.flatMap((piece) => piece.parts ?? []);
  let start = 1;
  const starts = pieces.map((piece) => {
    if (piece.parts === null) return null;
    const at = start;
    start += piece.length;
    return at;
  });
  const rows = await db.all<{ readonly log: number }>(
    `
    insert into result_pieces (log, position, length, bytes)
    select given.log, given.position, given.length, substring($1::bytea from given.start for given.length)
    from unnest($2::bigint[], $3::bigint[], $4::integer[], $5::integer[]) as given (log, position, length, start)
      join result_logs on result_logs.seq = given.log and result_logs.dropped_at is null
    returning log
    `,
    parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts),
    pieces.map(({ log }) => log),
    pieces.map(({ position }) => position),
    pieces.map(({ length }) => length),
    starts,
  );
  return new Set(rows.map(({ log }) => log));
}
