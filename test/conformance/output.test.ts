/** Result files: each outcome of a line. (That of a passed deadline needs another clock: test/worker/batch-life.test.ts.) */
import { describe, expect, it } from 'vitest';
import { line, useService } from './service.ts';
import { batchObject, fileObject, resultLine } from './shapes.ts';

const service = useService(
  {
    MAX_RETRIES: '1',
    RETRY_BASE_MS: '1',
    REQUEST_TIMEOUT_MS: '300',
    MAX_RESPONSE_BYTES: '10000',
  },
  (request) => {
    const { do: what } = request.json() as { do?: string };
    if (what === 'refuse') return { status: 422, body: { error: { message: 'no', type: 'x' } } };
    if (what === 'break') return { status: 500, body: { error: { message: 'broken' } } };
    if (what === 'hang') return 'hang';
    if (what === 'text') return { body: 'not json' };
    if (what === 'large') return { body: { text: 'x'.repeat(20_000) } };
    if (what === 'usage')
      return {
        body: {
          usage: {
            input_tokens: 10,
            input_tokens_details: { cached_tokens: 4 },
            output_tokens: 5,
            output_tokens_details: { reasoning_tokens: 2 },
            total_tokens: 15,
          },
        },
      };
    return { body: { n: 1 }, headers: { 'x-request-id': 'req_of_the_model' } };
  },
);

const act = (customId: string, what: string) => line(customId, { body: { model: 'm', do: what } });

async function lines(fileId: string | null | undefined) {
  if (fileId == null) return [];
  const text = await (await service.client.files.content(fileId)).text();
  expect(text.endsWith('\n')).toBe(true);
  return text
    .slice(0, -1)
    .split('\n')
    .map((each) => resultLine.parse(JSON.parse(each)));
}

async function run(input: readonly object[]) {
  const batch = await service.end((await service.submit(input)).id);
  batchObject.parse(batch);
  return { batch, output: await lines(batch.output_file_id), errors: await lines(batch.error_file_id) };
}

describe('a line', () => {
  it('that was answered has status, request id and body', async () => {
    const { output, errors } = await run([act('a', 'answer')]);
    expect(output).toEqual([
      {
        id: expect.any(String),
        custom_id: 'a',
        response: { status_code: 200, request_id: 'req_of_the_model', body: { n: 1 } },
        error: null,
      },
    ]);
    expect(errors).toEqual([]);
  });

  it.each<[string, string, object]>([
    [
      'that was refused for good',
      'refuse',
      { response: { status_code: 422, body: { error: { message: 'no' } } }, error: null },
    ],
    ['whose server is broken in each attempt', 'break', { response: { status_code: 500 }, error: null }],
    ['that got no answer in time', 'hang', { response: null, error: { code: 'request_timeout' } }],
    ['whose answer is no JSON', 'text', { error: { code: 'invalid_response' } }],
    ['whose answer is too large', 'large', { response: null, error: { code: 'response_too_large' } }],
  ])('%s stands in the error file', async (_name, what, expected) => {
    const { batch, output, errors } = await run([act('a', 'answer'), act('b', what)]);
    expect(batch).toMatchObject({
      status: 'completed',
      request_counts: { total: 2, completed: 1, failed: 1 },
    });
    expect(output.map(({ custom_id: id }) => id)).toEqual(['a']);
    expect(errors).toMatchObject([{ custom_id: 'b', ...expected }]);
  });

  it('that was not finished before a cancel says so, and none is missing', async () => {
    const created = await service.submit(Array.from({ length: 2000 }, (_, i) => act(`l${i}`, 'answer')));
    await expect
      .poll(async () => (await service.client.batches.retrieve(created.id)).status)
      .not.toBe('validating');
    await service.client.batches.cancel(created.id);
    const batch = await service.end(created.id);
    expect(batch).toMatchObject({ status: 'cancelled', request_counts: { total: 2000 } });
    const [output, errors] = [await lines(batch.output_file_id), await lines(batch.error_file_id)];
    expect(output.length + errors.length).toBe(2000);
    expect(new Set([...output, ...errors].map(({ custom_id: id }) => id)).size).toBe(2000);
    for (const { response, error } of errors) {
      expect([response, error]).toEqual([
        null,
        {
          code: 'batch_cancelled',
          message: 'This request was not executed because the batch was cancelled.',
        },
      ]);
    }
  });
});

describe('a batch', () => {
  it('in which every line failed is completed, and has no output file', async () => {
    const { batch } = await run([act('a', 'refuse'), act('b', 'refuse')]);
    expect(batch).toMatchObject({
      status: 'completed',
      output_file_id: null,
      error_file_id: expect.stringMatching(/^file-/),
      request_counts: { total: 2, completed: 0, failed: 2 },
    });
  });

  it('has its files in input order, under their names and purpose', async () => {
    const input = Array.from({ length: 300 }, (_, i) => act(`l${i}`, i % 3 === 0 ? 'refuse' : 'answer'));
    const { batch, output, errors } = await run(input);
    expect(output.map(({ custom_id: id }) => id)).toEqual(
      input.map(({ custom_id: id }) => id).filter((_, i) => i % 3 !== 0),
    );
    expect(errors.map(({ custom_id: id }) => id)).toEqual(
      input.map(({ custom_id: id }) => id).filter((_, i) => i % 3 === 0),
    );
    for (const [kind, id] of [
      ['output', batch.output_file_id],
      ['error', batch.error_file_id],
    ] as const) {
      expect(fileObject.parse(await service.client.files.retrieve(id ?? ''))).toMatchObject({
        filename: `${batch.id}_${kind}.jsonl`,
        purpose: 'batch_output',
        expires_at: null,
      });
    }
  });

  it('sums the usage of its answers', async () => {
    const { batch } = await run([act('a', 'usage'), act('b', 'usage'), act('c', 'answer')]);
    expect(batch.usage).toEqual({
      input_tokens: 20,
      input_tokens_details: { cached_tokens: 8 },
      output_tokens: 10,
      output_tokens_details: { reasoning_tokens: 4 },
      total_tokens: 30,
    });
  });
});
