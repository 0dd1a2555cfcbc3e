/** How the texts of environment variables are read: each function answers a schema of text → value. */
import { z } from 'zod';
import { parseCompletionWindow } from './engine/index.ts';

export function text() {
  return z.string();
}

export function integer(min: number, max: number) {
  return z
    .string()
    .regex(/^-?\d+$/, 'must be a whole number')
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be between ${min} and ${max}`);
}

const UNITS: Readonly<Record<string, number>> = { '': 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

export function bytes() {
  return z.string().transform((value, context) => {
    const match = /^(\d+)\s*(KiB|MiB|GiB|)$/.exec(value);
    const size = match === null ? 0 : Number(match[1]) * (UNITS[match[2] as string] as number);
    if (size >= 1 && Number.isSafeInteger(size)) return size;
    context.addIssue({ code: 'custom', message: 'must be a number of bytes, or one with KiB, MiB or GiB' });
    return z.NEVER;
  });
}

export function flag() {
  return z
    .enum(['true', 'false', '1', '0'], 'must be true or false')
    .transform((value) => value === 'true' || value === '1');
}

export function logLevel() {
  const levels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
  return z.enum(levels, `must be one of ${levels.join(', ')}`);
}

export function role() {
  const roles = ['all', 'api', 'worker'] as const;
  return z.enum(roles, `must be one of ${roles.join(', ')}`);
}

export function upstreamFormat() {
  const formats = ['openai', 'anthropic'] as const;
  return z.enum(formats, `must be one of ${formats.join(', ')}`);
}

export function httpUrl() {
  return z.string().refine((value) => {
    const url = URL.parse(value);
    return url !== null && (url.protocol === 'http:' || url.protocol === 'https:');
  }, 'must be an http or https URL');
}

export function postgresUrl() {
  return z.string().refine((value) => {
    return /^postgres(ql)?:$/.test(URL.parse(value)?.protocol ?? '');
  }, 'must look like postgres://user:password@host:5432/database');
}

/** Buckets as the strictest and the most lenient servers name them. */
const BUCKET = /^[A-Za-z0-9][\w.-]{2,254}$/;
const PREFIX_PART = /^(?!\.{1,2}$)[\w.=-]+$/;
const ADDRESSING_STYLES = ['path', 'virtual'] as const;

/** Where blobs are kept; `addressingStyle` undefined: as the server's address suggests. */
export interface BlobUrl {
  readonly bucket: string;
  /** Without slashes around it; may be ''. */
  readonly prefix: string;
  readonly addressingStyle?: (typeof ADDRESSING_STYLES)[number] | undefined;
}

export function s3Url() {
  return z.string().transform((value, context): BlobUrl => {
    const [, bucket = '', path = '', query = ''] =
      /^s3:\/\/([^/?]+)(?:\/([^?]*?)\/?)?(?:\?(.*))?$/.exec(value) ?? [];
    const addressingStyle = ADDRESSING_STYLES.find((style) => query === `addressing_style=${style}`);
    const isPrefix = path === '' || path.split('/').every((part) => PREFIX_PART.test(part));
    if (BUCKET.test(bucket) && isPrefix && (query === '' || addressingStyle !== undefined)) {
      return { bucket, prefix: path, addressingStyle };
    }
    const message =
      'must look like s3://bucket or s3://bucket/prefix (and may end in ?addressing_style=path or =virtual)';
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });
}

export function endpoint() {
  return z.string().regex(/^\/v1\/[\w./-]+$/, 'each endpoint must look like /v1/chat/completions');
}

export function completionWindow() {
  return z
    .string()
    .refine((value) => parseCompletionWindow(value) !== null, 'each window must look like 90m, 24h or 7d');
}

/** Standard Webhooks asks for `whsec_` and the base64 of 24 to 64 bytes; other texts are used as they stand. */
export function signingSecret() {
  return z.string().refine((value) => {
    if (!value.startsWith('whsec_')) return value.length >= 16;
    const key = Buffer.from(value.slice(6), 'base64');
    return key.length >= 24 && key.length <= 64 && key.toString('base64') === value.slice(6);
  }, 'must be whsec_ and the base64 of 24 to 64 bytes, or any other text of at least 16 characters');
}

/** A list of `model=number`. Names of models may have a `=` in them, hence the last one counts. */
export function modelLimits() {
  const limit = text().transform((value, context): readonly [model: string, limit: number] => {
    const [, model = '', number = ''] = /^(.*\S)\s*=\s*(\d{1,6})$/.exec(value) ?? [];
    if (Number(number) >= 1) return [model, Number(number)];
    context.addIssue({
      code: 'custom',
      message: 'each limit must look like llama-70b=64, with a number from 1 to 999999',
    });
    return z.NEVER;
  });
  return list(limit).refine(
    (limits) => new Set(limits.map(([model]) => model)).size === limits.length,
    'must name each model once',
  );
}

/** A comma-separated list of at least one item; blanks around items are dropped. */
export function list<T>(item: z.ZodType<T, string>) {
  return z
    .string()
    .transform((value) => value.split(',').map((part) => part.trim()))
    .transform((parts) => parts.filter((part) => part !== ''))
    .refine((parts) => parts.length > 0, 'must name at least one, or be unset')
    .pipe(z.array(item));
}
