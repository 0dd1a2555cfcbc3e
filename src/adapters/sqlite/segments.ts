import type { Database } from 'better-sqlite3';
import { countDone, encodeSegmentLines, withDone } from '../../engine/run/chunk.ts';
import type { NewSegment, SegmentRecord } from '../../engine/run/chunk.ts';
import type { Fenced, Store } from '../../engine/ports.ts';
import { transaction } from './transaction.ts';

export type SegmentVerbs = Pick<Store, 'commitSegments' | 'readSegments'>;

interface SegmentRow {
  readonly log_position: number;
  readonly lines: Uint8Array;
}

/** Finished lines: where they lie in the result log, and what they change. */
export function createSegmentVerbs(db: Database): SegmentVerbs {
  const commit = createCommitSegments(db);
  const list = db.prepare<[string, number], SegmentRow>(`
    select log_position, lines
    from segments
    where batch = (select seq from batches where id = ?) and chunk = ?
    order by seq
  `);
  return {
    commitSegments: async (segments, now) => commit(segments, now),
    readSegments: async (batchId, chunkNumber) =>
      list
        .all(batchId, chunkNumber)
        .map(({ log_position, lines }): SegmentRecord => ({ chunkNumber, logPosition: log_position, lines })),
  };
}

interface OpenChunk {
  readonly batch: number;
  readonly line_count: number;
  readonly finished: number;
  readonly done: Uint8Array;
}

function createCommitSegments(db: Database): (segments: readonly NewSegment[], now: number) => Fenced[] {
  const find = db.prepare<[string, number, number], OpenChunk>(`
    select c.batch, c.line_count, c.completed + c.failed as finished, c.done
    from chunks c
    where c.batch = (select seq from batches where id = ?) and c.number = ? and c.epoch = ? and c.state = 'claimed'
  `);
  const record = createRecordSegment(db);
  const endChunk = createEndChunk(db);
  const countDown = db.prepare<[number, number]>(
    'update batches set lines_left = lines_left - ? where seq = ?',
  );

  /** Adds the lines that it finishes to `finishedOf`, by batch. */
  function commitOne(segment: NewSegment, now: number, finishedOf: Map<number, number>): Fenced {
    const chunk = find.get(segment.batchId, segment.chunkNumber, segment.epoch);
    if (chunk === undefined) return 'lost';
    const { places } = segment.lines;
    const finished = chunk.finished + places.length;
    const done = withDone(chunk.done, places);
    // Fewer bits than lines: one of them was done already.
    if (countDone(done, chunk.line_count) !== finished) return 'lost';
    record(chunk.batch, segment, done);
    finishedOf.set(chunk.batch, (finishedOf.get(chunk.batch) ?? 0) + places.length);
    if (finished === chunk.line_count) endChunk(chunk.batch, segment.chunkNumber, now);
    return 'ok';
  }

  return transaction(db, (segments: readonly NewSegment[], now: number) => {
    const finishedOf = new Map<number, number>();
    const fenced = segments.map((segment) => commitOne(segment, now, finishedOf));
    for (const [batch, lines] of finishedOf) countDown.run(lines, batch);
    return fenced;
  });
}

/** Writes the segment's row, and its lines and tokens to its chunk. */
function createRecordSegment(db: Database): (batch: number, segment: NewSegment, done: Uint8Array) => void {
  const insert = db.prepare<[number, number, number, Uint8Array]>(
    'insert into segments (batch, chunk, log_position, lines) values (?, ?, ?, ?)',
  );
  const add = db.prepare<
    [Uint8Array, number, number, number, number, number, number, number, number, number]
  >(`
    update chunks
    set done = ?, crashes = 0, completed = completed + ?, failed = failed + ?,
      input_tokens = input_tokens + ?, cached_tokens = cached_tokens + ?, output_tokens = output_tokens + ?,
      reasoning_tokens = reasoning_tokens + ?, total_tokens = total_tokens + ?
    where batch = ? and number = ?
  `);
  return (batch, { chunkNumber, logPosition, lines, usage }, done) => {
    insert.run(batch, chunkNumber, logPosition, encodeSegmentLines(lines));
    const completed = lines.succeeded.filter(Boolean).length;
    add.run(
      done,
      completed,
      lines.places.length - completed,
      usage.inputTokens,
      usage.cachedTokens,
      usage.outputTokens,
      usage.reasoningTokens,
      usage.totalTokens,
      batch,
      chunkNumber,
    );
  };
}

/** Releases a chunk whose last line is done. The last chunk of a running batch takes it to `finalizing`. */
function createEndChunk(db: Database): (batch: number, chunkNumber: number, now: number) => void {
  const end = db.prepare<[number, number]>(
    `update chunks set state = 'done', worker = null where batch = ? and number = ?`,
  );
  const count = db.prepare<[number]>(`
    update batches
    set chunks_left = chunks_left - 1, chunks_claimed = chunks_claimed - 1
    where seq = ?
  `);
  const complete = db.prepare<[number, number]>(`
    update batches
    set status = 'finalizing', ending = 'completed', finalizing_at = max(?, in_progress_at)
    where seq = ? and status = 'in_progress' and chunks_left = 0
  `);
  return (batch, chunkNumber, now) => {
    end.run(batch, chunkNumber);
    count.run(batch);
    complete.run(now, batch);
  };
}
