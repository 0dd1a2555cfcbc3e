import { describe, expect, it } from 'vitest';
import { closeAfterTest } from '../helpers/close-after-test.ts';
import { startUpstreamServer } from '../helpers/upstream-server.ts';
import type { UpstreamServer } from '../helpers/upstream-server.ts';
import { openUpstream, send } from './upstream-calls.ts';

async function startServer(): Promise<UpstreamServer> {
  return closeAfterTest(await startUpstreamServer(() => ({})));
}

describe('what an HTTP upstream is sent', () => {
  it('is the body byte for byte, with the headers that a model server needs and no others', async () => {
    const server = await startServer();
    const everyByte = Uint8Array.from({ length: 1024 }, (_, at) => at % 256);
    await send(openUpstream(server.baseUrl), { body: everyByte, idempotencyKey: 'batch_req_7' }).outcome;
    expect(server.requests[0]?.raw.toString('latin1')).toBe(
      [
        'POST /v1/chat/completions HTTP/1.1',
        `host: 127.0.0.1:${server.port}`,
        'connection: keep-alive',
        'content-type: application/json',
        'accept: application/json',
        'accept-encoding: identity',
        'user-agent: anyllm-batch',
        'authorization: Bearer sk-test',
        'idempotency-key: batch_req_7',
        'content-length: 1024',
        '',
        Buffer.from(everyByte).toString('latin1'),
      ].join('\r\n'),
    );
  });

  it('is only the line’s part of a larger buffer', async () => {
    const server = await startServer();
    const body = Buffer.from('before{"a":1}after').subarray(6, 13);
    await send(openUpstream(server.baseUrl), { body }).outcome;
    expect(server.requests[0]?.body.toString()).toBe('{"a":1}');
  });

  it('may be empty or larger than what one write takes', async () => {
    const server = await startServer();
    const upstream = openUpstream(server.baseUrl);
    const large = Buffer.alloc(8 * 1024 * 1024, 'abcdefg');
    await send(upstream, { body: Buffer.alloc(0) }).outcome;
    await send(upstream, { body: large }).outcome;
    expect(server.requests[0]?.headers['content-length']).toBe('0');
    expect(server.requests[1]?.body.equals(large)).toBe(true);
  });

  it('has no authorization header where there is no key', async () => {
    const server = await startServer();
    await send(openUpstream(server.baseUrl, { apiKey: null })).outcome;
    expect(server.requests[0]?.headers).not.toHaveProperty('authorization');
  });

  it('has the headers of the format anthropic where that is asked for', async () => {
    const server = await startServer();
    await send(openUpstream(server.baseUrl, { format: 'anthropic' })).outcome;
    await send(openUpstream(server.baseUrl, { format: 'anthropic', apiKey: null })).outcome;
    expect(server.requests[0]?.headers).toMatchObject({
      'x-api-key': 'sk-test',
      'anthropic-version': '2023-06-01',
    });
    expect(server.requests[0]?.headers).not.toHaveProperty('authorization');
    expect(server.requests[1]?.headers).toMatchObject({ 'anthropic-version': '2023-06-01' });
    expect(server.requests[1]?.headers).not.toHaveProperty('x-api-key');
  });

  it('carries the idempotency key of its own line, also when many are sent at once', async () => {
    const server = await startServer();
    const upstream = openUpstream(server.baseUrl);
    const keys = Array.from({ length: 50 }, (_, at) => `batch_req_${at}`);
    await Promise.all(
      keys.map((key) => send(upstream, { idempotencyKey: key, body: Buffer.from(key) }).outcome),
    );
    expect(server.requests).toHaveLength(50);
    for (const { headers, body } of server.requests) expect(headers['idempotency-key']).toBe(body.toString());
  });

  it.each([
    ['/v1', '/v1/chat/completions', '/v1/chat/completions'],
    ['/v1/', '/v1/embeddings', '/v1/embeddings'],
    ['', '/v1/embeddings', '/embeddings'],
    ['/', '/v1/embeddings', '/embeddings'],
    ['/api/v1', '/v1/embeddings', '/api/v1/embeddings'],
    ['/openai//', '/v1/images/generations', '/openai/images/generations'],
    ['/v1', '/rerank', '/v1/rerank'],
    ['/v1', '/v1beta/things', '/v1/v1beta/things'],
    ['/deployments/x?api-version=2', '/v1/embeddings', '/deployments/x/embeddings?api-version=2'],
  ])('goes, for the base path %j and the line’s url %j, to %j', async (basePath, url, expected) => {
    const server = await startServer();
    await send(openUpstream(server.origin + basePath), { url }).outcome;
    expect(server.requests[0]?.path).toBe(expected);
  });

  it('accepts every model', async () => {
    const server = await startServer();
    expect(openUpstream(server.baseUrl).refuses('anything')).toBeNull();
  });

  it('cannot have a key that would break the header apart', () => {
    expect(() => openUpstream('http://127.0.0.1:1/v1', { apiKey: 'a\r\nx-other: b' })).toThrow(TypeError);
  });
});
