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
  /** The connection broke: its server process may go on for a while and has the row locked, so that no other may have it. */
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

/** Begins a transaction and writes its mark, in one message to the database. */
export function beginMarked({ id, number }: CommitMark): string {
  return `
    begin;
    insert into commit_marks (id, number, used_at) values ('${id}', ${number}, now())
    on conflict (id) do update set number = excluded.number, used_at = excluded.used_at
  `;
}

/**
 * True where the transaction was committed, false where it never will be. Where it is still under way, waits for its end; rejects
 * where that takes too long.
 */
export async function wasCommitted(sql: Sql, { id, number }: CommitMark): Promise<boolean> {
  // A row that is not there is written, for only so is a transaction waited for that writes it first.
  const row = await sql.get<{ readonly number: number }>(
    `
    insert into commit_marks (id, number, used_at) values ($1, 0, now())
    on conflict (id) do update set used_at = excluded.used_at
    returning number
    `,
    id,
  );
  return row?.number === number;
}

/** Removes the rows of connections that were not used for so long that nobody asks for them any more. */
export async function forgetOldMarks(sql: Sql): Promise<void> {
  await sql.run("delete from commit_marks where used_at < now() - interval '1 day'");
}
