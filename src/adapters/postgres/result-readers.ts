import type { Database } from './database.ts';

/** A reader that was not heard of for so long is dead, milliseconds. Its process says for all of its readers that they are not. */
const LEASE_MS = 60_000;

/** Who reads which log: what is in it stays until then, on whatever node it is dropped. */
export interface ResultReaders {
  /** Undefined where the batch has no log. */
  open(batchId: string): Promise<{ readonly id: number; readonly log: number } | undefined>;
  /** Never rejects: where the row cannot be removed, its lease ends. */
  close(id: number): Promise<void>;
  /** Closes those that are left. */
  stop(): Promise<void>;
}

/** `leaseMs`: after this time a reader counts as dead whose process does not renew it, by the database's clock. */
export function createResultReaders(db: Database, leaseMs = LEASE_MS): ResultReaders {
  const lease = `interval '${leaseMs} milliseconds'`;
  const ids = new Set<number>();
  let timer: NodeJS.Timeout | null = null;

  /** Where it fails, the next one follows soon enough. A reader that somebody forgot to close keeps no process from its end. */
  function renewLater(): void {
    timer ??= setTimeout(() => {
      timer = null;
      if (ids.size === 0) return;
      db.run(`update result_readers set alive_until = now() + ${lease} where id = any ($1::bigint[])`, [
        ...ids,
      ])
        .catch(() => {})
        .finally(() => ids.size > 0 && renewLater());
    }, leaseMs / 4).unref();
  }

  async function remove(gone: readonly number[]): Promise<void> {
    for (const id of gone) ids.delete(id);
    if (ids.size === 0 && timer !== null) {
      clearTimeout(timer);
      timer = null;
    }
    await db.run('delete from result_readers where id = any ($1::bigint[])', gone).catch(() => {});
  }

  return {
    async open(batchId) {
      // Locked: a drop at the same time comes before, so that there is no log, or after, so that it sees the reader.
      const reader = await db.get<{ readonly id: number; readonly log: number }>(
        `
        with log as (select seq from result_logs where batch_id = $1 and dropped_at is null for share)
        insert into result_readers (log, alive_until) select seq, now() + ${lease} from log
        returning id, log
        `,
        batchId,
      );
      if (reader === undefined) return undefined;
      ids.add(reader.id);
      renewLater();
      return reader;
    },
    close: (id) => remove([id]),
    stop: () => remove([...ids]),
  };
}
