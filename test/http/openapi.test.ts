import { Validator } from '@seriousme/openapi-schema-validator';
import { describe, expect, it } from 'vitest';
import { createTestApp } from '../helpers/http-app.ts';

interface Described {
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly security?: readonly object[];
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
  }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> }>
  >;
}

interface Schema {
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
}

async function describedApi() {
  const testApp = createTestApp();
  const routes: string[] = [];
  testApp.app.addHook('onRoute', ({ method, url, schema }) => {
    const isHidden = (schema as { hide?: boolean } | undefined)?.hide === true;
    for (const each of [method].flat()) if (each !== 'HEAD' && !isHidden) routes.push(`${each} ${url}`);
  });
  const { statusCode, body } = await testApp.app.inject({ url: '/openapi.json' });
  expect(statusCode).toBe(200);
  const document = JSON.parse(body) as {
    openapi: string;
    info: { version: string };
    paths: Record<string, Record<string, Described>>;
  };
  const find = (route: string): Described | undefined => {
    const [method = '', url = ''] = route.split(' ');
    return document.paths[url.replaceAll(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()];
  };
  return { testApp, document, routes, find };
}

describe('the description of the API', () => {
  it('is valid OpenAPI, and needs no key', async () => {
    const { document } = await describedApi();
    expect(document.openapi).toBe('3.1.0');
    expect(document.info.version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(await new Validator().validate(document)).toEqual({ valid: true });
  });

  it('has every route, with what it is for, what it answers and how it refuses', async () => {
    const { routes, find } = await describedApi();
    expect(routes.length).toBeGreaterThan(10);
    for (const route of routes) {
      const described = find(route);
      expect(described?.summary, route).toMatch(/./);
      expect(described?.tags, route).toHaveLength(1);
      expect(described?.responses['200'], route).toBeDefined();
      if (route.includes('/health/')) continue;
      expect(described?.security, route).toEqual([{ key: [] }]);
      const errors = Object.keys(described?.responses ?? {}).filter((status) => Number(status) >= 400);
      expect(errors, route).toEqual(expect.arrayContaining(['401', '500', '503']));
      expect(errors.includes('429'), route).toBe(!route.includes('/v1/admin/'));
      if (route.includes(':id')) expect(errors, route).toContain('404');
      for (const status of errors) {
        const schema = described?.responses[status]?.content?.['application/json']?.schema;
        expect(Object.keys(schema?.properties?.['error']?.properties ?? {}), `${route} ${status}`).toEqual(
          route.includes('/v1/messages/') ? ['type', 'message'] : ['message', 'type', 'param', 'code'],
        );
      }
    }
  });

  it('comes from the schemas that check requests', async () => {
    const { find } = await describedApi();
    const create = find('POST /v1/batches')?.requestBody?.content['application/json']?.schema;
    expect(create?.required).toEqual(['input_file_id', 'endpoint', 'completion_window']);
    expect(Object.keys(create?.properties ?? {})).toEqual(expect.arrayContaining(['metadata', 'priority']));
    const upload = find('POST /v1/files')?.requestBody?.content['multipart/form-data']?.schema;
    expect(upload?.required).toEqual(['purpose', 'file']);
    const list = find('GET /v1/files')?.parameters ?? [];
    expect(list.map(({ name }) => name)).toEqual(['purpose', 'limit', 'order', 'after']);
    expect(find('GET /v1/batches/:id')?.parameters).toMatchObject([
      { name: 'id', in: 'path', required: true },
    ]);
  });

  it('can be read as a page, without a key', async () => {
    const { testApp } = await describedApi();
    const page = await testApp.app.inject({ url: '/docs/' });
    expect(page.statusCode).toBe(200);
    expect(page.headers['content-type']).toContain('text/html');
    const script = /src="\.?\/?([^"]*swagger-ui-bundle\.js)"/.exec(page.body)?.[1];
    const asset = await testApp.app.inject({ url: `/docs/${script?.replace(/^docs\//, '')}` });
    expect(asset.statusCode).toBe(200);
  });
});
