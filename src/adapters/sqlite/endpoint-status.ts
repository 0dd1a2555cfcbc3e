import type { Database } from 'better-sqlite3';
import { ENDED_BY_DISABLING } from '../../engine/webhooks/webhook-endpoint.ts';
import type { DisabledReason } from '../../engine/webhooks/webhook-endpoint.ts';

/** Disables an endpoint (by its `seq`) on the service's own account, within the caller's transaction. */
export function createDisableEndpoint(
  db: Database,
): (endpoint: number, reason: DisabledReason, now: number) => void {
  const disable = db.prepare<[DisabledReason, number, number]>(`
    update webhook_endpoints
    set status = 'disabled', disabled_reason = ?, updated_at = max(?, updated_at)
    where seq = ?
  `);
  const endPending = createEndPending(db);
  return (endpoint, reason, now) => {
    disable.run(reason, now, endpoint);
    endPending(endpoint);
  };
}

/** Ends what waits for a disabled endpoint (by its `seq`), and what is under way, within the caller's transaction. */
export function createEndPending(db: Database): (endpoint: number) => void {
  const end = db.prepare<[string, number]>(`
    update deliveries
    set state = 'failed', last_error = ?, worker = null, epoch = epoch + 1
    where endpoint = ? and state = 'pending'
  `);
  return (endpoint) => void end.run(ENDED_BY_DISABLING, endpoint);
}
