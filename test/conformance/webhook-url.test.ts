/** Where webhooks may not be sent to: a batch's own `webhook_url`, and the URL of an endpoint. */
import { describe, expect, it } from 'vitest';
import { errorOf, refusal, useService } from './service.ts';
import { batchObject } from './shapes.ts';
import { BODY as ENDPOINT, PATH } from './webhook-endpoint-calls.ts';

const env = { WEBHOOK_SIGNING_SECRET: `whsec_${Buffer.alloc(32, 7).toString('base64')}` };
const service = useService(env);
const lenient = useService({ ...env, WEBHOOK_ALLOW_PRIVATE: 'true' });
const BATCH = { input_file_id: 'file-x', endpoint: '/v1/responses', completion_window: '24h' };

const NO_URL = 'it is not an http or https URL';
const PRIVATE = 'its host is not on the public internet';
const FAULTS: [url: string, reason: string][] = [
  ['', NO_URL],
  ['not a url', NO_URL],
  ['ftp://example.com', NO_URL],
  ['javascript:alert(1)', NO_URL],
  ['//example.com/hook', NO_URL],
  ['https://user:secret@example.com', 'it has a user name or a password in it'],
  [`https://example.com/${'x'.repeat(2029)}`, 'it has more than 2048 characters'],
  ['http://localhost/', PRIVATE],
  ['http://127.0.0.1/', PRIVATE],
  ['http://2130706433/', PRIVATE],
  ['http://0x7f.1/', PRIVATE],
  ['http://10.1.2.3/', PRIVATE],
  ['http://169.254.169.254/latest/meta-data', PRIVATE],
  ['http://[::1]/', PRIVATE],
  ['http://[::ffff:10.0.0.1]/', PRIVATE],
  ['https://db.internal./', PRIVATE],
];

describe('a URL for webhooks', () => {
  it.each(FAULTS)('is refused for a batch and for an endpoint: %s', async (url, reason) => {
    const batch = await service.post('/v1/batches', { ...BATCH, webhook_url: url });
    expect(errorOf(batch)).toEqual(
      refusal(400, `Invalid 'webhook_url': ${reason}.`, 'webhook_url', 'invalid_value'),
    );
    const endpoint = await service.post(PATH, { ...ENDPOINT, url });
    expect(errorOf(endpoint)).toEqual(refusal(400, `Invalid 'url': ${reason}.`, 'url', 'invalid_value'));
  });

  it('may be a private one where the settings allow it, and a batch shows it', async () => {
    const url = 'http://127.0.0.1:1/hook';
    const { status, json } = await lenient.post('/v1/batches', { ...BATCH, webhook_url: url });
    expect([status, batchObject.parse(json).webhook_url]).toEqual([200, url]);
    expect((await lenient.post(PATH, { ...ENDPOINT, url })).status).toBe(200);
  });

  it.each([1, [], {}, true])('is a string, not %j', async (url) => {
    const answer = await service.post('/v1/batches', { ...BATCH, webhook_url: url });
    expect(errorOf(answer)).toMatchObject({ status: 400, param: 'webhook_url', code: 'invalid_type' });
  });
});
