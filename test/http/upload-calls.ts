import type { LightMyRequestResponse } from 'fastify';
import { expect } from 'vitest';
import { FORM_TYPE, formBytes } from '../helpers/http-app.ts';
import type { FormPart, TestApp } from '../helpers/http-app.ts';

/** What a create needs. */
export const UPLOAD = {
  filename: 'input.jsonl',
  purpose: 'batch',
  bytes: 21,
  mime_type: 'application/jsonl',
};
/** Parts that make up its bytes. */
export const PARTS = ['{"custom_id":', '"a"}\n', '{}\n'];

export interface UploadObject {
  readonly id: string;
  readonly created_at: number;
  readonly file: { readonly id: string; readonly [key: string]: unknown } | null;
  readonly [key: string]: unknown;
}

/** Posts a body, as JSON unless it is text already; none where it is undefined. */
export async function postJson(
  testApp: TestApp,
  path: string,
  body: unknown,
): Promise<LightMyRequestResponse> {
  const payload = typeof body === 'string' ? body : JSON.stringify(body);
  return await testApp.call({
    method: 'POST',
    url: `/v1/uploads${path}`,
    headers: { 'content-type': 'application/json' },
    ...(payload === undefined ? {} : { payload }),
  });
}

export async function createdUpload(testApp: TestApp, more: object = {}): Promise<UploadObject> {
  const response = await postJson(testApp, '', { ...UPLOAD, ...more });
  expect(response.statusCode).toBe(200);
  return response.json<UploadObject>();
}

export async function postPart(
  testApp: TestApp,
  id: string,
  parts: string | readonly FormPart[],
): Promise<LightMyRequestResponse> {
  const form = typeof parts === 'string' ? [{ name: 'data', filename: 'blob', content: parts }] : parts;
  return await testApp.call({
    method: 'POST',
    url: `/v1/uploads/${id}/parts`,
    headers: { 'content-type': FORM_TYPE },
    payload: formBytes(form),
  });
}

/** Adds PARTS at the same time, and answers their ids. */
export async function addedParts(testApp: TestApp, id: string): Promise<string[]> {
  const responses = await Promise.all(PARTS.map((part) => postPart(testApp, id, part)));
  for (const response of responses) expect(response.statusCode).toBe(200);
  return responses.map((response) => response.json<{ id: string }>().id);
}
