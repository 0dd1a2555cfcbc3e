/** How the cases make uploads. */
import OpenAI from 'openai';
import type { Conformance } from './service.ts';

export const BODY = {
  filename: 'x.jsonl',
  purpose: 'user_data',
  bytes: 4,
  mime_type: 'text/jsonl',
} as const;

export const partOf = (text: string | Uint8Array) => OpenAI.toFile(Buffer.from(text), 'part');

/** The calls on one service, by the SDK. */
export function uploadCalls(service: Conformance) {
  const begin = (fields: Partial<OpenAI.UploadCreateParams> = {}) =>
    service.client.uploads.create({ ...BODY, ...fields });
  /** Adds a part and answers its id. */
  const add = async (id: string, text: string | Uint8Array): Promise<string> =>
    (await service.client.uploads.parts.create(id, { data: await partOf(text) })).id;

  /** A pending upload of four bytes, and parts of it with these texts. */
  const withParts = async (...texts: readonly string[]) => {
    const { id } = await begin();
    const partIds: string[] = [];
    for (const text of texts) partIds.push(await add(id, text));
    return { id, partIds };
  };
  return { begin, add, withParts };
}
