/** The rows of one table. */
import { placeOf } from '../adapters/sql/moved-tables.ts';
import type { MovedRow, MovedTable } from '../adapters/sql/moved-tables.ts';
import type { Move } from './parts.ts';
import { createProgress } from './progress.ts';
import { moveResults } from './results.ts';

const ROWS_A_PAGE = 500;

/** Copies what is not there yet, page by page. */
export async function copyRows(move: Move, table: MovedTable): Promise<void> {
  const { id, source, target, say, signal } = move;
  const all = source.countRows(table);
  let copied = await target.countRows(table);
  const progress = createProgress(say);
  const line = (): string => `${table.name}: ${copied} of ${all} rows`;
  for (let place = await target.placeIn(id, table); ;) {
    signal.throwIfAborted();
    const rows = source.readRows(table, place, ROWS_A_PAGE);
    const last = rows.at(-1);
    if (last === undefined) break;
    await target.writeRows(id, table, place, await translate(move, table, rows));
    place = placeOf(table, last);
    copied += rows.length;
    progress.at(line);
  }
  say(line());
}

/** The rows as they are to be there: where files and results move, they lie elsewhere. */
async function translate(
  move: Move,
  table: MovedTable,
  rows: readonly MovedRow[],
): Promise<readonly MovedRow[]> {
  const { to } = move;
  if (to === null) return rows;
  if (table.blobKey !== undefined) return await withNewKeys(move, table, table.blobKey, rows);
  if (table.name === 'segments') return await moveResults(move, to, rows);
  return rows;
}

async function withNewKeys(
  { target }: Move,
  table: MovedTable,
  column: string,
  rows: readonly MovedRow[],
): Promise<readonly MovedRow[]> {
  const keys = await target.findBlobs([
    ...new Set(rows.flatMap((row) => (row[column] === null ? [] : [row[column] as string]))),
  ]);
  return rows.map((row) => {
    const oldKey = row[column];
    if (oldKey === null) return row;
    const newKey = keys.get(oldKey as string);
    if (newKey !== undefined) return { ...row, [column]: newKey };
    // The input of an ended batch, which may be gone: nobody reads it by this row any more.
    if (table.name === 'batches') return row;
    throw new Error(`the blob ${oldKey as string}, which a row of ${table.name} names, was not copied`);
  });
}
