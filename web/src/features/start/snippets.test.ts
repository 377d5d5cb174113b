import { expect, it } from 'vitest';
import { snippets } from '@/features/start/snippets';

it('puts address and key into every snippet', () => {
  for (const snippet of snippets({ address: 'http://logs:4318', key: 'k-1' })) {
    expect(snippet.code).toContain('http://logs:4318/v1/');
    expect(snippet.code).toContain('Bearer k-1');
  }
});

it('leaves the credentials out where none are needed', () => {
  for (const snippet of snippets({ address: 'http://logs:4318', key: undefined })) {
    expect(snippet.code).not.toMatch(/authorization/i);
  }
});

it('quotes an address with odd characters', () => {
  const [curl] = snippets({ address: "http://x/'y", key: undefined });
  expect(curl?.code).toContain(`'http://x/'\\''y/v1/ingest'`);
});
