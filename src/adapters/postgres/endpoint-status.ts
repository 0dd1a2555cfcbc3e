import { ENDED_BY_DISABLING } from '../../engine/webhooks/webhook-endpoint.ts';
import type { DisabledReason } from '../../engine/webhooks/webhook-endpoint.ts';
import type { Database, Sql } from './database.ts';
import { inSlices, SLICE } from './slices.ts';

/** Disables an endpoint (by its `seq`) on the service's own account, within the caller's transaction. */
export async function disableEndpoint(
  sql: Sql,
  endpoint: number,
  reason: DisabledReason,
  now: number,
): Promise<void> {
  // Not beside an event that is being inserted: its delivery must be seen.
  await sql.get('select from webhook_endpoints where seq = $1 for update', endpoint);
  await sql.run(
    `
    update webhook_endpoints
    set status = 'disabled', disabled_reason = $1, updated_at = greatest($2, updated_at)
    where seq = $3
    `,
    reason,
    now,
    endpoint,
  );
  await endPending(sql, endpoint);
}

/**
 * Ends what waits for a disabled endpoint (by its `seq`), and what is under way, within the caller's transaction: up to SLICE of them;
 * answers how many.
 */
export async function endPending(sql: Sql, endpoint: number): Promise<number> {
  return await sql.run(
    `
    update deliveries
    set state = 'failed', last_error = $1, worker = null, epoch = epoch + 1
    where seq in (select seq from deliveries where endpoint = $2 and state = 'pending' limit $3)
    `,
    ENDED_BY_DISABLING,
    endpoint,
    SLICE,
  );
}

/** Ends what `endPending` left, unless the endpoint was enabled again since. A claim ends what a crash leaves here. */
export async function endRest(db: Database, endpoint: number): Promise<void> {
  await inSlices(db, async (sql) => {
    const isDisabled = await sql.get(
      "select from webhook_endpoints where seq = $1 and status = 'disabled' for key share",
      endpoint,
    );
    return isDisabled === undefined ? 0 : await endPending(sql, endpoint);
  });
}
