/** A log record as the API sends it, and how its fields are named. */
import type { Schemas } from '@/lib/api/client';
import { asObject, asString, isObject } from '@/lib/narrow';

export type LogRecord = Schemas['Record'];

/** The record fields that a query names without `attributes.` or `resource.`. */
export const RECORD_FIELDS = [
  'id',
  'timestamp',
  'observed_timestamp',
  'project',
  'service',
  'host',
  'level',
  'severity_number',
  'message',
  'trace_id',
  'span_id',
] as const satisfies readonly (keyof LogRecord)[];

type RecordField = (typeof RECORD_FIELDS)[number];

const RECORD_FIELD_SET: ReadonlySet<string> = new Set(RECORD_FIELDS);

export function isRecordField(name: string): name is RecordField {
  return RECORD_FIELD_SET.has(name);
}

/** A record of a WebSocket frame; undefined for what has no id. What is missing besides is empty. */
export function narrowRecord(value: unknown): LogRecord | undefined {
  if (!isObject(value)) return undefined;
  const id = asString(value.id);
  if (id === undefined) return undefined;
  const text = (name: string) => asString(value[name]) ?? '';
  return {
    ...value,
    id,
    timestamp: text('timestamp'),
    observed_timestamp: text('observed_timestamp'),
    project: text('project'),
    service: text('service'),
    message: text('message'),
    attributes: asObject(value.attributes),
    resource: asObject(value.resource),
  };
}

/** The value of a column: a record field, else an attribute, else a resource attribute. */
export function fieldValue(record: LogRecord, name: string): unknown {
  const { attributes, resource } = record;
  if (isRecordField(name)) return record[name];
  if (name.startsWith('attributes.') && !(name in attributes)) return attributes[name.slice(11)];
  if (name.startsWith('resource.') && !(name in resource)) return resource[name.slice(9)];
  return attributes[name] ?? resource[name];
}

/** The name to query an attribute by: its own, with the map in front where a record field has the same name. */
export function attributeFieldName(map: 'attributes' | 'resource', key: string): string {
  return isRecordField(key) ? `${map}.${key}` : key;
}
