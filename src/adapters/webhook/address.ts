import ipaddr from 'ipaddr.js';

/** Inside public ranges, and yet not public: the address at which machines on Azure reach their host. */
const PRIVATE_IN_PUBLIC = new Set(['168.63.129.16']);

const GLOBAL_UNICAST_V6 = ipaddr.parseCIDR('2000::/3');
const NAT64 = ipaddr.parseCIDR('64:ff9b::/96');

/**
 * True for an IPv4 or IPv6 address of the public internet; false for everything else, be it loopback, private,
 * link-local (where clouds keep their metadata), shared, multicast, reserved, or no address at all. An IPv4
 * address inside an IPv6 one is judged where it is what would be called (mapped, NAT64); other ways of carrying
 * one inside another are not public.
 */
export function isPublicAddress(text: string): boolean {
  if (!ipaddr.isValid(text)) return false;
  const address = ipaddr.parse(text);
  if (address instanceof ipaddr.IPv4) return isPublicV4(address);
  if (address.zoneId !== undefined) return false;
  if (address.isIPv4MappedAddress()) return isPublicV4(address.toIPv4Address());
  if (address.match(NAT64)) return isPublicV4(new ipaddr.IPv4(address.toByteArray().slice(12)));
  return address.range() === 'unicast' && address.match(GLOBAL_UNICAST_V6);
}

function isPublicV4(address: ipaddr.IPv4): boolean {
  return address.range() === 'unicast' && !PRIVATE_IN_PUBLIC.has(address.toString());
}

/** True where both are the same address, however they are written. */
export function isSameAddress(a: string, b: string): boolean {
  if (!ipaddr.isValid(a) || !ipaddr.isValid(b)) return false;
  return ipaddr.process(a).toNormalizedString() === ipaddr.process(b).toNormalizedString();
}
