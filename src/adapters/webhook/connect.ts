import type { LookupAddress } from 'node:dns';
import { connect as connectTcp, isIP } from 'node:net';
import type { LookupFunction, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { buildConnector } from 'undici';
import { isSameAddress } from './address.ts';
import { NoAnswer } from './no-answer.ts';
import { hostOf } from './url.ts';

/** What a connection is opened with. */
export interface PinnedTarget {
  readonly url: URL;
  /** The only addresses that may be connected to: the name is not resolved again. */
  readonly addresses: readonly LookupAddress[];
}

/** Opens the socket for a target; it connects later. */
export type OpenSocket = (target: PinnedTarget) => Socket;

/**
 * Connects to one of the target's addresses and tells `callback` once how that went. Refuses the connection, before
 * a byte is sent, where it turns out to lead elsewhere.
 */
export function connectPinned(
  openSocket: OpenSocket,
  target: PinnedTarget,
  callback: buildConnector.Callback,
): Socket {
  const socket = openSocket(target);
  let isDone = false;
  function done(error: Error | null): void {
    if (isDone) return;
    isDone = true;
    if (error === null) callback(null, socket);
    else callback(error, null);
  }
  // The first listener, so that it comes before the TLS handshake.
  socket.prependOnceListener('connect', () => {
    const { remoteAddress = '' } = socket;
    if (!target.addresses.some(({ address }) => isSameAddress(address, remoteAddress))) {
      socket.destroy(new NoAnswer({ kind: 'refused', message: 'the connection led to another address' }));
    } else if (target.url.protocol === 'http:') done(null);
  });
  if (target.url.protocol === 'https:') socket.once('secureConnect', () => done(null));
  socket.on('error', done);
  socket.once('close', () => done(new Error('the connection was closed')));
  return socket;
}

/** Opens a TCP or TLS socket that resolves its host to the target's addresses. */
export function openPinnedSocket({ url, addresses }: PinnedTarget): Socket {
  const host = hostOf(url);
  const lookup = pinnedLookup(addresses);
  if (url.protocol === 'http:') return connectTcp({ host, port: Number(url.port || 80), lookup });
  return connectTls({
    host,
    port: Number(url.port || 443),
    lookup,
    ALPNProtocols: ['http/1.1'],
    ...(isIP(host) === 0 && { servername: host }),
  });
}

function pinnedLookup(addresses: readonly LookupAddress[]): LookupFunction {
  return (_hostname, options, callback) => {
    const [first] = addresses;
    if (options.all === true) callback(null, [...addresses]);
    else if (first !== undefined) callback(null, first.address, first.family);
  };
}
