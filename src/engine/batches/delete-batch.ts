import { batchNotFound, checkBatchId } from './batches.ts';
import type { EngineContext } from '../context.ts';
import { EngineError } from '../errors.ts';

/**
 * Removes an ended batch. Its files stay, and webhooks that are still to be delivered go out (without the counts and
 * files of the batch). `conflict` for a live one, `batch_not_found` for an unknown and another owner's alike.
 */
export async function deleteBatch(ctx: EngineContext, owner: string, id: string): Promise<void> {
  checkBatchId(id);
  const result = await ctx.store.deleteBatch(owner, id);
  if (result.kind === 'missing') throw batchNotFound(id);
  if (result.kind === 'live') {
    throw new EngineError('conflict', `Cannot delete a batch with status '${result.status}'.`);
  }
  ctx.log.info({ batchId: id, owner }, 'batch deleted');
}
