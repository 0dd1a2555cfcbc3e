/** Chunks that a worker holds already and that count against a claim's `perModel`. */
export interface HeldChunks {
  readonly batchId: string;
  readonly model: string;
  readonly chunks: number;
}

/** How many more chunks of a model of a batch one claim may take: `held` counts, and what the claim has taken so far. */
export interface ClaimRoom {
  has(batchId: string, model: string): boolean;
  /** The models of which no batch may have another chunk. Grows only. */
  fullModels(): readonly string[];
  /** A chunk was taken. */
  take(batchId: string, model: string): void;
}

export function createClaimRoom(options: {
  readonly perModel: number;
  readonly held: readonly HeldChunks[];
  /** So many chunks of a model one claim may take, of all batches together; a model that is missing: any number. */
  readonly modelRoom?: ReadonlyMap<string, number> | undefined;
}): ClaimRoom {
  const { perModel, held, modelRoom } = options;
  const left = modelRoom === undefined ? null : new Map(modelRoom);
  /** By batch, then by model. */
  const counts = new Map<string, Map<string, number>>();

  function add(batchId: string, model: string, chunks: number): void {
    let ofBatch = counts.get(batchId);
    if (ofBatch === undefined) counts.set(batchId, (ofBatch = new Map()));
    ofBatch.set(model, (ofBatch.get(model) ?? 0) + chunks);
  }

  for (const { batchId, model, chunks } of held) add(batchId, model, chunks);
  return {
    has: (batchId, model) =>
      (counts.get(batchId)?.get(model) ?? 0) < perModel && (left?.get(model) ?? Infinity) > 0,
    fullModels: () => [...(left ?? [])].filter(([, room]) => room <= 0).map(([model]) => model),
    take(batchId, model) {
      add(batchId, model, 1);
      const room = left?.get(model);
      if (room !== undefined) left?.set(model, room - 1);
    },
  };
}
