import { expect, it } from 'vitest';
import { attributeFieldName, fieldValue, narrowRecord } from '@/lib/record';

it('narrows odd records instead of failing on them', () => {
  expect(narrowRecord(null)).toBeUndefined();
  expect(narrowRecord({ message: 'no id' })).toBeUndefined();
  const record = narrowRecord({
    id: 'x',
    level: 'error',
    message: { a: 1 },
    attributes: 'junk',
    timestamp: 5,
  });
  expect(record).toMatchObject({
    level: 'error',
    message: '',
    attributes: {},
    resource: {},
    timestamp: '',
  });
});

it('finds a column among record fields, attributes and resource', () => {
  const record = narrowRecord({
    id: 'x',
    host: 'h',
    attributes: { a: 1, host: 'attribute' },
    resource: { a: 2, b: false },
  });
  if (record === undefined) throw new Error('the record was refused');
  expect(fieldValue(record, 'host')).toBe('h');
  expect(fieldValue(record, 'a')).toBe(1);
  expect(fieldValue(record, 'b')).toBe(false);
  expect(fieldValue(record, 'attributes.host')).toBe('attribute');
  expect(fieldValue(record, 'resource.a')).toBe(2);
});

it('names an attribute so that a record field does not hide it', () => {
  expect(attributeFieldName('attributes', 'host')).toBe('attributes.host');
  expect(attributeFieldName('resource', 'k8s.pod.name')).toBe('k8s.pod.name');
});
