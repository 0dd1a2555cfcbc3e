/** Whether all that the folder has is there. */
import { MOVED_TABLES } from '../adapters/sql/moved-tables.ts';
import type { LiveCounts } from '../adapters/sql/moved-tables.ts';
import type { Move } from './parts.ts';

const BATCHES_A_PAGE = 500;
/** An error need not list more to say what is wrong. */
const MAX_MISMATCHES = 20;

/** Rejects with what differs, a line each. */
export async function checkCounts(move: Move): Promise<void> {
  const mismatches: string[] = [];
  const compare = (what: string, here: number | undefined, there: number | undefined): void => {
    if (here !== there && mismatches.length < MAX_MISMATCHES)
      mismatches.push(`${what}: ${here ?? 'none'} in the folder, ${there ?? 'none'} there`);
  };
  for (const table of MOVED_TABLES) {
    compare(`rows of ${table.name}`, move.source.countRows(table), await move.target.countRows(table));
  }
  if (move.to !== null) {
    const [here, there] = [move.source.countBlobs(), await move.target.countBlobs()];
    compare('blobs', here.blobs, there.blobs);
    compare('bytes of blobs', here.bytes, there.bytes);
  }
  await compareLive(move, compare);
  if (mismatches.length === 0) return;
  throw new Error(
    `What was moved is not what the folder has. Empty the database and move again.\n${mismatches.map((line) => `  ${line}`).join('\n')}`,
  );
}

async function compareLive(
  { source, target }: Move,
  compare: (what: string, here: number | undefined, there: number | undefined) => void,
): Promise<void> {
  for (let after = 0; ;) {
    const here = source.readLiveCounts(after, BATCHES_A_PAGE);
    const there = new Map((await target.readLiveCounts(after, BATCHES_A_PAGE)).map((row) => [row.id, row]));
    for (const counts of here) compareBatch(counts, there.get(counts.id), compare);
    const last = here.at(-1);
    if (last === undefined) return;
    after = last.seq;
  }
}

function compareBatch(
  here: LiveCounts,
  there: LiveCounts | undefined,
  compare: (what: string, here: number | undefined, there: number | undefined) => void,
): void {
  for (const name of ['chunks', 'lines', 'finished', 'segments'] as const) {
    compare(`${name} of batch ${here.id}`, here[name], there?.[name]);
  }
}
