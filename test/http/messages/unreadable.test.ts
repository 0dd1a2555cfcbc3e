import { describe, expect, it } from 'vitest';
import { createTestApp } from '../../helpers/http-app.ts';
import { listen, openRawClient, requestHead } from '../raw-client.ts';
import type { RawClient } from '../raw-client.ts';
import { BATCHES, messageRefusal, VERSION } from './calls.ts';

/** What the one answer on a connection says went wrong, to compare with a `messageRefusal`. */
async function answerOf(client: RawClient): Promise<object> {
  await expect.poll(() => client.received()).toMatch(/\}$/);
  const [head = '', body = ''] = client.received().split('\r\n\r\n');
  const header = (name: string) => new RegExp(`^${name}: (.*?)\r?$`, 'm').exec(head)?.[1];
  expect(head).not.toMatch(/^openai-/m);
  const { request_id: requestId, ...error } = JSON.parse(body) as { request_id: string };
  expect([header('request-id'), header('x-request-id')]).toEqual([requestId, requestId]);
  return { status: Number(/^HTTP\/1\.1 (\d+) /.exec(head)?.[1]), type: header('content-type'), body: error };
}

describe('what no route sees, on a path of the Messages API', () => {
  it.each([
    [
      'a path that cannot be decoded',
      requestHead(`GET ${BATCHES}/%ff`, VERSION),
      messageRefusal(404, 'not_found_error', `Invalid URL (GET ${BATCHES}/%ff)`),
    ],
    [
      'a body that is not chunked as HTTP has it',
      `${requestHead(`POST ${BATCHES}`, { ...VERSION, 'transfer-encoding': 'chunked' })}nonsense\r\n`,
      messageRefusal(400, 'invalid_request_error', 'The request is not valid HTTP.'),
    ],
    [
      'an expectation that is none',
      requestHead(`POST ${BATCHES}`, { ...VERSION, 'content-length': '2', expect: 'wonders' }),
      messageRefusal(417, 'invalid_request_error', 'The only expectation that is supported is 100-continue.'),
    ],
  ])('is answered in its envelope: %s', async (_what, bytes, expected) => {
    const client = await openRawClient(await listen(createTestApp().app));
    await client.send(bytes);
    expect(await answerOf(client)).toEqual(expected);
  });

  it('is answered in its envelope: a body that does not arrive in time', async () => {
    const { app } = createTestApp({ limits: { headMs: 50, requestMs: 100, checkMs: 20 } });
    const client = await openRawClient(await listen(app));
    await client.send(
      `${requestHead(`POST ${BATCHES}`, { ...VERSION, 'content-length': '100' })}{"requests":[`,
    );
    expect(await answerOf(client)).toEqual(
      messageRefusal(408, 'timeout_error', 'The request took too long to arrive.'),
    );
  });

  it('is answered in the usual envelope where the path cannot be known', async () => {
    const client = await openRawClient(await listen(createTestApp().app));
    await client.send(`POST ${BATCHES} nonsense\r\n\r\n`);
    await expect.poll(() => client.received()).toContain('"code":null}}');
  });
});
