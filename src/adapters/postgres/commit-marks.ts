/** What a transaction writes so that it can be found out whether it was committed. */
import { randomUUID } from 'node:crypto';
import type { Sql } from './sql.ts';

/** The mark of one transaction: a connection's row, and a number that it had not before. */
export interface CommitMark {
  readonly id: string;
  readonly number: number;
}

export interface CommitMarks {
  /** For the next transaction on a connection. */
  next(connection: object): CommitMark;
  /** The connection broke: its server process may go on for a while, so no other may have its row. */
  lose(connection: object): void;
  /** The connection was closed in order: another one may have its row. */
  free(connection: object): void;
}

interface Row {
  readonly id: string;
  number: number;
}

/** The marks of one process. */
export function createCommitMarks(): CommitMarks {
  const process = randomUUID();
  const rows = new WeakMap<object, Row>();
  const unused: Row[] = [];
  let made = 0;

  function rowOf(connection: object): Row {
    let row = rows.get(connection);
    if (row === undefined) {
      row = unused.pop() ?? { id: `${process}-${++made}`, number: 0 };
      rows.set(connection, row);
    }
    return row;
  }

  return {
    next(connection) {
      const row = rowOf(connection);
      row.number++;
      return { id: row.id, number: row.number };
    },
    lose: (connection) => void rows.delete(connection),
    free(connection) {
      const row = rows.get(connection);
      if (row !== undefined && rows.delete(connection)) unused.push(row);
    },
  };
}

/**
 * Writes the mark of a transaction and commits it, in one message to the database. One that has written nothing leaves no mark, for
 * then a commit costs nothing, and workers without work make some each second.
 */
export function commitMarked({ id, number }: CommitMark): string {
  return `
    insert into commit_marks (id, number, used_at)
    select '${id}', ${number}, now()
    where pg_current_xact_id_if_assigned() is not null
    on conflict (id) do update set number = excluded.number, used_at = excluded.used_at;
    commit`;
}

/**
 * True where the transaction was committed; false where it wrote nothing or, from now on, cannot be committed any more: its commit may
 * still be on its way to the database. Waits for one that is just being made.
 */
export async function wasCommitted(sql: Sql, { id, number }: CommitMark): Promise<boolean> {
  const row = await sql.get<{ readonly number: number }>(
    `
    insert into commit_marks as mark (id, number, given_up, used_at) values ($1, 0, $2, now())
    on conflict (id) do update set given_up = case when mark.number = $2 then mark.given_up else $2 end
    returning number
    `,
    id,
    number,
  );
  return row?.number === number;
}

/** Removes the rows of connections that were not used for so long that nobody asks for them any more. */
export async function forgetOldMarks(sql: Sql): Promise<void> {
  await sql.run("delete from commit_marks where used_at < now() - interval '1 day'");
}
