/** What a move from one database of SQL to another has to take along. */

/** A value as both databases know it. */
export type MovedValue = string | number | Uint8Array | null;

export type MovedRow = Readonly<Record<string, MovedValue>>;

/** Where a table was read up to: the values of its `key` in the last row. */
export type RowPlace = readonly (string | number)[];

export interface MovedTable {
  readonly name: string;
  /** Columns by which the rows are read in order; no two rows agree in all of them. */
  readonly key: readonly string[];
  /** The other columns, as both databases name them. */
  readonly columns: readonly string[];
  /** The column that names a blob. */
  readonly blobKey?: string;
}

const words = (text: string): string[] => text.trim().split(/\s+/);

const TOKENS = 'input_tokens cached_tokens output_tokens reasoning_tokens total_tokens';

/** In an order in which rows come after those that they refer to. `test/migrate-data/tables.test.ts` knows what is missing. */
export const MOVED_TABLES: readonly MovedTable[] = [
  {
    name: 'owners',
    key: ['owner'],
    columns: words('weight requests_per_minute max_stored_bytes max_queued_lines max_live_batches'),
  },
  {
    name: 'api_keys',
    key: ['seq'],
    columns: words(`
      id owner name hint hash old_hash old_hash_until models endpoints created_at expires_at revoked_at last_used_at
      requests_per_minute
    `),
  },
  {
    name: 'files',
    key: ['seq'],
    columns: words('id owner purpose filename blob_key bytes created_at expires_at'),
    blobKey: 'blob_key',
  },
  {
    name: 'uploads',
    key: ['seq'],
    columns: words(`
      id owner filename purpose bytes expires_after_seconds created_at expires_at status file_id ended_at parts part_bytes
    `),
  },
  {
    name: 'upload_parts',
    key: ['seq'],
    columns: words('id upload blob_key bytes sha256 created_at'),
    blobKey: 'blob_key',
  },
  {
    name: 'batches',
    key: ['seq'],
    columns: words(`
      id owner format endpoint input_file_id completion_window status ending model errors output_file_id error_file_id
      total completed failed unfinished ${TOKENS}
      metadata priority webhook_url output_expires_after_seconds allowed_models created_at expires_at in_progress_at
      finalizing_at completed_at failed_at expired_at cancelling_at cancelled_at input_key input_bytes
      step_worker step_epoch chunks_left lines_left
    `),
    blobKey: 'input_key',
  },
  {
    name: 'chunks',
    key: ['batch', 'number'],
    columns: words(`
      model line_count first_line bytes state worker epoch crashes trying trying_deaths done completed failed ${TOKENS}
    `),
  },
  { name: 'line_indexes', key: ['batch', 'chunk'], columns: ['line_index'] },
  { name: 'segments', key: ['seq'], columns: words('batch chunk log_position lines') },
  {
    name: 'webhook_endpoints',
    key: ['seq'],
    columns: words(`
      id owner name url event_types status disabled_reason failing_since secret secret_hint old_secret old_secret_until
      created_at updated_at
    `),
  },
  { name: 'events', key: ['seq'], columns: words('id owner batch_id format type created_at') },
  {
    name: 'deliveries',
    key: ['seq'],
    columns: words(`
      id event url origin endpoint state created_at next_at attempts last_attempt_at last_status_code last_duration_ms
      last_response last_error worker epoch
    `),
  },
  { name: 'idempotency_keys', key: ['owner', 'key'], columns: words('fingerprint batch created_at') },
];

/** True where the database numbers the rows itself, and so must go on after the highest number. */
export function isNumbered(table: MovedTable): boolean {
  return table.key[0] === 'seq';
}

/** Where a reader is that has read up to `row`. */
export function placeOf(table: MovedTable, row: MovedRow): RowPlace {
  return table.key.map((column) => row[column] as string | number);
}

export function columnsOf(table: MovedTable): readonly string[] {
  return [...table.key, ...table.columns];
}

/** What is finished of a live batch, counted from its chunks and segments. */
export interface LiveCounts {
  readonly seq: number;
  readonly id: string;
  readonly chunks: number;
  readonly lines: number;
  /** Lines with a result, by the chunks' counters. */
  readonly finished: number;
  readonly segments: number;
}

/** Reads LiveCounts; takes the `seq` to go on after, and a limit, as the placeholders say. */
export function liveCountsSql(after: string, limit: string): string {
  return `
    select
      b.seq, b.id, count(c.number) as chunks, coalesce(sum(c.line_count), 0) as lines,
      coalesce(sum(c.completed + c.failed), 0) as finished,
      (select count(*) from segments s where s.batch = b.seq) as segments
    from batches b
      left join chunks c on c.batch = b.seq
    where b.status in ('validating', 'in_progress', 'finalizing', 'cancelling') and b.seq > ${after}
    group by b.seq, b.id
    order by b.seq
    limit ${limit}
  `;
}
