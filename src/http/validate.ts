/** Shape checks of what clients send, with the official API's messages, made from zod's issues in one place. */
import { z } from 'zod';
import { EngineError, quotedList } from '../engine/index.ts';

/** `input` as `schema` describes it, or an EngineError that names the first parameter at fault. */
export function parseInput<S extends z.ZodType>(schema: S, input: unknown): z.output<S> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw toEngineError(parsed.error.issues[0] as z.core.$ZodIssue, input);
}

/** A JSON body as `schema` describes it, or an EngineError. No body at all is one without any parameters. */
export function parseBody<S extends z.ZodType>(schema: S, { body }: { readonly body: unknown }): z.output<S> {
  return parseInput(schema, body === undefined ? {} : body);
}

function toEngineError(issue: z.core.$ZodIssue, input: unknown): EngineError {
  const param = issue.path.join('.');
  const value = valueAt(input, issue.path);
  if (param === '') {
    return new EngineError(
      'invalid_type',
      `Invalid type for the request body: expected an object, but got ${typeName(value)} instead.`,
    );
  }
  if (value === undefined) {
    return new EngineError('missing_parameter', `Missing required parameter: '${param}'.`, { param });
  }
  if (issue.code === 'invalid_value' && typeof value === 'string') {
    const supported = quotedList(issue.values.map(String));
    return new EngineError(
      'invalid_value',
      `Invalid value: '${value}'. Supported values are: ${supported}.`,
      {
        param,
      },
    );
  }
  return new EngineError(
    'invalid_type',
    `Invalid type for '${param}': expected ${expectedType(issue)}, but got ${typeName(value)} instead.`,
    { param },
  );
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const key of path) value = (value as Readonly<Record<PropertyKey, unknown>>)[key];
  return value;
}

/** Numbers are integers throughout this API; one that is none, or none in text form, was expected to be one. */
function expectedType(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_value') return 'a string';
  if (issue.code !== 'invalid_type') return 'an integer';
  if (issue.expected === 'string') return 'a string';
  if (issue.expected === 'boolean') return 'a boolean';
  if (issue.expected === 'array') return 'an array';
  return issue.expected === 'object' || issue.expected === 'record' ? 'an object' : 'an integer';
}

function typeName(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'number') return Number.isSafeInteger(value) ? 'an integer' : 'a number';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
