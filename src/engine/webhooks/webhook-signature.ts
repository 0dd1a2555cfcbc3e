import { createHmac } from 'node:crypto';

/**
 * The headers that let one delivery be verified in two ways: by the Standard Webhooks scheme (webhook-id,
 * webhook-timestamp, webhook-signature: `v1,` and the base64 HMAC-SHA256 of `{id}.{timestamp}.{body}`), and by
 * `X-Signature-256: sha256=<hex HMAC-SHA256 of the body>`.
 *
 * A secret is `whsec_` and base64, decoded for the first scheme; any other text is used as its UTF-8 bytes. The second
 * scheme always uses the text as it stands. Of several secrets, the newest first, each signs in the first scheme, and the
 * newest alone in the second, which has room for one. `now` in milliseconds: receivers tolerate 300 s.
 */
export function signWebhook(
  secrets: readonly [string, ...string[]],
  id: string,
  now: number,
  body: string,
): Record<string, string> {
  const timestamp = String(Math.floor(now / 1000));
  const signatures = secrets.map((secret) => {
    const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : Buffer.from(secret);
    return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`;
  });
  return {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': signatures.join(' '),
    'x-signature-256': `sha256=${createHmac('sha256', secrets[0]).update(body).digest('hex')}`,
  };
}
