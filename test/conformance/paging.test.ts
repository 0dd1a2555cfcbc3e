/** Lists that the official SDKs page through by themselves, beside those of files and batches (in their own cases). */
import type Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { errorOf, limitRefusals, refusal, useService } from './service.ts';
import { messageBatchObject } from './shapes.ts';

const service = useService({ WEBHOOK_ALLOW_PRIVATE: 'true' });

/** The ids of all pages, as an SDK comes to them. */
const idsOf = async (pages: AsyncIterable<{ readonly id: string }>): Promise<string[]> =>
  (await Array.fromAsync(pages)).map(({ id }) => id);

describe('the list of Message Batches', () => {
  const list = (query: Anthropic.Messages.Batches.BatchListParams) =>
    service.anthropic.messages.batches.list(query);

  /** All of them, newest first: at least `count`. */
  async function fill(count: number): Promise<string[]> {
    const known = await idsOf(list({ limit: 1000 }));
    const requests = [{ custom_id: 'a', params: { model: 'm', max_tokens: 1, messages: [] } }];
    const missing = Array.from({ length: count - known.length }, () =>
      service.anthropic.messages.batches.create({ requests }),
    );
    await Promise.all(missing);
    return await idsOf(list({ limit: 1000 }));
  }

  it('is empty with ids of null', async () => {
    const { json } = await service.call('/v1/messages/batches', {
      headers: { 'anthropic-version': '2023-06-01' },
    });
    expect(json).toEqual({ data: [], has_more: false, first_id: null, last_id: null });
  });

  it('is a whole envelope, newest first, 20 unless asked otherwise', async () => {
    const all = await fill(25);
    const page = await list({});
    expect(page.data.map(({ id }) => id)).toEqual(all.slice(0, 20));
    expect([page.has_more, page.first_id, page.last_id]).toEqual([true, all[0], all[19]]);
    const times = page.data.map((batch) => Date.parse(messageBatchObject.parse(batch).created_at));
    expect(times).toEqual(times.toSorted((a, b) => b - a));
  });

  it.each([33, 250])('is paged over 250 batches in both directions, %i at a time', async (limit) => {
    const all = await fill(250);
    expect(new Set(all).size).toBe(250);
    expect(await idsOf(list({ limit }))).toEqual(all);
    expect(await idsOf(list({ limit, after_id: all[99] ?? '' }))).toEqual(all.slice(100));
    // Backwards each page is newest first as well, and the pages come from the oldest on.
    const back: string[][] = [];
    for await (const page of (await list({ limit, before_id: all[200] ?? '' })).iterPages()) {
      back.unshift(page.data.map(({ id }) => id));
    }
    expect(back.flat()).toEqual(all.slice(0, 200));
    expect(await idsOf(list({ limit, before_id: all[0] ?? '' }))).toEqual([]);
    expect(await idsOf(list({ limit, after_id: all.at(-1) ?? '' }))).toEqual([]);
  });
});

const createEndpoint = (name: string) =>
  service.client.webhooks.create({ name, url: 'http://127.0.0.1:9/hook', event_types: ['batch.failed'] });

describe('the list of webhook endpoints', () => {
  it.each([1, 7, 20])('is paged by the SDK, newest first, %i at a time', async (limit) => {
    const known = await idsOf(service.client.webhooks.list());
    for (let n = known.length; n < 20; n++) await createEndpoint(`n${n}`);
    const names: string[] = [];
    for await (const { name } of service.client.webhooks.list({ limit })) names.push(name);
    expect(names).toEqual(Array.from({ length: 20 }, (_, n) => `n${19 - n}`));
  });

  it.each<[string, ReturnType<typeof refusal>]>([
    ...limitRefusals(100),
    ['after=whe_unknown', refusal(404, 'No such WebhookEndpoint object: whe_unknown', 'id')],
  ])('refuses %s', async (query, expected) => {
    expect(errorOf(await service.call(`/v1/webhook_endpoints?${query}`))).toEqual(expected);
  });
});

describe('lists that the official API does not have', () => {
  interface Page {
    readonly data: readonly { readonly id: string }[];
    readonly has_more: boolean;
  }

  /** All pages of a list, as the SDK's cursors go through them. */
  async function pagesOf(path: string): Promise<string[]> {
    const ids: string[] = [];
    for (let after = ''; ;) {
      const { status, json } = await service.call(`${path}?limit=8&after=${after}`);
      expect(status).toBe(200);
      const { data, has_more: hasMore } = json as Page;
      ids.push(...data.map(({ id }) => id));
      if (!hasMore) return ids;
      expect(data).toHaveLength(8);
      after = ids.at(-1) ?? '';
    }
  }

  it('are paged alike: keys', async () => {
    const made: string[] = [];
    for (let n = 0; n < 20; n++) {
      const json = { name: `key ${n}`, owner: 'team' };
      made.unshift(
        ((await service.call('/v1/admin/keys', { method: 'POST', json })).json as { id: string }).id,
      );
    }
    expect(await pagesOf('/v1/admin/keys')).toEqual(made);
  });

  it('are paged alike: the deliveries of an endpoint', async () => {
    const { client } = service;
    const [known] = (await client.webhooks.list({ limit: 1 })).data;
    const endpoint = known ?? (await createEndpoint('n0'));
    for (let n = 0; n < 20; n++) {
      const { id } = await client.batches.create({
        input_file_id: `file-${n}`,
        endpoint: '/v1/responses',
        completion_window: '24h',
      });
      await service.end(id);
    }
    const ids = await pagesOf(`/v1/webhook_endpoints/${endpoint.id}/deliveries`);
    expect(new Set(ids).size).toBe(20);
    await expect(client.webhooks.retrieve('whe_unknown')).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });
});
