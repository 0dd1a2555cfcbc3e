import type { Database } from 'better-sqlite3';
import type { ChunkRef, Fenced, Store } from '../../engine/ports.ts';
import { toChunk } from '../sql/chunk-rows.ts';
import type { ChunkRow } from '../sql/chunk-rows.ts';

export type ChunkVerbs = Pick<Store, 'readChunks' | 'markTrying'>;

/** Single chunks; `claims.ts` says who works on them, `segments.ts` what came of it. */
export function createChunkVerbs(db: Database): ChunkVerbs {
  const page = db.prepare<[string, number, number], ChunkRow>(`
    select c.number, c.model, c.line_count, c.first_line, c.bytes, c.done, i.line_index
    from chunks c
      join line_indexes i on i.batch = c.batch and i.chunk = c.number
    where c.batch = (select seq from batches where id = ?) and c.number >= ?
    order by c.number
    limit ?
  `);
  const mark = db.prepare<[number | null, number | null, number | null, string, number, number]>(`
    update chunks
    set trying_deaths = iif(trying is ?, trying_deaths, 0) + (? is not null), trying = ?
    where batch = (select seq from batches where id = ?) and number = ? and epoch = ? and state = 'claimed'
  `);

  return {
    readChunks: async (batchId, fromNumber, limit) => page.all(batchId, fromNumber, limit).map(toChunk),
    markTrying: async ({ batchId, chunkNumber, epoch }: ChunkRef, place): Promise<Fenced> =>
      mark.run(place, place, place, batchId, chunkNumber, epoch).changes === 1 ? 'ok' : 'lost',
  };
}
