/** Migrations as files: numbered SQL, each run once. */
import { readdirSync, readFileSync } from 'node:fs';

export interface Migration {
  /** Its file name, e.g. `0001_initial.sql`: names sort in the order in which migrations run. */
  readonly name: string;
  readonly sql: string;
}

/** Reads the migrations in `folder` (a URL that ends in a slash), in order. */
export function readMigrations(folder: URL): Migration[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.sql'))
    .toSorted()
    .map((name) => ({ name, sql: readFileSync(new URL(name, folder), 'utf8') }));
}

/**
 * The migrations that a database still needs which has `applied`, in order. Throws where it has one that `known` does not have at
 * that place: another, newer program wrote it. `database` names it for the message.
 */
export function missingMigrations(
  database: string,
  applied: readonly string[],
  known: readonly Migration[],
): readonly Migration[] {
  const at = applied.findIndex((name, i) => name !== known[i]?.name);
  if (at === -1) return known.slice(applied.length);
  const here = known[at]?.name ?? `none (its newest one is ${known.at(-1)?.name})`;
  throw new Error(
    `The database ${database} has migration ${applied[at]} where this program has ${here}. Another version of the program, probably a newer one, wrote this database: start that version.`,
  );
}
