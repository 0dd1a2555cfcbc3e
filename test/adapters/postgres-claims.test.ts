import { describe, expect, it, onTestFinished } from 'vitest';
import { createClaimVerbs } from '../../src/adapters/postgres/claims.ts';
import { openPool } from '../../src/adapters/postgres/database.ts';
import type { Database } from '../../src/adapters/postgres/database.ts';
import { usePostgres } from '../helpers/postgres.ts';
import { chunksOf, startBatch, T0 } from '../helpers/store-fixtures.ts';

const postgres = usePostgres();

/** `copies` more of each batch that there is, as they were started. */
async function copyBatches(copies: number): Promise<void> {
  await postgres.query(`
    insert into batches (
      id, owner, format, endpoint, input_file_id, completion_window, status, total, priority, created_at, expires_at,
      in_progress_at, input_key, input_bytes, chunks_left, lines_left
    )
    select
      'copy ' || n, owner, format, endpoint, input_file_id, completion_window, status, total, priority, created_at, expires_at,
      in_progress_at, input_key, input_bytes, chunks_left, lines_left
    from batches, generate_series(1, ${copies}) n;
    insert into chunks (batch, number, model, line_count, first_line, bytes, done)
    select b.seq, c.number, c.model, c.line_count, c.first_line, c.bytes, c.done
    from batches b, chunks c
    where b.id like 'copy %';
    insert into line_indexes (batch, chunk, line_index)
    select b.seq, i.chunk, i.line_index
    from batches b, line_indexes i
    where b.id like 'copy %'
  `);
}

/** A database that counts the statements of its transactions. */
function openCounting(): { readonly db: Database; statements: number } {
  const pool = openPool({ url: postgres.url, maxConnections: 1, onLost() {} });
  onTestFinished(() => pool.close());
  const counting = {
    statements: 0,
    db: {
      ...pool,
      transaction: (work) =>
        pool.transaction((sql) =>
          work({
            ...sql,
            all(text, ...values) {
              counting.statements++;
              return sql.all(text, ...values);
            },
          }),
        ),
    } satisfies Database,
  };
  return counting;
}

describe('a claim of chunks', () => {
  it('is not kept from other models by any number of batches whose model has no room', async () => {
    const store = await postgres.openStore();
    onTestFinished(() => store.close());
    await startBatch(store, { expiresAt: T0 + 10 });
    await copyBatches(1100);
    await startBatch(store, { expiresAt: T0 + 20 }, chunksOf(2, { model: 'large' }));
    const counting = openCounting();
    const claim = async (small: number) => {
      counting.statements = 0;
      const claims = await createClaimVerbs(counting.db).claimChunks({
        worker: 'w',
        now: T0,
        limit: small + 1,
        perModel: 10,
        held: [],
        modelRoom: new Map([['small', small]]),
        oneEachExcept: null,
        above: new Map(),
      });
      expect(counting.statements).toBeLessThan(20);
      return claims.map(({ chunk }) => `${chunk.model} ${chunk.number}`);
    };
    expect(await claim(0)).toEqual(['large 0']);
    // Room that is used up by this very claim is none for the rest of it.
    expect(await claim(2)).toEqual(['small 0', 'small 0', 'large 1']);
  });
});
