/** Input files: what a batch fails for, and what it takes. */
import { describe, expect, it } from 'vitest';
import { line, useService } from './service.ts';
import { batchObject } from './shapes.ts';

const service = useService({ MAX_BATCH_LINES: '200', MAX_BATCH_BYTES: '1000000' });

const without = (name: string) => ({ ...line('a'), [name]: undefined });
const body = (fields: Record<string, unknown>) =>
  line('a', { body: { model: 'm', messages: [], ...fields } });
const required = (name: string) => ({
  code: 'missing_required_parameter',
  message: `Missing required parameter: '${name}'.`,
  param: name,
});

interface Fault {
  readonly code: string;
  readonly message: unknown;
  readonly param: string | null;
}

describe('a batch fails, and nothing is sent, for', () => {
  const NOT_JSON = {
    code: 'invalid_json_line',
    message: 'This line is not parseable as valid JSON.',
    param: null,
  };
  it.each<[string, string | object, Fault]>([
    ['a line that is no JSON', 'not json', NOT_JSON],
    ['half a line', '{"custom_id":"a",', NOT_JSON],
    ['two values on a line', `${JSON.stringify(line('a'))} {}`, NOT_JSON],
    ['a control character in a string', '{"custom_id":"a\u0001"}', NOT_JSON],
    ['no custom_id', without('custom_id'), required('custom_id')],
    ['no method', without('method'), required('method')],
    ['no url', without('url'), required('url')],
    ['no body', without('body'), required('body')],
    ['no model', line('a', { body: { messages: [] } }), required('body.model')],
    [
      'another method',
      line('a', { method: 'GET' }),
      { code: 'invalid_method', message: expect.stringContaining('POST'), param: 'method' },
    ],
    [
      'the url of another endpoint',
      line('a', { url: '/v1/embeddings' }),
      {
        code: 'invalid_url',
        message: 'The URL provided for this request does not match the batch endpoint.',
        param: 'url',
      },
    ],
    [
      'streaming',
      body({ stream: true }),
      {
        code: 'streaming_unsupported',
        message: 'Chat Completions: Streaming is not supported in the Batch API.',
        param: 'body.stream',
      },
    ],
    [
      'a custom_id of 65 characters',
      line('c'.repeat(65)),
      {
        code: expect.any(String) as unknown as string,
        message: expect.stringContaining('64'),
        param: 'custom_id',
      },
    ],
    [
      'a custom_id that is a number',
      line('a', { custom_id: 5 }),
      { code: 'invalid_type', message: expect.stringContaining('string'), param: 'custom_id' },
    ],
    [
      'a body that is a list',
      line('a', { body: [] }),
      { code: 'invalid_type', message: expect.stringContaining('object'), param: 'body' },
    ],
  ])('%s', async (_fault, faulty, expected) => {
    // In the second line, so that the cheap look at the first one does not refuse the file.
    const batch = await service.end((await service.submit([line('first'), faulty, line('third')])).id);
    batchObject.parse(batch);
    expect(batch.errors?.data).toEqual([{ ...expected, line: 2 }]);
    expect(batch).toMatchObject({ status: 'failed', request_counts: { total: 0, completed: 0, failed: 0 } });
    expect([batch.output_file_id, batch.error_file_id, batch.in_progress_at]).toEqual([null, null, null]);
  });

  it('a custom_id that is there twice', async () => {
    const batch = await service.end((await service.submit([line('a'), line('b'), line('a')])).id);
    expect(batch.errors?.data).toEqual([
      {
        code: 'duplicate_custom_id',
        message:
          "The custom_id 'a' for this request is a duplicate of another request. The custom_id parameter must be unique for each request in a batch.",
        param: 'custom_id',
        line: 3,
      },
    ]);
  });

  it('several lines at once, by number, blank ones counted', async () => {
    const lines = [line('a'), '', 'x', JSON.stringify(without('url')), '   ', line('a')];
    const batch = await service.end((await service.submit(lines)).id);
    expect(batch.errors?.data?.map((error) => [error.line, error.code])).toEqual([
      [3, 'invalid_json_line'],
      [4, 'missing_required_parameter'],
      [6, 'duplicate_custom_id'],
    ]);
  });

  it('too many faults, of which a hundred are named and the others counted', async () => {
    const lines = [line('a'), ...Array.from({ length: 150 }, () => 'x')];
    const data = (await service.end((await service.submit(lines)).id)).errors?.data ?? [];
    expect(data).toHaveLength(101);
    expect(data.at(-1)?.message).toContain('50 more');
  });

  it('too many lines, with the limit and the count', async () => {
    const lines = Array.from({ length: 201 }, (_, i) => line(`l${i}`));
    const [error] = (await service.end((await service.submit(lines)).id)).errors?.data ?? [];
    expect(error?.message).toMatch(/200\b/);
    expect(error).toMatchObject({ param: null });
  });
});

describe('an upload is refused at once where its batch could only fail', () => {
  it('for too many bytes, with the limit and the size', async () => {
    const text = JSON.stringify(line('a', { body: { model: 'm', x: 'x'.repeat(1_100_000) } }));
    await expect(service.upload(text)).rejects.toMatchObject({
      status: 413,
      message: expect.stringMatching(/11\d{5} bytes.*1000000/),
    });
  });

  it('for having no request', async () => {
    await expect(service.upload('\n  \n')).rejects.toMatchObject({
      status: 400,
      message: expect.stringContaining('Invalid file format for Batch API. Must be .jsonl'),
    });
  });
});

describe('a batch takes', () => {
  it.each<[string, (string | object)[]]>([
    ['models of several kinds', [body({ model: 'one' }), line('b', { body: { model: 'two' } })]],
    ['blank lines', [line('a'), '', '  ', line('b')]],
    ['lines that end in CR LF', [`${JSON.stringify(line('a'))}\r`, `${JSON.stringify(line('b'))}\r`]],
    ['a byte order mark', [`\u{feff}${JSON.stringify(line('a'))}`, line('b')]],
    ['unknown members', [line('a', { extra: { deep: true } }), line('b')]],
    ['a custom_id of 64 characters', [line('c'.repeat(64)), line('b')]],
    ['a custom_id of any letters', [line('é💡"\\'), line('b')]],
    ['stream: false', [body({ stream: false }), line('b')]],
  ])('%s', async (_name, lines) => {
    const batch = await service.end((await service.submit(lines)).id);
    expect(batch).toMatchObject({
      status: 'completed',
      request_counts: { total: 2, completed: 2, failed: 0 },
    });
  });
});
