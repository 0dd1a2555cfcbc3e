/** `POST /v1/batches/validate`: what a batch would meet, and what is refused. */
import { describe, expect, it } from 'vitest';
import { errorOf, line, missing, refusal, useService, wrongType } from './service.ts';
import type { Refusal } from './service.ts';
import { validationObject } from './shapes.ts';

const service = useService({ ENDPOINTS: '/v1/chat/completions,/v1/embeddings' });
const PATH = '/v1/batches/validate';
const ENDPOINT = '/v1/chat/completions';

const textOf = (lines: readonly (string | object)[]): string =>
  lines.map((each) => `${typeof each === 'string' ? each : JSON.stringify(each)}\n`).join('');

async function validate(lines: readonly (string | object)[]) {
  const body = { input_file_id: await service.upload(textOf(lines)), endpoint: ENDPOINT };
  const { status, json } = await service.post(PATH, body);
  expect(status).toBe(200);
  return validationObject.parse(json);
}

const said = (content: string, model = 'm') =>
  line(content, { body: { model, messages: [{ role: 'user', content }] } });

describe('a validation', () => {
  it('counts requests, bytes, models and tokens of a good file, and creates nothing', async () => {
    const lines = [said('one two three', 'small'), said('four', 'large'), said('five', 'large')];
    const validation = await validate(lines);
    expect(Object.keys(validation)).toEqual(
      Object.keys(validationObject.shape).filter((key) => key !== 'more_models'),
    );
    expect(validation).toEqual({
      object: 'batch.validation',
      valid: true,
      errors: null,
      request_counts: { total: 3 },
      bytes: textOf(lines).length,
      models: [
        { model: 'large', requests: 2 },
        { model: 'small', requests: 1 },
      ],
      token_estimate: { method: 'o200k_base', sampled_requests: 3, input_tokens: 5, is_estimate: true },
    });
    expect((await service.client.batches.list()).data).toEqual([]);
  });

  it('estimates the tokens of many requests by some of them', async () => {
    const { token_estimate: estimate } = await validate(
      Array.from({ length: 1000 }, (_, i) => ({ ...said('one two three'), custom_id: `l${i}` })),
    );
    expect(estimate?.sampled_requests).toBeLessThan(1000);
    expect(estimate?.input_tokens).toBe(3000);
  });

  it.each<[string, (string | object)[]]>([
    ['a line that is no JSON', [line('a'), '{"custom_id":']],
    ['a custom_id that comes twice', [line('a'), line('a')]],
    ['the url of another endpoint', [line('a', { url: '/v1/embeddings' })]],
    ['no model', [line('a', { body: {} })]],
    ['several faults', [line('a', { method: 'GET' }), '', line('b', { body: { model: 'm', stream: true } })]],
  ])('tells the very errors of a batch: %s', async (_fault, lines) => {
    const validation = await validate(lines);
    const batch = await service.end((await service.submit(lines)).id);
    expect(batch.status).toBe('failed');
    expect(validation.valid).toBe(false);
    expect(validation.errors).toEqual(batch.errors);
  });

  it('of a file with another purpose tells the error of a batch', async () => {
    const id = await service.upload('{}', 'user_data');
    const { json } = await service.post(PATH, { input_file_id: id, endpoint: ENDPOINT });
    const { valid, errors, token_estimate: estimate } = validationObject.parse(json);
    expect([valid, estimate]).toEqual([false, null]);
    expect(errors?.data).toMatchObject([{ code: 'invalid_request', param: 'file_id', line: null }]);
  });

  const BODY = { input_file_id: 'file-unknown', endpoint: ENDPOINT };
  it.each<[string, object, Refusal]>([
    ['no file', { ...BODY, input_file_id: undefined }, missing('input_file_id')],
    ['no endpoint', { ...BODY, endpoint: undefined }, missing('endpoint')],
    [
      'an id that is a list',
      { ...BODY, input_file_id: ['x'] },
      wrongType('input_file_id', 'a string', 'an array'),
    ],
    [
      'an endpoint that is a number',
      { ...BODY, endpoint: 1 },
      wrongType('endpoint', 'a string', 'an integer'),
    ],
    [
      'another endpoint',
      { ...BODY, endpoint: '/v1/responses' },
      refusal(
        400,
        "Invalid value: '/v1/responses'. Supported values are: '/v1/chat/completions' and '/v1/embeddings'.",
        'endpoint',
        'invalid_value',
      ),
    ],
    // There is no batch that could fail with it.
    ['an unknown file', BODY, refusal(404, 'No such File object: file-unknown', 'id')],
  ])('with %s is refused', async (_fault, body, expected) => {
    expect(errorOf(await service.post(PATH, body))).toEqual(expected);
  });
});
