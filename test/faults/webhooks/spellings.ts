/** Hosts that must never be called for a client, in the spellings that hide them. */
export interface Spelling {
  /** As it stands in a URL, without a port. */
  readonly host: string;
  /** True where the URL itself is refused, wherever its host leads. */
  readonly isIllFormed?: boolean;
}

const spell = (host: string): Spelling => ({ host });
const bad = (host: string): Spelling => ({ host, isIllFormed: true });

const loopback = [
  '127.0.0.1',
  '127.1',
  '127.0.1',
  '127.255.255.254',
  '127.0.0.1.',
  '0x7f.1',
  '0x7f.0x0.0x0.0x1',
  '0x7f000001',
  '0X7F000001',
  '2130706433',
  '017700000001',
  '0177.0.0.1',
  '0177.0.0.01',
  '00000177.0x0.0.1',
  '%31%32%37.0.0.1',
  '127%2e0%2e0%2e1',
  '１２７.０.０.１',
  '１２７。０。０。１',
  '①②⑦.⓪.⓪.①',
  '𝟏𝟐𝟕.𝟎.𝟎.𝟏',
  '１２７．1',
  '127\u00ad.0.0.1',
  '12\t7.0.0.1',
  '[::1]',
  '[0:0:0:0:0:0:0:1]',
  '[0000:0000:0000:0000:0000:0000:0000:0001]',
  '[::ffff:7f00:1]',
  '[::ffff:127.0.0.1]',
  '[::FFFF:7F00:0001]',
  '[0:0:0:0:0:ffff:127.0.0.1]',
  '[::7f00:1]',
  '[::127.0.0.1]',
  '[::ffff:0:127.0.0.1]',
];

const unspecified = ['0.0.0.0', '0', '0x0', '00', '0.1.2.3', '[::]', '[0::0]', '[::ffff:0.0.0.0]'];

const networks = [
  '10.0.0.1',
  '10.255.255.255',
  '012.0.0.1',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.0.1',
  '192.168.255.255',
  '3232235521',
  '100.64.0.1',
  '100.127.255.255',
  '169.254.169.254',
  '0xa9fea9fe',
  '2852039166',
  '169.254.43518',
  '[::ffff:a9fe:a9fe]',
  '168.63.129.16',
  '[::ffff:168.63.129.16]',
  '100.100.100.200',
  '192.0.0.192',
  '192.0.0.8',
  '192.0.2.1',
  '192.88.99.1',
  '198.18.0.1',
  '198.19.255.255',
  '198.51.100.1',
  '203.0.113.1',
  '[fe80::1]',
  '[febf::1]',
  '[fc00::1]',
  '[fd00:ec2::254]',
  '[fec0::1]',
  '[100::1]',
  '[2001:db8::1]',
  '[3fff::1]',
  '[2001:2::1]',
  '[2001:10::1]',
  '[5f00::1]',
];

const carried = [
  '[64:ff9b::7f00:1]',
  '[64:ff9b::127.0.0.1]',
  '[64:ff9b::a9fe:a9fe]',
  '[64:ff9b::10.0.0.1]',
  '[64:ff9b:1::7f00:1]',
  '[64:ff9b:1::8.8.8.8]',
  '[64:ff9b:1:ffff::1]',
  '[2002:7f00:1::]',
  '[2002:7f00:0001::1]',
  '[2002:a9fe:a9fe::]',
  '[2002:c0a8:1::1]',
  '[2001::7f00:1]',
  '[2001:0:7f00:1::]',
  '[2001:0:4136:e378:8000:63bf:80ff:fffe]',
];

const everybody = ['224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255', '[ff02::1]', '[ff0e::1]'];

const names = [
  'localhost',
  'LOCALHOST',
  'LocalHost',
  'localhost.',
  'localhost..',
  'sub.localhost',
  'a.b.LOCALHOST.',
  'ｌｏｃａｌｈｏｓｔ',
  'ⓛⓞⓒⓐⓛⓗⓞⓢⓣ',
  'loc%61lhost',
  'local\u00adhost',
  'metadata.google.internal',
  'metadata.google.internal.',
  'host.docker.internal',
];

const illFormed = [
  'public.example@127.0.0.1',
  'public.example:80@127.0.0.1',
  'public.example%2f@127.0.0.1',
  ':secret@127.0.0.1',
  'user@localhost',
  '127.0.0.1@public.example',
  '127.0.0.256',
  '127.0.0.0.1',
  '0x7f.0.0.0x100',
  '[::1%25lo]',
  '[fe80::1%25eth0]',
  '[fe80::1%eth0]',
  '[::1',
  '::1',
  '127.0.0.1 .example',
  '%00127.0.0.1',
  '❶❷⑦.0.0.1',
];

/** All of them. */
export const PRIVATE_SPELLINGS: readonly Spelling[] = [
  ...[...loopback, ...unspecified, ...networks, ...carried, ...everybody, ...names].map(spell),
  ...illFormed.map(bad),
];

/** What a resolver may answer that nobody may connect to. */
export const PRIVATE_ADDRESSES: readonly string[] = [
  '127.0.0.1',
  '0.0.0.0',
  '10.1.2.3',
  '172.20.0.1',
  '192.168.1.1',
  '169.254.169.254',
  '168.63.129.16',
  '100.64.0.1',
  '224.0.0.1',
  '255.255.255.255',
  '::1',
  '::',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  'fe80::1',
  'fe80::1%lo',
  'fc00::1',
  'fec0::1',
  '64:ff9b::7f00:1',
  '64:ff9b:1::1',
  '2002:7f00:1::',
  '2001:0:7f00:1::',
  '::7f00:1',
  'ff02::1',
  '',
  'nonsense',
  '127.1',
  '2130706433',
];

/** Addresses of the public internet. Nothing is ever sent to them: only the decision is asked for. */
export const PUBLIC_ADDRESSES: readonly string[] = [
  '93.184.216.34',
  '8.8.8.8',
  '1.1.1.1',
  '172.15.255.255',
  '172.32.0.1',
  '100.63.255.255',
  '100.128.0.1',
  '169.253.0.1',
  '192.167.0.1',
  '11.0.0.1',
  '9.255.255.255',
  '223.255.255.254',
  '2606:2800:220:1:248:1893:25c8:1946',
  '2001:4860:4860::8888',
  '64:ff9b::808:808',
  '::ffff:8.8.8.8',
];
