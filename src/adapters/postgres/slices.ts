/** Changes of many rows: no transaction may take as long as a statement is given, nor hold all of them for so long. */
import type { Database, Sql } from './database.ts';

/** Rows that one transaction changes. */
export const SLICE = 10_000;

/** Repeats `change`, of up to SLICE rows a transaction, until it finds fewer; answers how many they were. */
export async function inSlices(db: Database, change: (sql: Sql) => Promise<number>): Promise<number> {
  for (let total = 0; ;) {
    const changed = await db.transaction(change);
    total += changed;
    if (changed < SLICE) return total;
  }
}
