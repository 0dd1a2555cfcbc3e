import { describe, expect, it } from 'vitest';
import { isPublicAddress } from '../../src/adapters/webhook/address.ts';
import { createWebhookSender } from '../../src/adapters/webhook/index.ts';

const guarded = createWebhookSender({ allowPrivate: false });
const open = createWebhookSender({ allowPrivate: true });

const NOT_PUBLIC = 'its host is not on the public internet';

describe('the form of a webhook URL', () => {
  it.each([
    ['', 'it is not an http or https URL'],
    ['hooks.example.com/x', 'it is not an http or https URL'],
    ['/relative', 'it is not an http or https URL'],
    ['http://', 'it is not an http or https URL'],
    ['https:///', 'it is not an http or https URL'],
    ['http://a b/', 'it is not an http or https URL'],
    ['http://hooks.example.com:99999/', 'it is not an http or https URL'],
    ['http://[fe80::1%25eth0]/', 'it is not an http or https URL'],
    ['http://300.1.1.1/', 'it is not an http or https URL'],
    ['ftp://hooks.example.com/', 'it is not an http or https URL'],
    ['file:///etc/passwd', 'it is not an http or https URL'],
    ['javascript:alert(1)', 'it is not an http or https URL'],
    ['gopher://hooks.example.com/', 'it is not an http or https URL'],
    ['https://user@hooks.example.com/', 'it has a user name or a password in it'],
    ['https://user:secret@hooks.example.com/', 'it has a user name or a password in it'],
    ['https://:secret@hooks.example.com/', 'it has a user name or a password in it'],
    [`https://hooks.example.com/${'x'.repeat(2048)}`, 'it has more than 2048 characters'],
  ])('is refused as such, also where private addresses are allowed: %s', (url, reason) => {
    expect(guarded.check(url)).toBe(reason);
    expect(open.check(url)).toBe(reason);
  });

  it.each([
    'https://hooks.example.com/',
    'http://hooks.example.com:8080/path?query=1#fragment',
    'HTTPS://HOOKS.EXAMPLE.COM',
    'https://hooks.example.com./',
    'https://xn--bcher-kva.example/',
    'https://notlocalhost/',
    'https://internal.example.com/',
    'https://localhost.example.com/',
    `https://hooks.example.com/${'x'.repeat(2048 - 'https://hooks.example.com/'.length)}`,
    // Addresses of the public internet, in several spellings.
    'http://8.8.8.8/',
    'http://134744072/',
    'http://0x8.0x8.0x8.0x8/',
    'http://172.15.255.255/',
    'http://172.32.0.0/',
    'http://100.63.255.255/',
    'http://100.128.0.0/',
    'http://169.253.255.255/',
    'http://[2606:4700:4700::1111]/',
    'http://[::ffff:8.8.8.8]/',
    'http://[64:ff9b::8.8.8.8]/',
  ])('is fine: %s', (url) => {
    expect(guarded.check(url)).toBeNull();
  });
});

describe('a webhook URL with a host that is not public', () => {
  it.each([
    // Loopback, as people write it and as they hide it.
    'http://127.0.0.1/',
    'http://127.0.0.1:6379/',
    'http://127.255.255.254/',
    'http://127.1/',
    'http://127.0.0.1./',
    'http://0x7f.1/',
    'http://0x7f000001/',
    'http://2130706433/',
    'http://017700000001/',
    'http://0177.0.0.01/',
    'http://①②⑦.⓪.⓪.①/',
    'http://127。0。0。1/',
    'http://%31%32%37.0.0.1/',
    'http://1\t27.0.0.1/',
    'http:\\\\127.0.0.1\\',
    'http:127.0.0.1',
    'http://[::1]/',
    'http://[0:0:0:0:0:0:0:1]/',
    // This machine, unspecified.
    'http://0/',
    'http://0.0.0.0/',
    'http://0.1.2.3/',
    'http://[::]/',
    // Private networks.
    'http://10.0.0.1/',
    'http://10.255.255.255/',
    'http://172.16.0.1/',
    'http://172.31.255.255/',
    'http://192.168.1.1/',
    'http://3232235777/',
    'http://[fc00::1]/',
    'http://[fd12:3456:789a::1]/',
    'http://[fec0::1]/',
    // Link-local, and what clouds keep there and elsewhere.
    'http://169.254.0.1/',
    'http://169.254.169.254/latest/meta-data/',
    'http://0xA9FEA9FE/',
    'http://[fe80::1]/',
    'http://[fd00:ec2::254]/',
    'http://100.100.100.200/',
    'http://168.63.129.16/',
    'http://192.0.0.192/',
    // Carrier-grade NAT, benchmarks, documentation, multicast, reserved.
    'http://100.64.0.1/',
    'http://100.127.255.255/',
    'http://198.18.0.1/',
    'http://192.0.2.1/',
    'http://198.51.100.1/',
    'http://203.0.113.1/',
    'http://192.88.99.1/',
    'http://224.0.0.1/',
    'http://240.0.0.1/',
    'http://255.255.255.255/',
    'http://[ff02::1]/',
    'http://[2001:db8::1]/',
    'http://[3fff::1]/',
    'http://[100::1]/',
    'http://[5f00::1]/',
    'http://[4000::1]/',
    // IPv4 inside IPv6.
    'http://[::ffff:127.0.0.1]/',
    'http://[::ffff:7f00:1]/',
    'http://[0:0:0:0:0:ffff:a9fe:a9fe]/',
    'http://[::ffff:168.63.129.16]/',
    'http://[::127.0.0.1]/',
    'http://[::7f00:1]/',
    'http://[::8.8.8.8]/',
    'http://[::ffff:0:127.0.0.1]/',
    'http://[64:ff9b::127.0.0.1]/',
    'http://[64:ff9b::a9fe:a9fe]/',
    'http://[64:ff9b:1::8.8.8.8]/',
    'http://[2002:7f00:1::]/',
    'http://[2002:808:808::]/',
    'http://[2001:0:7f00:1::]/',
    // Names of this machine and of private networks.
    'http://localhost/',
    'http://LOCALHOST:8080/',
    'http://localhost./',
    'http://localhost../',
    'http://a.localhost/',
    'http://metadata.google.internal/',
    'http://db.internal./',
  ])('is refused, unless private addresses are allowed: %s', (url) => {
    expect(guarded.check(url)).toBe(NOT_PUBLIC);
    expect(open.check(url)).toBeNull();
  });
});

describe('an address that a name leads to', () => {
  it.each(['1.1.1.1', '2606:4700::1', '64:ff9b::101:101'])('is public: %s', (address) => {
    expect(isPublicAddress(address)).toBe(true);
  });

  it.each([
    '',
    'localhost',
    '127.0.0.1',
    '::1',
    'fe80::1%eth0',
    '2606:4700::1%eth0',
    '::ffff:10.0.0.1',
    '1.1.1.1 ',
  ])('is not public: %j', (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });
});
