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
 * Ends what waits for an endpoint (by its `seq`), and what is under way, within the transaction that disables it: up to SLICE of them.
 * `endRest` ends the others.
 */
export async function endPending(sql: Sql, endpoint: number): Promise<void> {
  await sql.run(
    `
    update deliveries
    set state = 'failed', last_error = $1, worker = null, epoch = epoch + 1
    where state = 'pending' and seq in (
      select seq from deliveries where endpoint = $2 and state = 'pending' limit $3
    )
    `,
    ENDED_BY_DISABLING,
    endpoint,
    SLICE,
  );
}

/**
 * Ends up to SLICE more, unless the endpoint was enabled again since, or is about to be; answers how many. Waits for nobody, for the
 * caller may hold what others wait for: what they have locked is left for the next time.
 */
export async function endLeft(sql: Sql, endpoint: number): Promise<number> {
  const isDisabled = await sql.get(
    "select from webhook_endpoints where seq = $1 and status = 'disabled' for key share skip locked",
    endpoint,
  );
  if (isDisabled === undefined) return 0;
  return await sql.run(
    `
    update deliveries
    set state = 'failed', last_error = $1, worker = null, epoch = epoch + 1
    where seq in (
      select seq from deliveries where endpoint = $2 and state = 'pending' limit $3 for update skip locked
    )
    `,
    ENDED_BY_DISABLING,
    endpoint,
    SLICE,
  );
}

/** Ends what the transaction that disabled the endpoint has left. Never rejects: what stays all the same, claims end. */
export async function endRest(db: Database, endpoint: number): Promise<void> {
  await inSlices(db, (sql) => endLeft(sql, endpoint)).catch(() => {});
}
