/** The files that deploy several nodes, as far as they can be tested without an engine that runs them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import packageJson from '../../package.json' with { type: 'json' };
import { loadConfig } from '../../src/config.ts';
import { buildHealthApp } from '../../src/http/app.ts';
import { usePostgres } from '../helpers/postgres.ts';
import { createBatch, startBatch } from '../helpers/store-fixtures.ts';
import { createTestEngine } from '../helpers/test-engine.ts';
import { healthCommand, image, imageEnv } from './dockerfile.ts';
import { ROOT } from './node-process.ts';

const postgres = usePostgres();

const DEFAULTS = loadConfig({});
/** What the S3 client reads by itself. */
const AWS_SETTINGS = ['AWS_ENDPOINT_URL', 'AWS_REGION', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'];
const SETTINGS: readonly string[] = [...Object.keys(DEFAULTS), ...AWS_SETTINGS];
const SECRETS = ['API_KEYS', 'DATABASE_URL', 'UPSTREAM_API_KEY', 'WEBHOOK_SIGNING_SECRET'];

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** The environment with every variable that a compose file demands set, as text. */
function filled(environment: Readonly<Record<string, string | number | null>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [
      name,
      String(value ?? '').replaceAll(/\$\{[A-Z_0-9]+:\?[^}]*\}/g, 'given'),
    ]),
  );
}

describe('docker-compose.scale.yml', () => {
  interface Service {
    readonly image: string;
    readonly environment?: Readonly<Record<string, string | number | null>>;
    readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
    readonly volumes?: readonly string[];
    readonly healthcheck?: { readonly test: readonly string[] };
    readonly deploy?: { readonly replicas: number };
    readonly ports?: readonly string[];
    readonly read_only?: boolean;
    readonly stop_grace_period?: string;
  }
  const text = read('docker-compose.scale.yml');
  const { services, volumes } = parse(text, { merge: true }) as {
    readonly services: Readonly<Record<string, Service>>;
    readonly volumes: Readonly<Record<string, null>>;
  };
  const nodes = Object.entries(services).filter(([, service]) => service.image === 'anyllm-batch');

  it('has API nodes and workers, with settings that start', () => {
    const roles = nodes.map(([name, { environment, deploy }]) => {
      const config = loadConfig(filled(environment ?? {}));
      return [name, config.ROLE, deploy?.replicas];
    });
    expect(roles).toEqual([
      ['api', 'api', 2],
      ['worker', 'worker', 3],
    ]);
  });

  it('passes every setting on to both, and no other; the keys of clients to the API alone', () => {
    for (const [name, { environment = {} }] of nodes) {
      const all = SETTINGS.filter((setting) => name === 'api' || setting !== 'API_KEYS');
      expect(new Set(Object.keys(environment))).toEqual(new Set(all));
      for (const [setting, value] of Object.entries(imageEnv))
        expect(String(environment[setting])).toBe(value);
    }
    const [api, worker] = nodes.map(([, { environment }]) => environment);
    expect({ ...api, ROLE: '', API_KEYS: '' }).toEqual({ ...worker, ROLE: '', API_KEYS: '' });
  });

  it('has no secret of its own, and does not start without those that it needs', () => {
    const demanded = [...text.matchAll(/\$\{([A-Z_0-9]+):\?/g)].map((match) => match[1]);
    expect(new Set(demanded)).toEqual(new Set(['POSTGRES_PASSWORD', 'S3_SECRET', 'API_KEYS']));
    for (const { environment = {} } of Object.values(services)) {
      for (const [name, value] of Object.entries(environment)) {
        if (/PASSWORD|SECRET|API_KEY/.test(name)) expect(value ?? '${').toMatch(/^\$\{/);
      }
    }
  });

  it('refers to services and volumes that there are, and waits for what can be waited for', () => {
    for (const service of Object.values(services)) {
      for (const [name, { condition }] of Object.entries(service.depends_on ?? {})) {
        const waitsFor = services[name];
        expect(waitsFor, name).toBeDefined();
        if (condition === 'service_healthy') expect(waitsFor?.healthcheck, name).toBeDefined();
      }
      for (const volume of service.volumes ?? []) {
        const [from = ''] = volume.split(':');
        if (from.startsWith('./')) expect(read(from)).not.toBe('');
        else expect(Object.keys(volumes)).toContain(from);
      }
    }
    const env = filled(services['api']?.environment ?? {});
    expect(new URL(env['DATABASE_URL'] ?? '').hostname in services).toBe(true);
    expect(new URL(env['AWS_ENDPOINT_URL'] ?? '').hostname in services).toBe(true);
  });

  it('makes the bucket that the nodes use, in the store that they use, with its keys', () => {
    const { environment } = services['s3'] as Service;
    const env = services['api']?.environment;
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'])
      expect(environment?.[name]).toBe(env?.[name]);
    const bucket = new URL(String(env?.['BLOB_URL'])).hostname;
    expect(text).toContain(`s3.bucket.create -name ${bucket}'`);
  });

  it('holds nodes as the image and docker-compose.yml do', () => {
    for (const [, service] of nodes) {
      expect(service.read_only).toBe(true);
      expect(service.healthcheck?.test).toEqual(['CMD', ...healthCommand]);
      const seconds = Number(/^(\d+)s$/.exec(service.stop_grace_period ?? '')?.[1]);
      expect(seconds * 1000).toBeGreaterThanOrEqual(DEFAULTS.SHUTDOWN_GRACE_MS + 10_000);
    }
    const open = Object.entries(services).filter(([, { ports }]) => ports !== undefined);
    expect(open.map(([name]) => name)).toEqual(['proxy']);
  });
});

describe('deploy/nginx.conf', () => {
  const text = read('deploy/nginx.conf').replaceAll(/#.*$/gm, '');
  const directives = new Map(
    [...text.matchAll(/^\s*([a-z_]+)\s+([^;{}]+);/gm)].map((match) => [match[1], match[2]]),
  );

  it('lets bodies of any size and streams through as they come', () => {
    expect(directives.get('client_max_body_size')).toBe('0');
    expect(directives.get('proxy_request_buffering')).toBe('off');
    expect(directives.get('proxy_buffering')).toBe('off');
    expect(directives.get('proxy_http_version')).toBe('1.1');
    for (const name of ['proxy_read_timeout', 'proxy_send_timeout', 'client_body_timeout'])
      expect(directives.get(name)).toBe('1h');
    expect(directives.get('server')).toBe(`api:${imageEnv['PORT']} resolve`);
    expect(text.match(/\{/g)).toHaveLength(text.match(/\}/g)?.length ?? 0);
  });
});

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly stringData?: Readonly<Record<string, string>>;
  // Each kind has a shape of its own.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly spec?: any;
}

describe('deploy/kubernetes', () => {
  const folder = 'deploy/kubernetes';
  const kustomization = parse(read(`${folder}/kustomization.yaml`)) as {
    readonly resources: readonly string[];
    readonly images: readonly { readonly name: string; readonly newTag: string }[];
  };
  const files = readdirSync(join(ROOT, folder)).filter((name) => name !== 'kustomization.yaml');
  const manifests = files.flatMap((file) =>
    parseAllDocuments(read(`${folder}/${file}`)).map((document) => {
      for (const error of document.errors) throw error;
      return document.toJS() as Manifest;
    }),
  );
  const find = (kind: string, name: string): Manifest => {
    const found = manifests.filter((manifest) => manifest.kind === kind && manifest.metadata.name === name);
    expect(found, `${kind} ${name}`).toHaveLength(1);
    return found[0] as Manifest;
  };
  const deployments = manifests.filter(({ kind }) => kind === 'Deployment');
  const containerOf = ({ spec }: Manifest) => spec.template.spec.containers[0];

  it('applies all but the example of secrets and what needs KEDA, with the image of this version', () => {
    const apart = ['secret.example.yaml', 'worker-scaling.yaml'];
    expect(new Set([...kustomization.resources, ...apart])).toEqual(new Set(files));
    expect(kustomization.images[0]?.newTag).toBe(packageJson.version);
    for (const deployment of deployments)
      expect(containerOf(deployment).image).toBe(kustomization.images[0]?.name);
  });

  it('has an API node and a worker whose settings are real ones, and start', () => {
    const config = find('ConfigMap', 'anyllm-batch').data ?? {};
    const secrets = find('Secret', 'anyllm-batch').stringData ?? {};
    expect(Object.keys(config).filter((name) => SECRETS.includes(name))).toEqual([]);
    const roles = deployments.map((deployment) => {
      const { env, envFrom } = containerOf(deployment);
      expect(envFrom).toEqual([
        { configMapRef: { name: 'anyllm-batch' } },
        { secretRef: { name: 'anyllm-batch' } },
      ]);
      const own = Object.fromEntries(
        env.map(({ name, value, valueFrom }: { name: string; value?: string; valueFrom?: never }) => {
          if (value !== undefined) return [name, value];
          const { name: secret, key } = (
            valueFrom as unknown as { secretKeyRef: { name: string; key: string } }
          ).secretKeyRef;
          return [name, find('Secret', secret).stringData?.[key]];
        }),
      );
      const all = { ...imageEnv, ...config, ...secrets, ...own };
      expect(Object.keys(all).filter((name) => !SETTINGS.includes(name))).toEqual([]);
      const { ROLE, API_KEYS } = loadConfig(all);
      return [ROLE, API_KEYS.length];
    });
    expect(roles).toEqual([
      ['api', 1],
      ['worker', 0],
    ]);
  });

  it('probes routes that there are', async () => {
    const app = buildHealthApp({ engine: createTestEngine(), log: false, isReady: () => true });
    onTestFinished(() => app.close());
    for (const deployment of deployments) {
      const container = containerOf(deployment);
      const ports = container.ports as readonly { name: string; containerPort: number }[];
      for (const name of ['startupProbe', 'readinessProbe', 'livenessProbe']) {
        const { path, port } = container[name].httpGet;
        expect((await app.inject(path)).statusCode).toBe(200);
        expect(String(ports.find((known) => known.name === port)?.containerPort)).toBe(imageEnv['PORT']);
      }
      // Without its database a node is not ready, but a restart would not bring that back.
      expect(container.livenessProbe.httpGet.path).toBe('/health/live');
      expect(container.readinessProbe.httpGet.path).toBe('/health/ready');
    }
  });

  it('runs as the user of the image, on a root that cannot be written', () => {
    const [user, group] = (image('USER')[0] ?? '').split(':').map(Number);
    for (const deployment of deployments) {
      const pod = deployment.spec.template.spec;
      const container = containerOf(deployment);
      expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: user, runAsGroup: group });
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      const mounts = container.volumeMounts as readonly { name: string; mountPath: string }[];
      expect(mounts.map(({ mountPath }) => mountPath)).toEqual(['/tmp']);
      expect(mounts.map(({ name }) => name)).toEqual(pod.volumes.map(({ name }: { name: string }) => name));
    }
  });

  it('gives a stop longer than the service takes', () => {
    for (const deployment of deployments) {
      const { terminationGracePeriodSeconds, containers } = deployment.spec.template.spec;
      const before = Number(containers[0].lifecycle?.preStop.exec.command[1] ?? 0);
      const seconds = terminationGracePeriodSeconds - before;
      expect(seconds * 1000).toBeGreaterThanOrEqual(DEFAULTS.SHUTDOWN_GRACE_MS + 10_000);
    }
  });

  it('selects the pods that it means', () => {
    for (const role of ['api', 'worker']) {
      const { spec } = find('Deployment', `anyllm-batch-${role}`);
      const labels = spec.template.metadata.labels;
      expect(labels['app.kubernetes.io/component']).toBe(role);
      expect(spec.selector.matchLabels).toEqual(labels);
      expect(find('PodDisruptionBudget', `anyllm-batch-${role}`).spec.selector.matchLabels).toEqual(labels);
    }
    const { selector, ports } = find('Service', 'anyllm-batch').spec;
    expect(selector).toEqual(find('Deployment', 'anyllm-batch-api').spec.selector.matchLabels);
    expect(ports[0].targetPort).toBe('http');
  });

  it('scales workers by the lines that have no result yet', async () => {
    const { scaleTargetRef, triggers } = find('ScaledObject', 'anyllm-batch-worker').spec;
    find('Deployment', scaleTargetRef.name);
    const { query, connectionFromEnv } = triggers[0].metadata;
    expect(Object.keys(find('Secret', 'anyllm-batch').stringData ?? {})).toContain(connectionFromEnv);
    const store = await postgres.openStore();
    onTestFinished(() => store.close());
    const queued = async () =>
      Object.values((await postgres.query<Record<string, string>>(query))[0] ?? {})[0];
    expect(await queued()).toBe('0');
    await createBatch(store);
    expect(await queued()).toBe('1');
    const { counts } = await startBatch(store);
    expect(counts.total).toBeGreaterThan(1);
    expect(Number(await queued())).toBe(counts.total + 1);
  });
});
