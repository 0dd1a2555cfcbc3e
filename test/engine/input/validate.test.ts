import { setImmediate } from 'node:timers';
import { describe, expect, it } from 'vitest';
import { validateJsonl } from '../../../src/engine/input/validate.ts';
import type { ValidationResult, ValidationRules, ValidLine } from '../../../src/engine/input/validate.ts';

const RULES: ValidationRules = {
  endpoint: '/v1/chat/completions',
  maxLines: 50_000,
  maxLineBytes: 100_000,
  maxBytes: 200_000_000,
};

function lineOf(customId: string, model = 'm1', url = '/v1/chat/completions'): string {
  return JSON.stringify({ custom_id: customId, method: 'POST', url, body: { model, messages: [] } });
}

/** `count` good lines from `request-<first>` on. */
function linesOf(count: number, first = 1): string[] {
  return Array.from({ length: count }, (_, i) => lineOf(`request-${first + i}`));
}

async function* streamOf(...parts: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield typeof part === 'string' ? Buffer.from(part) : part;
}

async function validate(
  lines: readonly string[],
  rules: Partial<ValidationRules> = {},
): Promise<ValidationResult & { readonly seen: readonly ValidLine[] }> {
  const seen: ValidLine[] = [];
  const source = streamOf(lines.map((line) => `${line}\n`).join(''));
  const result = await validateJsonl(source, { ...RULES, ...rules }, (line) => seen.push(line));
  return { ...result, seen };
}

describe('a valid file', () => {
  it('has no errors; its lines, bytes and models are counted', async () => {
    const lines = [lineOf('a', 'm2'), '', lineOf('b'), lineOf('c', 'm2')];
    const result = await validate(lines);
    expect(result).toMatchObject({ lines: 3, errors: [], moreErrors: 0 });
    expect(result.bytes).toBe(Buffer.byteLength(lines.join('\n')) + 1);
    expect([...result.models]).toEqual([
      ['m2', 2],
      ['m1', 1],
    ]);
  });

  it('is told line by line, with where each lies', async () => {
    const text = `\uFEFF${lineOf('é')}\r\n\n  ${lineOf('b', 'm2')}`;
    const bytes = Buffer.from(text);
    const seen: ValidLine[] = [];
    const parts = [bytes.subarray(0, 10), bytes.subarray(10, 150), bytes.subarray(150)];
    await validateJsonl(streamOf(...parts), RULES, (line) => seen.push(line));
    expect(seen).toMatchObject([
      { number: 1, offset: 3, model: 'm1', customId: 'é' },
      { number: 3, model: 'm2', customId: 'b' },
    ]);
    const spans = seen.map(({ offset, length }) => bytes.toString('utf8', offset, offset + length));
    expect(spans).toEqual([lineOf('é'), `  ${lineOf('b', 'm2')}`]);
  });

  it('needs nobody who listens, and may have any url where no endpoint is given', async () => {
    const source = streamOf(lineOf('a', 'm1', '/v1/a'), '\n', lineOf('b', 'm1', '/v1/b'));
    const result = await validateJsonl(source, { ...RULES, endpoint: undefined });
    expect(result).toMatchObject({ lines: 2, errors: [] });
  });
});

describe('faults of single lines', () => {
  it('are reported together, each with its line, blank lines counted', async () => {
    const lines = [lineOf('a'), '', 'nope', '{}', lineOf('b', 'm1', '/v1/embeddings'), lineOf('c')];
    const result = await validate(lines);
    expect(result.errors).toEqual([
      {
        code: 'invalid_json_line',
        message: 'This line is not parseable as valid JSON.',
        param: null,
        line: 3,
      },
      {
        code: 'missing_required_parameter',
        message: "Missing required parameter: 'custom_id'.",
        param: 'custom_id',
        line: 4,
      },
      {
        code: 'invalid_url',
        message: 'The URL provided for this request does not match the batch endpoint.',
        param: 'url',
        line: 5,
      },
    ]);
    expect(result.lines).toBe(5);
    expect(result.seen.map((line) => line.customId)).toEqual(['a', 'c']);
    expect(result.models.get('m1')).toBe(2);
  });

  it('may be that it is too long; the others are still judged', async () => {
    const long = lineOf('x'.repeat(300));
    const result = await validate([lineOf('a'), long, 'nope'], { maxLineBytes: 200 });
    expect(result.errors).toEqual([
      {
        code: 'line_too_long',
        message: `This line is too long: at most 200 bytes are allowed, but it has ${long.length}.`,
        param: null,
        line: 2,
      },
      expect.objectContaining({ code: 'invalid_json_line', line: 3 }),
    ]);
    expect(result.lines).toBe(3);
  });
});

describe('custom_ids', () => {
  it('must not come twice', async () => {
    const result = await validate([lineOf('a'), lineOf('b'), lineOf('a'), lineOf('a')]);
    const duplicate = {
      code: 'duplicate_custom_id',
      message:
        "The custom_id 'a' for this request is a duplicate of another request. The custom_id parameter must be unique for each request in a batch.",
      param: 'custom_id',
    };
    expect(result.errors).toEqual([
      { ...duplicate, line: 3 },
      { ...duplicate, line: 4 },
    ]);
    expect(result.seen.map((line) => line.number)).toEqual([1, 2]);
  });

  it('are the same however they are escaped', async () => {
    const result = await validate([lineOf('abc'), lineOf('abc').replace('abc', '\\u0061bc')]);
    expect(result.errors).toMatchObject([{ code: 'duplicate_custom_id', line: 2 }]);
  });
});

describe('models', () => {
  it('that the server refuses are told with its reason, and asked for once', async () => {
    const asked: string[] = [];
    const refusesModel = (model: string): string | null => {
      asked.push(model);
      return model === 'm2' ? "Set UPSTREAMS to serve 'm2'." : null;
    };
    const lines = [lineOf('a'), lineOf('b', 'm2'), lineOf('c'), lineOf('d', 'm2')];
    const result = await validate(lines, { refusesModel });
    const refused = {
      code: 'model_not_found',
      message: "The provided model 'm2' is not supported by the Batch API. Set UPSTREAMS to serve 'm2'.",
      param: 'body.model',
    };
    expect(result.errors).toEqual([
      { ...refused, line: 2 },
      { ...refused, line: 4 },
    ]);
    expect(asked).toEqual(['m1', 'm2']);
    expect([...result.models.keys()]).toEqual(['m1']);
  });

  it('may differ', async () => {
    expect((await validate([lineOf('a', 'm1'), lineOf('b', 'm2')])).errors).toEqual([]);
  });

  it('must not differ where that is asked for', async () => {
    const lines = ['', lineOf('a', 'm1'), lineOf('b', 'm2'), lineOf('c', 'm1')];
    const result = await validate(lines, { oneModel: true });
    expect(result.errors).toEqual([
      {
        code: 'mismatched_model',
        message:
          "Expected model 'm1' as on line 2, but got 'm2'. All requests of a batch must name the same model.",
        param: 'body.model',
        line: 3,
      },
    ]);
  });

  it('are not measured by one that is refused', async () => {
    const rules = { oneModel: true, refusesModel: (model: string) => (model === 'm0' ? 'No.' : null) };
    const result = await validate([lineOf('a', 'm0'), lineOf('b', 'm1'), lineOf('c', 'm1')], rules);
    expect(result.errors).toMatchObject([{ code: 'model_not_found', line: 1 }]);
  });

  it('of any length are quoted in part', async () => {
    const result = await validate([lineOf('a', 'x'.repeat(10_000))], { refusesModel: () => 'No.' });
    expect(result.errors[0]?.message).toBe(
      `The provided model '${'x'.repeat(200)}…' is not supported by the Batch API. No.`,
    );
  });
});

describe('the file as a whole', () => {
  const empty = {
    code: 'empty_file',
    message: 'The input file is empty. Please ensure that the batch contains at least one request.',
    param: null,
    line: null,
  };

  it.each([
    ['nothing', []],
    ['blank lines', ['', ' \t', '\r']],
    ['a byte order mark', ['\uFEFF']],
  ])('is empty where it holds %s', async (_, lines) => {
    expect(await validate(lines)).toMatchObject({ lines: 0, errors: [empty] });
  });

  it('is not empty where its only line is at fault', async () => {
    expect((await validate(['nope'])).errors).toMatchObject([{ code: 'invalid_json_line' }]);
    const tooLong = await validate(['x'.repeat(11)], { maxLineBytes: 10 });
    expect(tooLong.errors).toMatchObject([{ code: 'line_too_long', line: 1 }]);
  });

  it('may have as many lines as are allowed', async () => {
    expect(await validate(linesOf(10), { maxLines: 10 })).toMatchObject({ lines: 10, errors: [] });
  });

  it('must not have one line more; nothing after that is read', async () => {
    let closed = false;
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        yield Buffer.from(`nope\n\n${linesOf(10).join('\n')}\n`);
        throw new Error('it was read on');
      } finally {
        closed = true;
      }
    }
    const seen: number[] = [];
    const result = await validateJsonl(source(), { ...RULES, maxLines: 5 }, (line) => seen.push(line.number));
    expect(result.errors).toEqual([
      expect.objectContaining({ code: 'invalid_json_line', line: 1 }),
      {
        code: 'too_many_tasks',
        message:
          'Too many requests: at most 5 are allowed in a batch, but the input file has more than that (at least 6).',
        param: null,
        line: 7,
      },
    ]);
    expect(seen).toEqual([3, 4, 5, 6]);
    expect(result.lines).toBe(5);
    expect(closed).toBe(true);
  });

  it('must not have one line more that is too long, either', async () => {
    const result = await validate([lineOf('a'), 'x'.repeat(500)], { maxLines: 1, maxLineBytes: 200 });
    expect(result.errors).toMatchObject([{ code: 'too_many_tasks', line: 2 }]);
  });

  it('may be as large as is allowed', async () => {
    const lines = linesOf(3);
    const bytes = lines.join('\n').length + 1;
    expect(await validate(lines, { maxBytes: bytes })).toMatchObject({ bytes, lines: 3, errors: [] });
  });

  it('must not be larger; nothing after that is read, and no cut line is judged', async () => {
    let closed = false;
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        yield Buffer.from(`nope\n${lineOf('a')}\n{"custom_id":`);
        yield Buffer.from('"b"}\n'.repeat(1000));
        throw new Error('it was read on');
      } finally {
        closed = true;
      }
    }
    const result = await validateJsonl(source(), { ...RULES, maxBytes: 1000 });
    expect(result.errors).toEqual([
      expect.objectContaining({ code: 'invalid_json_line', line: 1 }),
      {
        code: 'file_too_large',
        message: `The input file is too large: at most 1000 bytes are allowed in a batch, but it has more than that (at least ${result.bytes}).`,
        param: null,
        line: null,
      },
    ]);
    expect(result).toMatchObject({ lines: 2, bytes: 5 + lineOf('a').length + 14 + 5000 });
    expect(closed).toBe(true);
  });

  it('that is too large is told as such, not as empty or as a line that is too long', async () => {
    const source = streamOf('x'.repeat(900), 'x'.repeat(900));
    const result = await validateJsonl(source, { ...RULES, maxBytes: 1000, maxLineBytes: 10 });
    expect(result.errors).toMatchObject([{ code: 'file_too_large', line: null }]);
    expect(result).toMatchObject({ lines: 0, bytes: 1800 });
  });
});

describe('many errors', () => {
  it('are told one by one up to 100', async () => {
    const result = await validate(Array.from({ length: 100 }, () => 'nope'));
    expect(result.errors.map((error) => error.line)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
    expect(result.moreErrors).toBe(0);
  });

  it.each([
    [101, '… and 1 more error.'],
    [350, '… and 250 more errors.'],
  ])('%i are the first 100 and a last one that says: %s', async (count, message) => {
    const result = await validate(Array.from({ length: count }, () => 'nope'));
    expect(result.errors).toHaveLength(101);
    expect(result.errors.at(-1)).toEqual({ code: 'too_many_errors', message, param: null, line: null });
    expect(result.moreErrors).toBe(count - 100);
    expect(result.lines).toBe(count);
  });
});

describe('the validation', () => {
  it('lets others have the event loop, though the whole file comes in one buffer', async () => {
    const filler = 'x'.repeat(4000);
    const lines = Array.from({ length: 10_000 }, (_, i) => lineOf(`request-${i}`, filler));
    let [turns, running] = [0, true];
    const turn = (): void => {
      turns++;
      if (running) setImmediate(turn);
    };
    setImmediate(turn);
    const result = await validate(lines);
    running = false;
    expect(result).toMatchObject({ lines: 10_000, errors: [] });
    expect(turns).toBeGreaterThan(3);
  });

  it('rejects with what the source throws', async () => {
    async function* source(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(lineOf('a'));
      throw new Error('the disk is gone');
    }
    await expect(validateJsonl(source(), RULES)).rejects.toThrow('the disk is gone');
  });
});
