import type { LookupAddress } from 'node:dns';
import { connect, Socket } from 'node:net';
import { describe, expect, it, vi } from 'vitest';
import { openPinnedSocket } from '../../src/adapters/webhook/connect.ts';
import type { OpenSocket, PinnedTarget } from '../../src/adapters/webhook/connect.ts';
import { createWebhookSender } from '../../src/adapters/webhook/index.ts';
import { createSender } from '../../src/adapters/webhook/sender.ts';
import type { WebhookRequest, WebhookSender } from '../../src/engine/ports.ts';
import { closeAfterTest } from '../helpers/close-after-test.ts';
import { startRawServer, startUpstreamServer } from '../helpers/upstream-server.ts';
import type { UpstreamServer } from '../helpers/upstream-server.ts';

const PUBLIC: LookupAddress = { address: '93.184.216.34', family: 4 };
const OTHER_PUBLIC: LookupAddress = { address: '2606:2800:220:1::1', family: 6 };
const LOOPBACK: LookupAddress = { address: '127.0.0.1', family: 4 };

async function startServer(): Promise<UpstreamServer> {
  return closeAfterTest(await startUpstreamServer(() => ({ status: 204, body: '' })));
}

function send(sender: WebhookSender, url: string, trusted = false) {
  const request: WebhookRequest = { url, trusted, headers: {}, body: '{}' };
  return sender.send(request, new AbortController().signal);
}

/** A sender with a resolver and sockets of the test, and what these were asked for. */
function watchedSender(
  answers: readonly (readonly LookupAddress[])[],
  openSocket: OpenSocket,
  allowPrivate = false,
) {
  const names: string[] = [];
  const targets: PinnedTarget[] = [];
  const sender = createSender({
    allowPrivate,
    timeoutMs: 10_000,
    lookup: async (name) => {
      names.push(name);
      return answers[Math.min(names.length, answers.length) - 1] ?? [];
    },
    openSocket: (target) => {
      targets.push(target);
      return openSocket(target);
    },
  });
  return { sender: closeAfterTest(sender), names, targets };
}

const noSocket: OpenSocket = () => {
  throw new Error('no connection may be opened');
};

/** A socket to the server that says that it leads to `remoteAddress`. */
function disguisedSocket(server: UpstreamServer, remoteAddress: string): OpenSocket {
  return () =>
    Object.defineProperty(connect({ host: '127.0.0.1', port: server.port }), 'remoteAddress', {
      value: remoteAddress,
    });
}

describe('a webhook for an untrusted URL', () => {
  it('is sent where its name leads to the public internet', async () => {
    const server = await startServer();
    const { sender, names, targets } = watchedSender(
      [[PUBLIC, OTHER_PUBLIC]],
      disguisedSocket(server, OTHER_PUBLIC.address),
    );
    expect(await send(sender, 'http://hooks.example.com/x')).toMatchObject({ kind: 'answered', status: 204 });
    expect(names).toEqual(['hooks.example.com']);
    expect(targets.map((target) => target.addresses)).toEqual([[PUBLIC, OTHER_PUBLIC]]);
  });

  it('is sent to a public address without asking for a name', async () => {
    const server = await startServer();
    const { sender, names } = watchedSender([], disguisedSocket(server, '93.184.216.34'));
    expect(await send(sender, 'http://93.184.216.34/x')).toMatchObject({ kind: 'answered' });
    expect(names).toEqual([]);
  });

  it.each([
    ['http://127.0.0.1/', 'its host is not on the public internet'],
    ['http://[::ffff:a9fe:a9fe]/', 'its host is not on the public internet'],
    ['http://localhost/', 'its host is not on the public internet'],
    ['ftp://hooks.example.com/', 'it is not an http or https URL'],
    ['http://user@hooks.example.com/', 'it has a user name or a password in it'],
  ])('is refused, without a look at any name, for %s', async (url, message) => {
    const { sender, names, targets } = watchedSender([[PUBLIC]], noSocket);
    expect(await send(sender, url)).toEqual({ kind: 'refused', message });
    expect(names).toEqual([]);
    expect(targets).toEqual([]);
  });

  it.each([
    ['to this machine', [LOOPBACK]],
    ['to a private network', [{ address: '10.1.2.3', family: 4 }]],
    ['to a cloud’s metadata', [{ address: '169.254.169.254', family: 4 }]],
    ['to this machine over IPv6', [{ address: '::1', family: 6 }]],
    ['to this machine by a mapped address', [{ address: '::ffff:127.0.0.1', family: 6 }]],
    ['to a link with a zone', [{ address: 'fe80::1%eth0', family: 6 }]],
    ['first to a public address, then to this machine', [PUBLIC, LOOPBACK]],
    ['first to this machine, then to a public address', [LOOPBACK, PUBLIC]],
    ['to something that is no address', [{ address: 'nonsense', family: 4 }]],
  ])('is refused where its name leads %s', async (_where, addresses) => {
    const { sender, targets } = watchedSender([addresses], noSocket);
    expect(await send(sender, 'https://hooks.example.com/')).toEqual({
      kind: 'refused',
      message: 'the name of its host leads to an address that is not public',
    });
    expect(targets).toEqual([]);
  });

  it('goes to the address that was judged, though the name leads elsewhere a moment later', async () => {
    const server = await startServer();
    const { sender, names, targets } = watchedSender(
      [[PUBLIC], [LOOPBACK]],
      disguisedSocket(server, PUBLIC.address),
    );
    const url = `http://rebinding.example.com:${server.port}/`;
    expect(await send(sender, url)).toMatchObject({ kind: 'answered' });
    expect(names).toHaveLength(1);
    expect(targets.map((target) => target.addresses)).toEqual([[PUBLIC]]);
    expect(await send(sender, url)).toMatchObject({ kind: 'refused' });
    expect(targets).toHaveLength(1);
  });

  it('is not sent over a connection that turns out to lead elsewhere', async () => {
    const server = closeAfterTest(await startRawServer(() => {}));
    for (const scheme of ['http', 'https']) {
      const { sender } = watchedSender([[PUBLIC]], (target) =>
        openPinnedSocket({ ...target, addresses: [LOOPBACK] }),
      );
      expect(await send(sender, `${scheme}://hooks.example.com:${server.port}/`)).toEqual({
        kind: 'refused',
        message: 'the connection led to another address',
      });
    }
    await vi.waitFor(() => expect(server.openConnections).toBe(0));
    // Not even the beginning of a TLS handshake.
    expect(server.connections.map((socket) => socket.bytesRead)).toEqual([0, 0]);
  });

  it('does not follow a redirect to this machine', async () => {
    const inner = await startServer();
    const server = closeAfterTest(
      await startUpstreamServer(() => ({ status: 302, headers: { location: `${inner.origin}/admin` } })),
    );
    const { sender, targets } = watchedSender([[PUBLIC]], disguisedSocket(server, PUBLIC.address));
    expect(await send(sender, 'http://hooks.example.com/')).toMatchObject({ kind: 'answered', status: 302 });
    expect(targets).toHaveLength(1);
    expect(inner.connections).toHaveLength(0);
  });
});

describe('a webhook that may go anywhere', () => {
  it('is one for a trusted URL', async () => {
    const server = await startServer();
    const sender = closeAfterTest(createWebhookSender({ allowPrivate: false }));
    expect(await send(sender, `${server.origin}/hook`, true)).toMatchObject({
      kind: 'answered',
      status: 204,
    });
  });

  it('is one for any URL of the right form where private addresses are allowed', async () => {
    const server = await startServer();
    const { sender } = watchedSender([[LOOPBACK]], disguisedSocket(server, LOOPBACK.address), true);
    expect(await send(sender, 'http://localhost/')).toMatchObject({ kind: 'answered' });
    expect(await send(sender, 'http://127.0.0.1/')).toMatchObject({ kind: 'answered' });
    expect(await send(sender, 'http://user@127.0.0.1/')).toMatchObject({ kind: 'refused' });
  });
});

describe('a socket that cannot be opened at all', () => {
  it('fails the attempt', async () => {
    const { sender } = watchedSender([[PUBLIC]], () => {
      const socket = new Socket();
      setImmediate(() => socket.destroy());
      return socket;
    });
    expect(await send(sender, 'http://hooks.example.com/')).toEqual({
      kind: 'failed',
      message: 'no answer: Error',
    });
  });
});
