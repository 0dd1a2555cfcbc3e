/** Another owner with a good key, and with the real ids of what is not theirs. */
import { partOf, postJson } from './owner.ts';
import type { Request } from './wire.ts';

/** What an owner has. */
export interface Belongings {
  readonly fileId: string;
  readonly batchId: string;
  readonly messageBatchId: string;
  readonly uploadId: string;
  readonly partId: string;
  readonly endpointId: string;
  readonly deliveryId: string;
}

const get = (target: string): Request => ({ target });
const post = (target: string): Request => ({ method: 'POST', target });
const remove = (target: string): Request => ({ method: 'DELETE', target });

/** Every call that takes an id. To a stranger each answers 404. */
export function callsWithIds(their: Belongings): readonly Request[] {
  const file = `/v1/files/${their.fileId}`;
  const batch = `/v1/batches/${their.batchId}`;
  const upload = `/v1/uploads/${their.uploadId}`;
  const endpoint = `/v1/webhook_endpoints/${their.endpointId}`;
  return [
    get(file),
    get(`${file}/content`),
    remove(file),
    get(`/v1/files?after=${their.fileId}`),
    get(batch),
    get(`${batch}/results`),
    get(`${batch}/events`),
    post(`${batch}/cancel`),
    post(`${batch}/retry`),
    remove(batch),
    get(`/v1/batches?after=${their.batchId}`),
    partOf(their.uploadId, 'a part'),
    postJson(`${upload}/complete`, { part_ids: [their.partId] }),
    post(`${upload}/cancel`),
    get(endpoint),
    postJson(endpoint, { name: 'another' }),
    postJson(`${endpoint}/rotate_secret`, {}),
    postJson(`${endpoint}/test`, { event_type: 'batch.completed' }),
    postJson(`${endpoint}/replay`, { since: 0 }),
    get(`${endpoint}/deliveries`),
    post(`${endpoint}/deliveries/${their.deliveryId}/replay`),
    remove(endpoint),
    get(`/v1/webhook_endpoints?after=${their.endpointId}`),
    ...messageCallsWithIds(their),
  ];
}

/** Message Batches are none of the other API, and the other way round. */
function messageCallsWithIds(their: Belongings): Request[] {
  const path = `/v1/messages/batches/${their.messageBatchId}`;
  const calls = [
    get(path),
    get(`${path}/results`),
    post(`${path}/cancel`),
    remove(path),
    get(`/v1/messages/batches?after_id=${their.messageBatchId}`),
    get(`/v1/messages/batches?before_id=${their.messageBatchId}`),
  ];
  return calls.map((call) => ({ ...call, headers: { 'anthropic-version': '2023-06-01' } }));
}

/** What a stranger may ask for, and finds nothing of others in. */
export const LISTS: readonly Request[] = [
  get('/v1/files'),
  get('/v1/batches'),
  get('/v1/webhook_endpoints'),
  { target: '/v1/messages/batches', headers: { 'anthropic-version': '2023-06-01' } },
];
