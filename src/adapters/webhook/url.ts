import { isIP } from 'node:net';
import { isPublicAddress } from './address.ts';

const MAX_URL_LENGTH = 2048;

/** Names that mean this machine or the network around it, whoever is asked to resolve them. */
const PRIVATE_NAMES = /(^|\.)(localhost|internal)$/;

/**
 * Null where webhooks may be sent to `text` on behalf of somebody who is not trusted, else why not, as the end of
 * a sentence. Judges only what the URL itself says: a name that looks harmless is resolved, and its addresses are
 * judged, each time something is sent. `allowPrivate` leaves only the form to be judged.
 */
export function checkWebhookUrl(text: string, allowPrivate: boolean): string | null {
  if (text.length > MAX_URL_LENGTH) return `it has more than ${MAX_URL_LENGTH} characters`;
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    return 'it is not an http or https URL';
  }
  if (url.username !== '' || url.password !== '') return 'it has a user name or a password in it';
  return allowPrivate || isPublicHost(hostOf(url)) ? null : 'its host is not on the public internet';
}

/** The host: an address in its plain form (all spellings of IPv4 become dotted decimals) or a name. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

function isPublicHost(host: string): boolean {
  if (isIP(host) !== 0) return isPublicAddress(host);
  return !PRIVATE_NAMES.test(host.replace(/\.+$/, ''));
}
