import { describe, expect, it } from 'vitest';
import { closeAfterTest } from '../helpers/close-after-test.ts';
import { startRawServer } from '../helpers/upstream-server.ts';
import { openSender, send, serve } from './webhook-calls.ts';

/** What the sender says of a receiver that answers with these bytes. */
async function bodyFor(body: Buffer | string, headers: Record<string, string> = {}): Promise<unknown> {
  const server = await serve(() => ({ status: 500, body, headers }));
  const outcome = await send(openSender(), server.origin);
  return outcome.kind === 'answered' ? outcome.body : outcome;
}

const REPLACED = '\ufffd';

describe('the answer to a webhook', () => {
  it.each([
    ['nothing', '', ''],
    ['text', 'Grüezi 🎉', 'Grüezi 🎉'],
    ['a byte order mark', '\ufeffx', '\ufeffx'],
    ['a null byte', 'a\0b', 'a\0b'],
    ['bytes that are no UTF-8', Buffer.from([0x61, 0xff, 0x62, 0xe2, 0x82]), `a${REPLACED}b${REPLACED}`],
    ['exactly 1 KB', 'x'.repeat(1024), 'x'.repeat(1024)],
    ['more than 1 KB', 'x'.repeat(1025), 'x'.repeat(1024)],
    ['much more', 'x'.repeat(500_000), 'x'.repeat(1024)],
    ['a character across the limit', `${'x'.repeat(1022)}🎉`, 'x'.repeat(1022)],
    [
      '1 KB that ends within a character',
      Buffer.from(`${'x'.repeat(1022)}🎉`).subarray(0, 1024),
      `${'x'.repeat(1022)}${REPLACED}`,
    ],
  ])('is kept where it has %s', async (_what, body, kept) => expect(await bodyFor(body)).toBe(kept));

  it('is not decoded', async () => {
    const headers = { 'content-encoding': 'gzip', 'content-type': 'text/plain; charset=utf-16' };
    expect(await bodyFor('plain', headers)).toBe('plain');
  });

  it('is what had come of it where it breaks off', async () => {
    const server = closeAfterTest(
      await startRawServer((_request, socket) =>
        socket.end('HTTP/1.1 500 No\r\ncontent-length: 99\r\n\r\nout of or'),
      ),
    );
    expect(await send(openSender(), server.origin)).toMatchObject({ status: 500, body: 'out of or' });
  });
});
