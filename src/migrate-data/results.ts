/** The result logs of live batches. */
import type { MovedRow } from '../adapters/sql/moved-tables.ts';
import { decodeSegmentLines } from '../engine/run/chunk.ts';
import type { Move, Storage } from './parts.ts';

/** So much of a batch is appended at a time, and so much of all of them is held at the most, but for one segment, bytes. */
const APPEND_BYTES = 1024 * 1024;
const HELD_BYTES = 8 * 1024 * 1024;

/** Segments of one batch whose bytes are still to be appended. */
interface Gathered {
  readonly rows: MovedRow[];
  readonly parts: Buffer[];
  bytes: number;
}

/**
 * Copies the bytes of the segments and answers their rows with the new positions, in the same order. Bytes that were copied by a run
 * that was cut off before it wrote the rows stay in the log, where nobody reads them.
 */
export async function moveResults(
  { source, from, signal }: Move,
  to: Storage,
  rows: readonly MovedRow[],
): Promise<readonly MovedRow[]> {
  const gathered = new Map<string, Gathered>();
  const moved = new Map<MovedRow, MovedRow>();
  let held = 0;

  async function append(batchId: string, { rows: segments, parts, bytes }: Gathered): Promise<void> {
    let { position } = await to.results.append(batchId, parts);
    for (const [i, row] of segments.entries()) {
      moved.set(row, { ...row, log_position: position });
      position += parts[i]?.length ?? 0;
    }
    gathered.delete(batchId);
    held -= bytes;
  }

  for (const row of rows) {
    signal.throwIfAborted();
    const batchId = source.batchId(row['batch'] as number);
    const bytes = await readSegment(from, batchId, row);
    const own = gathered.get(batchId) ?? { rows: [], parts: [], bytes: 0 };
    gathered.set(batchId, own);
    own.rows.push(row);
    own.parts.push(bytes);
    own.bytes += bytes.length;
    held += bytes.length;
    if (own.bytes >= APPEND_BYTES) await append(batchId, own);
    if (held >= HELD_BYTES) for (const entry of gathered) await append(...entry);
  }
  for (const entry of gathered) await append(...entry);
  return rows.map((row) => moved.get(row) ?? row);
}

async function readSegment({ results }: Storage, batchId: string, row: MovedRow): Promise<Buffer> {
  const { lengths } = decodeSegmentLines(row['lines'] as Uint8Array);
  const length = lengths.reduce((sum, bytes) => sum + bytes, 0);
  return await results.read(batchId, row['log_position'] as number, length).catch((cause: Error) => {
    throw new Error(`The results of the batch ${batchId} cannot be read: ${cause.message}`, { cause });
  });
}
