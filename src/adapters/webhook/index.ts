import { lookup as lookupOfSystem } from 'node:dns/promises';
import type { WebhookSender } from '../../engine/ports.ts';
import { openPinnedSocket } from './connect.ts';
import { createSender } from './sender.ts';
import type { Lookup } from './sender.ts';

const DEFAULT_TIMEOUT_MS = 15_000;

/**
 * Posts webhooks over HTTP/1.1. URLs that come from clients lead to the public internet only, unless `allowPrivate`:
 * their form and literal addresses are checked, their names resolved and every address judged, and the connection
 * goes to one of those and to no other. Configured (trusted) URLs may lead anywhere. Redirects are not followed.
 * An attempt takes `timeoutMs` at most. `lookup` answers all addresses of a name; by default the system's.
 */
export function createWebhookSender({
  allowPrivate,
  timeoutMs = DEFAULT_TIMEOUT_MS,
  lookup = (hostname) => lookupOfSystem(hostname, { all: true }),
}: {
  readonly allowPrivate: boolean;
  readonly timeoutMs?: number;
  readonly lookup?: Lookup;
}): WebhookSender {
  return createSender({ allowPrivate, timeoutMs, lookup, openSocket: openPinnedSocket });
}
