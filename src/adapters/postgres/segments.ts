import type { Fenced, Store } from '../../engine/ports.ts';
import { countDone, encodeSegmentLines, withDone } from '../../engine/run/chunk.ts';
import type { NewSegment, SegmentRecord } from '../../engine/run/chunk.ts';
import type { Database, Sql } from './database.ts';

export type SegmentVerbs = Pick<Store, 'commitSegments' | 'readSegments' | 'readSegmentsAfter'>;

/** Finished lines: where they lie in the result log, and what they change. */
export function createSegmentVerbs(db: Database): SegmentVerbs {
  return {
    commitSegments: (segments, now) => db.transaction((sql) => commitSegments(sql, segments, now)),
    async readSegments(batchId, chunkNumber) {
      const rows = await db.all<{ readonly log_position: number; readonly lines: Buffer }>(
        `
        select log_position, lines
        from segments
        where batch = (select seq from batches where id = $1) and chunk = $2
        order by seq
        `,
        batchId,
        chunkNumber,
      );
      return rows.map(({ log_position, lines }): SegmentRecord => {
        return { chunkNumber, logPosition: log_position, lines };
      });
    },
    readSegmentsAfter: (batchId, afterSeq, limit) =>
      db.all(
        `
        select seq, log_position as "logPosition", lines
        from segments
        where batch = (select seq from batches where id = $1) and seq > $2
        order by seq
        limit $3
        `,
        batchId,
        afterSeq,
        limit,
      ),
  };
}

/** A claimed chunk, as it is while its segments are added. */
interface OpenChunk {
  readonly batch: number;
  readonly number: number;
  readonly lineCount: number;
  finished: number;
  done: Uint8Array;
}

/** What the segments of a commit come to. */
interface Changes {
  /** Accepted segments, with their chunks. */
  readonly added: { readonly segment: NewSegment; readonly chunk: OpenChunk }[];
  /** Chunks with new lines. */
  readonly chunks: Set<OpenChunk>;
}

async function commitSegments(sql: Sql, segments: readonly NewSegment[], now: number): Promise<Fenced[]> {
  if (segments.length === 0) return [];
  await lockBatches(sql, segments);
  const open = await lockChunks(sql, segments);
  const changes: Changes = { added: [], chunks: new Set() };
  const fenced = segments.map((segment) => addSegment(changes, open, segment));
  if (changes.added.length > 0) {
    await writeSegments(sql, changes);
    await writeChunks(sql, changes);
    await countDown(sql, changes, now);
  }
  return fenced;
}

/**
 * In order, so that no two commits wait for each other. Whoever holds the lock gives out the next numbers of the batch's segments: so
 * these rise with the commits, and a reader who has seen one has seen all before it.
 */
async function lockBatches(sql: Sql, segments: readonly NewSegment[]): Promise<void> {
  await sql.all('select from batches where id = any ($1::text[]) order by seq for no key update', [
    ...new Set(segments.map(({ batchId }) => batchId)),
  ]);
}

const chunkKey = ({ batchId, chunkNumber, epoch }: NewSegment): string =>
  `${batchId} ${chunkNumber} ${epoch}`;

interface OpenRow {
  readonly place: number;
  readonly batch: number;
  readonly number: number;
  readonly line_count: number;
  readonly finished: number;
  readonly done: Buffer;
}

/** The chunks that are claimed under the very epochs of the segments, by `chunkKey`. */
async function lockChunks(sql: Sql, segments: readonly NewSegment[]): Promise<Map<string, OpenChunk>> {
  const byKey = [...new Map(segments.map((segment) => [chunkKey(segment), segment]))];
  const rows = await sql.all<OpenRow>(
    `
    select given.place, c.batch, c.number, c.line_count, c.completed + c.failed as finished, c.done
    from unnest($1::text[], $2::integer[], $3::bigint[]) with ordinality as given (batch_id, number, epoch, place)
      join batches b on b.id = given.batch_id
      join chunks c on c.batch = b.seq and c.number = given.number and c.epoch = given.epoch and c.state = 'claimed'
    for update of c
    `,
    byKey.map(([, { batchId }]) => batchId),
    byKey.map(([, { chunkNumber }]) => chunkNumber),
    byKey.map(([, { epoch }]) => epoch),
  );
  return new Map(
    rows.map(({ place, line_count: lineCount, ...row }) => [
      byKey[place - 1]?.[0] ?? '',
      { ...row, lineCount },
    ]),
  );
}

function addSegment(changes: Changes, open: ReadonlyMap<string, OpenChunk>, segment: NewSegment): Fenced {
  const chunk = open.get(chunkKey(segment));
  if (chunk === undefined) return 'lost';
  const { places } = segment.lines;
  const done = withDone(chunk.done, places);
  const finished = chunk.finished + places.length;
  // Fewer bits than lines: one of them was done already.
  if (countDone(done, chunk.lineCount) !== finished) return 'lost';
  Object.assign(chunk, { done, finished });
  changes.added.push({ segment, chunk });
  changes.chunks.add(chunk);
  return 'ok';
}

async function writeSegments(sql: Sql, { added }: Changes): Promise<void> {
  await sql.run(
    `
    insert into segments (batch, chunk, log_position, lines)
    select batch, chunk, log_position, lines
    from unnest($1::bigint[], $2::integer[], $3::bigint[], $4::bytea[]) with ordinality
      as added (batch, chunk, log_position, lines, place)
    order by place
    `,
    added.map(({ chunk }) => chunk.batch),
    added.map(({ chunk }) => chunk.number),
    added.map(({ segment }) => segment.logPosition),
    added.map(({ segment }) => encodeSegmentLines(segment.lines)),
  );
}

/** Each chunk once, however many of its segments there are: its done bits, counters and tokens, and its end. */
async function writeChunks(sql: Sql, { added, chunks }: Changes): Promise<void> {
  const all = [...chunks];
  const sums = new Map(all.map((chunk) => [chunk, { completed: 0, lines: 0, usage: [0, 0, 0, 0, 0] }]));
  for (const { segment, chunk } of added) {
    const sum = sums.get(chunk);
    if (sum === undefined) continue;
    const { inputTokens, cachedTokens, outputTokens, reasoningTokens, totalTokens } = segment.usage;
    sum.completed += segment.lines.succeeded.filter(Boolean).length;
    sum.lines += segment.lines.places.length;
    [inputTokens, cachedTokens, outputTokens, reasoningTokens, totalTokens].forEach((tokens, i) => {
      sum.usage[i] = Math.min((sum.usage[i] ?? 0) + tokens, Number.MAX_SAFE_INTEGER);
    });
  }
  const of = (value: (sum: { completed: number; lines: number; usage: number[] }) => number): number[] =>
    all.map((chunk) => value(sums.get(chunk) ?? { completed: 0, lines: 0, usage: [] }));
  await sql.run(
    `
    update chunks
    set done = sum.done, crashes = 0, completed = chunks.completed + sum.completed, failed = chunks.failed + sum.failed,
      input_tokens = chunks.input_tokens + sum.input, cached_tokens = chunks.cached_tokens + sum.cached,
      output_tokens = chunks.output_tokens + sum.output, reasoning_tokens = chunks.reasoning_tokens + sum.reasoning,
      total_tokens = chunks.total_tokens + sum.total,
      state = case when sum.ended then 'done' else chunks.state end,
      worker = case when sum.ended then null else chunks.worker end
    from unnest(
      $1::bigint[], $2::integer[], $3::bytea[], $4::boolean[], $5::integer[], $6::integer[],
      $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[]
    ) as sum (batch, number, done, ended, completed, failed, input, cached, output, reasoning, total)
    where chunks.batch = sum.batch and chunks.number = sum.number
    `,
    all.map(({ batch }) => batch),
    all.map(({ number }) => number),
    all.map(({ done }) => done),
    all.map(({ finished, lineCount }) => finished === lineCount),
    of(({ completed }) => completed),
    of(({ completed, lines }) => lines - completed),
    ...[0, 1, 2, 3, 4].map((i) => of(({ usage }) => usage[i] ?? 0)),
  );
}

/** Lines and chunks that are left. The last chunk of a running batch takes it to `finalizing`. */
async function countDown(sql: Sql, { added, chunks }: Changes, now: number): Promise<void> {
  const left = new Map<number, { lines: number; chunks: number }>();
  const of = (batch: number) => {
    let found = left.get(batch);
    if (found === undefined) left.set(batch, (found = { lines: 0, chunks: 0 }));
    return found;
  };
  for (const { segment, chunk } of added) of(chunk.batch).lines += segment.lines.places.length;
  for (const { batch, finished, lineCount } of chunks) if (finished === lineCount) of(batch).chunks++;
  await sql.run(
    `
    update batches
    set lines_left = lines_left - ended.lines, chunks_left = chunks_left - ended.chunks
    from unnest($1::bigint[], $2::integer[], $3::integer[]) as ended (batch, lines, chunks)
    where batches.seq = ended.batch
    `,
    [...left.keys()],
    [...left.values()].map(({ lines }) => lines),
    [...left.values()].map((ended) => ended.chunks),
  );
  const mayHaveEnded = [...left].flatMap(([batch, ended]) => (ended.chunks > 0 ? [batch] : []));
  if (mayHaveEnded.length === 0) return;
  await sql.run(
    `
    update batches
    set status = 'finalizing', ending = 'completed', finalizing_at = greatest($1, in_progress_at)
    where seq = any ($2::bigint[]) and status = 'in_progress' and chunks_left = 0
    `,
    now,
    mayHaveEnded,
  );
}
