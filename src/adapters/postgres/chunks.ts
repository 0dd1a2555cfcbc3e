import type { ChunkRef, Fenced, Store } from '../../engine/ports.ts';
import { toChunk } from '../sql/chunk-rows.ts';
import type { ChunkRow } from '../sql/chunk-rows.ts';
import type { Database } from './database.ts';

export type ChunkVerbs = Pick<Store, 'readChunks' | 'markTrying'>;

/** Single chunks; `claims.ts` says who works on them, `segments.ts` what came of it. */
export function createChunkVerbs(db: Database): ChunkVerbs {
  return {
    async readChunks(batchId, fromNumber, limit) {
      const rows = await db.all<ChunkRow>(
        `
        select c.number, c.model, c.line_count, c.first_line, c.bytes, c.done, i.line_index
        from chunks c
          join line_indexes i on i.batch = c.batch and i.chunk = c.number
        where c.batch = (select seq from batches where id = $1) and c.number >= $2
        order by c.number
        limit $3
        `,
        batchId,
        fromNumber,
        limit,
      );
      return rows.map(toChunk);
    },
    markTrying: ({ batchId, chunkNumber, epoch }: ChunkRef, place): Promise<Fenced> =>
      db.transaction(async (sql) => {
        const changed = await sql.run(
          `
          update chunks
          set trying = $1::integer,
            trying_deaths = case
              when $1::integer is null then 0
              when trying = $1::integer then trying_deaths + 1
              else 1
            end
          where batch = (select seq from batches where id = $2) and number = $3 and epoch = $4 and state = 'claimed'
          `,
          place,
          batchId,
          chunkNumber,
          epoch,
        );
        return changed === 1 ? 'ok' : 'lost';
      }),
  };
}
