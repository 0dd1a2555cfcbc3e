/** Two owners over the SDK: what the one has, the other cannot tell from what does not exist. */
import OpenAI from 'openai';
import { beforeAll, describe, expect, it } from 'vitest';
import { createKey } from './key-calls.ts';
import { KEY, line, thrownBy, useService } from './service.ts';
import { BODY as UPLOAD, partOf } from './upload-calls.ts';
import { BODY as ENDPOINT } from './webhook-endpoint-calls.ts';

const service = useService();

describe('what another owner has', () => {
  let owner: OpenAI;
  let stranger: OpenAI;
  const ids = { file: '', output: '', batch: '', upload: '', endpoint: '' };

  beforeAll(async () => {
    const connect = async (team: string) =>
      service.connect((await createKey(service, { name: 'laptop', owner: team })).key);
    stranger = await connect('team-b');
    owner = await connect('team-a');
    const { id, input_file_id: file } = await service.submit([line('a')], {}, owner);
    const { output_file_id: output } = await service.end(id, owner);
    const { id: upload } = await owner.uploads.create(UPLOAD);
    const { id: endpoint } = await owner.webhooks.create(ENDPOINT as OpenAI.Webhooks.WebhookCreateParams);
    Object.assign(ids, { file, output, batch: id, upload, endpoint });
  });

  it.each<[string, (client: OpenAI) => PromiseLike<{ data: unknown[] }>]>([
    ['files', (client) => client.files.list()],
    ['batches', (client) => client.batches.list()],
    ['webhook endpoints', (client) => client.webhooks.list()],
  ])('is in no list: %s', async (_name, list) => {
    // The administrator is an owner of its own here.
    for (const client of [stranger, service.connect(KEY)]) expect((await list(client)).data).toEqual([]);
  });

  it.each<[string, keyof typeof ids, (id: string) => Promise<unknown>]>([
    ['files.retrieve', 'file', (id) => stranger.files.retrieve(id)],
    ['files.content', 'output', (id) => stranger.files.content(id)],
    ['files.delete', 'output', (id) => stranger.files.delete(id)],
    ['files.list after', 'file', (after) => stranger.files.list({ after })],
    ['batches.retrieve', 'batch', (id) => stranger.batches.retrieve(id)],
    ['batches.cancel', 'batch', (id) => stranger.batches.cancel(id)],
    ['batches.list after', 'batch', (after) => stranger.batches.list({ after })],
    ['DELETE of a batch', 'batch', (id) => stranger.delete(`/batches/${id}`)],
    ['retry of a batch', 'batch', (id) => stranger.post(`/batches/${id}/retry`)],
    ['results of a batch', 'batch', (id) => stranger.get(`/batches/${id}/results`)],
    ['events of a batch', 'batch', (id) => stranger.get(`/batches/${id}/events`)],
    [
      'validation of a file',
      'file',
      (id) =>
        stranger.post('/batches/validate', { body: { input_file_id: id, endpoint: '/v1/chat/completions' } }),
    ],
    [
      'uploads.parts.create',
      'upload',
      async (id) => stranger.uploads.parts.create(id, { data: await partOf('abcd') }),
    ],
    ['uploads.complete', 'upload', (id) => stranger.uploads.complete(id, { part_ids: [] })],
    ['uploads.cancel', 'upload', (id) => stranger.uploads.cancel(id)],
    ['webhooks.retrieve', 'endpoint', (id) => stranger.webhooks.retrieve(id)],
    ['webhooks.update', 'endpoint', (id) => stranger.webhooks.update(id, { name: 'x' })],
    ['webhooks.rotateSecret', 'endpoint', (id) => stranger.webhooks.rotateSecret(id)],
    ['webhooks.test', 'endpoint', (id) => stranger.webhooks.test(id, { event_type: 'batch.failed' })],
    ['webhooks.delete', 'endpoint', (id) => stranger.webhooks.delete(id)],
  ])('is answered as what is unknown: %s', async (_name, kind, call) => {
    const unknown = ids[kind].replace(/\w{20}$/, '0'.repeat(20));
    const [foreign, none] = [await thrownBy(call(ids[kind])), await thrownBy(call(unknown))];
    expect(foreign).toBeInstanceOf(OpenAI.NotFoundError);
    expect([foreign.status, foreign.message.replaceAll(ids[kind], unknown)]).toEqual([
      none.status,
      none.message,
    ]);
    expect([foreign.type, foreign.param, foreign.code]).toEqual([none.type, none.param, none.code]);
  });

  it('is all still there', async () => {
    const { data } = await owner.webhooks.list();
    expect(data.map(({ id }) => id)).toEqual([ids.endpoint]);
    expect((await owner.batches.retrieve(ids.batch)).status).toBe('completed');
    expect((await owner.uploads.cancel(ids.upload)).status).toBe('cancelled');
    for (const id of [ids.file, ids.output]) await owner.files.retrieve(id);
  });

  it('cannot be the input of a batch, which fails as with an unknown file', async () => {
    const { id } = await stranger.batches.create({
      input_file_id: ids.file,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    });
    const { status, errors } = await service.end(id, stranger);
    expect(status).toBe('failed');
    expect(errors?.data).toEqual([
      {
        code: 'invalid_request',
        param: 'file_id',
        line: null,
        message: `Cannot find file ${ids.file}, or organization team-b does not have access to it.`,
      },
    ]);
  });
});
