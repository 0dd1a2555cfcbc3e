/** What all calls have in common: keys, headers, envelopes, and how the SDK reads them. */
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { errorOf, KEY, refusal, thrownBy, useService } from './service.ts';

const service = useService();

const ROUTES = [
  ['POST', '/v1/files'],
  ['GET', '/v1/files'],
  ['GET', '/v1/files/file-x'],
  ['DELETE', '/v1/files/file-x'],
  ['GET', '/v1/files/file-x/content'],
  ['POST', '/v1/batches'],
  ['GET', '/v1/batches'],
  ['GET', '/v1/batches/batch_x'],
  ['POST', '/v1/batches/batch_x/cancel'],
  ['GET', '/v1/batches/batch_x/results'],
  ['GET', '/v1/batches/batch_x/events'],
  ['GET', '/v1/unknown'],
] as const;

describe('a request', () => {
  it.each(ROUTES)('without a key is refused: %s %s', async (method, path) => {
    const response = await fetch(service.url + path, { method });
    const { error } = (await response.json()) as { error: object };
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toBe('Bearer');
    expect(error).toEqual({
      message: 'Missing bearer or basic authentication in header',
      type: 'invalid_request_error',
      param: null,
      code: null,
    });
  });

  it.each(ROUTES)('with a wrong key is refused: %s %s', async (method, path) => {
    const answer = await service.call(path, {
      method,
      headers: { authorization: 'Bearer sk-wrong-key-0123456789' },
    });
    expect(errorOf(answer)).toEqual(
      refusal(401, 'Incorrect API key provided: sk-****************6789.', null, 'invalid_api_key'),
    );
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
  });

  it.each([
    ['bearer', `bearer ${KEY}`],
    ['BEARER', `BEARER ${KEY}`],
    ['basic, as the user', `Basic ${Buffer.from(`${KEY}:`).toString('base64')}`],
    ['basic, as the password', `Basic ${Buffer.from(`user:${KEY}`).toString('base64')}`],
  ])('may send its key as %s', async (_name, authorization) => {
    expect((await service.call('/v1/files', { headers: { authorization } })).status).toBe(200);
  });

  it.each([
    ['GET', '/v1/foo'],
    ['PUT', '/v1/files'],
    ['DELETE', '/v1/batches'],
    ['GET', '/'],
  ])('to an unknown route is answered in the envelope: %s %s', async (method, path) => {
    expect(errorOf(await service.call(path, { method }))).toEqual(
      refusal(404, `Invalid URL (${method} ${path})`),
    );
  });
});

describe('an answer', () => {
  it.each(['/v1/files', '/v1/batches', '/v1/batches/batch_x', '/v1/foo'])(
    'to %s has the common headers',
    async (path) => {
      const { headers } = await service.call(path);
      expect(headers.get('x-request-id')).toMatch(/^req_[0-9a-f]{32}$/);
      expect(headers.get('openai-processing-ms')).toMatch(/^\d+$/);
      expect(headers.get('openai-version')).toBe('2020-10-01');
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('content-type')).toBe('application/json');
    },
  );

  it('has a request id of its own', async () => {
    const ids = await Promise.all(
      [1, 2, 3].map(async () => (await service.call('/v1/files')).headers.get('x-request-id')),
    );
    expect(new Set(ids).size).toBe(3);
  });
});

describe('the SDK', () => {
  it.each([
    [OpenAI.BadRequestError, 400, () => service.client.batches.retrieve('x')],
    [OpenAI.NotFoundError, 404, () => service.client.files.retrieve('file-x')],
    [OpenAI.AuthenticationError, 401, () => service.connect('wrong').files.list()],
  ])('throws its %o', async (errorClass, status, call) => {
    const error = await thrownBy(call());
    expect(error).toBeInstanceOf(errorClass);
    expect(error).toMatchObject({
      status,
      type: 'invalid_request_error',
      requestID: expect.stringMatching(/^req_/),
      error: { message: expect.any(String) },
    });
  });

  it('does not try a conflict again', async () => {
    const client = service.connect(KEY, 2);
    const { id } = await service.submit(['{"custom_id":"a"}']);
    await service.end(id);
    const from = performance.now();
    await expect(client.batches.cancel(id)).rejects.toBeInstanceOf(OpenAI.ConflictError);
    // A retry would wait for half a second at least.
    expect(performance.now() - from).toBeLessThan(400);
  });

  it('downloads with the type that it asks for', async () => {
    const id = await service.upload('{}\n', 'user_data');
    const { status, text } = await service.call(`/v1/files/${id}/content`, {
      headers: { accept: 'application/binary' },
    });
    expect([status, text]).toEqual([200, '{}\n']);
  });
});
