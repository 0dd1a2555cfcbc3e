import { expect } from 'vitest';
import type { InjectOptions, LightMyRequestResponse } from 'fastify';
import type { TestApp } from '../helpers/http-app.ts';

/** A key's object; `key` is its secret. */
export interface KeyObject {
  readonly id: string;
  readonly key: string;
  readonly hint: string;
  readonly [member: string]: unknown;
}

/** Posts to `/v1/admin/keys` as an administrator. */
export async function postKey(testApp: TestApp, payload: object): Promise<LightMyRequestResponse> {
  return await testApp.call({ method: 'POST', url: '/v1/admin/keys', payload });
}

/** Makes a key of `team-a` that allows everything, unless `more` says otherwise. */
export async function createdKey(testApp: TestApp, more: object = {}): Promise<KeyObject> {
  const response = await postKey(testApp, { name: 'laptop', owner: 'team-a', ...more });
  expect(response.statusCode).toBe(200);
  return response.json<KeyObject>();
}

/** The app, called with this key. */
export function withKey(testApp: TestApp, secret: string): TestApp {
  const authorization = `Bearer ${secret}`;
  return {
    ...testApp,
    call: (request: InjectOptions) =>
      testApp.call({ ...request, headers: { ...request.headers, authorization } }),
  };
}
