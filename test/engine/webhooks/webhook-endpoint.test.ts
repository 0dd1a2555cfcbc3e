import { describe, expect, it } from 'vitest';
import {
  changeEndpoint,
  FAILING_AFTER_MS,
  judgeEndpoint,
  newSigningSecret,
  newWebhookEndpointId,
  secretHintOf,
} from '../../../src/engine/webhooks/webhook-endpoint.ts';
import { T0 } from '../../helpers/store-fixtures.ts';
import { anEndpoint, DELIVERED, FAILED, GONE, retryAt } from '../../helpers/webhook-fixtures.ts';

describe('a webhook endpoint', () => {
  it('has an id and a secret of the official forms', () => {
    expect(newWebhookEndpointId()).toMatch(/^whe_[0-9a-f]{32}$/);
    const secret = newSigningSecret();
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(Buffer.from(secret.slice(6), 'base64')).toHaveLength(32);
    expect(newSigningSecret()).not.toBe(secret);
  });

  it('hints at its secret with four characters of it', () => {
    const secret = newSigningSecret();
    expect(secretHintOf(secret)).toBe(`whsec_***${secret.slice(45)}`);
    expect(secretHintOf(secret)).toHaveLength(14);
  });

  it('is the very same where nothing changes', () => {
    const endpoint = anEndpoint();
    const { name, url, eventTypes, status } = endpoint;
    expect(changeEndpoint(endpoint, {}, T0 + 1)).toBe(endpoint);
    expect(changeEndpoint(endpoint, { name, url, eventTypes: [...eventTypes], status }, T0 + 1)).toBe(
      endpoint,
    );
  });

  it('is never updated before its last update: the clock was set back', () => {
    expect(changeEndpoint(anEndpoint(), { name: 'x' }, T0 - 1).updatedAt).toBe(T0);
  });

  it('keeps why it was disabled until it is enabled', () => {
    const gone = anEndpoint({ status: 'disabled', disabledReason: 'gone' });
    expect(changeEndpoint(gone, { status: 'disabled' }, T0)).toBe(gone);
    expect(changeEndpoint(gone, { name: 'x' }, T0)).toMatchObject({ disabledReason: 'gone' });
    expect(changeEndpoint(gone, { status: 'enabled' }, T0)).toMatchObject({
      status: 'enabled',
      disabledReason: null,
    });
  });
});

describe('the health of a webhook endpoint', () => {
  const well = { failingSince: null, disabledReason: null };

  it.each([null, T0 - FAILING_AFTER_MS])('is restored by a success (failing since %s)', (since) =>
    expect(judgeEndpoint(since, DELIVERED, T0)).toEqual(well),
  );

  it.each([FAILED, retryAt(T0 + 5)])('is doubted since the first failure: $kind', (result) => {
    expect(judgeEndpoint(null, result, T0)).toEqual({ failingSince: T0, disabledReason: null });
    expect(judgeEndpoint(T0 - 7, result, T0)).toEqual({ failingSince: T0 - 7, disabledReason: null });
  });

  it('is given up after five days', () => {
    const since = T0 - 5 * 24 * 3_600_000;
    expect(judgeEndpoint(since + 1, FAILED, T0).disabledReason).toBeNull();
    expect(judgeEndpoint(since, FAILED, T0).disabledReason).toBe('failing');
  });

  it('is given up at once by a 410', () => expect(judgeEndpoint(null, GONE, T0).disabledReason).toBe('gone'));

  it('does not count time twice where the clock was set back', () =>
    expect(judgeEndpoint(T0 + 9, FAILED, T0)).toEqual({ failingSince: T0, disabledReason: null }));
});
