/** Chunks as rows. */
import type { ChunkClaim, ChunkRecord } from '../../engine/ports.ts';

export interface ClaimedRow {
  readonly id: string;
  readonly owner: string;
  readonly endpoint: string;
  readonly priority: number;
  readonly expires_at: number;
  readonly input_key: string;
  readonly input_bytes: number;
  readonly number: number;
  readonly model: string;
  readonly line_count: number;
  readonly first_line: number;
  readonly bytes: number;
  readonly epoch: number;
  readonly crashes: number;
  readonly trying: number | null;
  readonly trying_deaths: number;
  readonly done: Uint8Array;
  readonly line_index: Uint8Array;
  readonly weight: number;
  /** 0 and 1 where the database has no booleans. */
  readonly has_more: boolean | number;
}

export function toClaim(row: ClaimedRow): ChunkClaim {
  return {
    batch: {
      id: row.id,
      owner: row.owner,
      endpoint: row.endpoint,
      priority: row.priority,
      expiresAt: row.expires_at,
      input: { key: row.input_key, bytes: row.input_bytes },
      weight: row.weight,
    },
    chunk: {
      batchId: row.id,
      number: row.number,
      model: row.model,
      lineCount: row.line_count,
      firstLine: row.first_line,
      bytes: row.bytes,
      index: row.line_index,
      epoch: row.epoch,
      done: row.done,
      crashes: row.crashes,
      trying: row.trying === null ? null : { place: row.trying, deaths: row.trying_deaths },
    },
    hasMore: Boolean(row.has_more),
  };
}

export interface ChunkRow {
  readonly number: number;
  readonly model: string;
  readonly line_count: number;
  readonly first_line: number;
  readonly bytes: number;
  readonly done: Uint8Array;
  readonly line_index: Uint8Array;
}

export function toChunk(row: ChunkRow): ChunkRecord {
  return {
    number: row.number,
    model: row.model,
    lineCount: row.line_count,
    firstLine: row.first_line,
    bytes: row.bytes,
    index: row.line_index,
    done: row.done,
  };
}
