/** The move itself: blobs, rows, counts. Each part goes on where an earlier run was cut off. */
import { isNumbered, MOVED_TABLES } from '../adapters/sql/moved-tables.ts';
import { checkBlobs, copyBlobs } from './blobs.ts';
import { checkCounts } from './counts.ts';
import type { Move } from './parts.ts';
import { copyRows } from './rows.ts';

/** Copies everything and checks that it is there. Rejects where something cannot be read or written, or the counts differ. */
export async function copyData(move: Move): Promise<void> {
  const { to, say } = move;
  if (to === null) await checkBlobs(move);
  else await copyBlobs(move, to);
  for (const table of MOVED_TABLES) await copyRows(move, table);
  await checkCounts(move);
  say('checked: what is there now is as much as the folder has');
}

/** What was copied is from now on what the service goes on with. */
export async function finishMove({ id, source, target }: Move): Promise<void> {
  const numbered = MOVED_TABLES.filter(isNumbered);
  await target.finish(id, new Map(numbered.map((table) => [table.name, source.highestSeq(table)])));
}
