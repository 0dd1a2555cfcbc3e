import assert from 'node:assert/strict';
import type { BatchObject } from '../harness/ledger.ts';
import type { World } from '../harness/world.ts';

/** How a line ended, as its result line tells. */
export interface LineEnd {
  readonly file: 'output' | 'error';
  /** Of the upstream's answer; null: it got none. */
  readonly status: number | null;
  /** Of the error that stands for an answer; null: it got one. */
  readonly code: string | null;
  readonly message: string | null;
  /** What the answer has under `answer`. */
  readonly answer: string | undefined;
  /** The answer's body. */
  readonly body: unknown;
}

interface ResultLine {
  readonly custom_id: string;
  readonly response: { readonly status_code: number; readonly body: unknown } | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

/** How each line of an ended batch ended, by its `custom_id`. */
export async function readEnds(world: World, batch: BatchObject): Promise<Map<string, LineEnd>> {
  const ends = new Map<string, LineEnd>();
  for (const file of ['output', 'error'] as const) {
    const id = batch[`${file}_file_id`];
    const text = id === null ? '' : await world.client.content(id);
    assert.ok(text !== null, `the ${file} file of ${batch.id} is gone`);
    for (const line of text.split('\n').slice(0, -1)) {
      const { custom_id, response, error } = JSON.parse(line) as ResultLine;
      assert.ok(!ends.has(custom_id), `${custom_id} has two results`);
      const body = response?.body;
      ends.set(custom_id, {
        file,
        status: response?.status_code ?? null,
        code: error?.code ?? null,
        message: error?.message ?? null,
        answer: (body as { readonly answer?: string } | null | undefined)?.answer,
        body,
      });
    }
  }
  return ends;
}
