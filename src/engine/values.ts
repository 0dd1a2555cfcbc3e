/** Checks of values that callers give, with the official API's messages, in one place. */
import { EngineError } from './errors.ts';

/** Throws `above_maximum` or `below_minimum` where `value` lies outside [min, max], `invalid_type` where it is no integer. */
export function checkIntegerRange(param: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value)) {
    throw new EngineError('invalid_type', `Invalid type for '${param}': expected an integer.`, { param });
  }
  if (value > max) {
    throw new EngineError(
      'above_maximum',
      `Invalid '${param}': integer above maximum value. Expected a value <= ${max}, but got ${value} instead.`,
      { param },
    );
  }
  if (value < min) {
    throw new EngineError(
      'below_minimum',
      `Invalid '${param}': integer below minimum value. Expected a value >= ${min}, but got ${value} instead.`,
      { param },
    );
  }
}

/** Throws `string_too_long` where `value` has more than `max` characters (code points). */
export function checkLength(param: string, value: string, max: number): void {
  const length = value.length <= max ? value.length : Array.from(value).length;
  if (length <= max) return;
  throw new EngineError(
    'string_too_long',
    `Invalid '${param}': string too long. Expected a string with maximum length ${max}, but got a string with length ${length} instead.`,
    { param },
  );
}

/** Throws `invalid_value`, listing what is supported, where `value` is none of `supported`. */
export function checkOneOf(param: string, value: string, supported: readonly string[]): void {
  if (supported.includes(value)) return;
  throw new EngineError(
    'invalid_value',
    `Invalid value: '${value}'. Supported values are: ${quotedList(supported)}.`,
    { param },
  );
}

/** `'a'`; `'a' and 'b'`; `'a', 'b', and 'c'`. */
export function quotedList(items: readonly string[]): string {
  const quoted = items.map((item) => `'${item}'`);
  if (quoted.length <= 2) return quoted.join(' and ');
  return `${quoted.slice(0, -1).join(', ')}, and ${quoted.at(-1)}`;
}
