/** How the cases make keys. */
import { expect } from 'vitest';
import type { Conformance } from './service.ts';
import { secretKeyObject } from './shapes.ts';

export const KEYS_PATH = '/v1/admin/keys';

/** Creates a key, with its secret as `key`. */
export async function createKey(
  service: Conformance,
  fields: { readonly name: string; readonly owner: string; readonly [field: string]: unknown },
) {
  const { status, json, text } = await service.post(KEYS_PATH, fields);
  expect(status, text).toBe(200);
  return secretKeyObject.parse(json);
}
