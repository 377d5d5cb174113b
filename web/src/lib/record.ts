/** A log record as the API sends it, narrowed so that no odd member can break a page. */
import { asObject, asString, isObject, type JsonObject } from '@/lib/narrow';

export interface LogRecord {
  id: string;
  /** RFC 3339 with nanoseconds. */
  timestamp: string;
  level: string | undefined;
  service: string | undefined;
  host: string | undefined;
  message: string;
  attributes: JsonObject;
  resource: JsonObject;
  /** The record as it came, for copying and for the tree. */
  raw: JsonObject;
}

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
] as const;

const RECORD_FIELD_SET: ReadonlySet<string> = new Set(RECORD_FIELDS);

export function isRecordField(name: string): boolean {
  return RECORD_FIELD_SET.has(name);
}

/** Undefined only for what has no id or is no object. */
export function narrowRecord(value: unknown): LogRecord | undefined {
  if (!isObject(value)) return undefined;
  const id = asString(value.id);
  if (id === undefined) return undefined;
  return {
    id,
    timestamp: asString(value.timestamp) ?? '',
    level: asString(value.level)?.toLowerCase(),
    service: asString(value.service),
    host: asString(value.host),
    message: messageText(value.message),
    attributes: asObject(value.attributes),
    resource: asObject(value.resource),
    raw: value,
  };
}

function messageText(value: unknown): string {
  if (typeof value === 'string') return value;
  return value === undefined || value === null ? '' : JSON.stringify(value);
}

/** The value of a column: a record field, else an attribute, else a resource attribute. */
export function fieldValue(record: LogRecord, name: string): unknown {
  if (isRecordField(name)) return record.raw[name];
  if (name.startsWith('attributes.') && !(name in record.attributes))
    return record.attributes[name.slice(11)];
  if (name.startsWith('resource.') && !(name in record.resource)) return record.resource[name.slice(9)];
  return record.attributes[name] ?? record.resource[name];
}

/** The name to query an attribute by: its own, with the map in front where a record field has the same name. */
export function attributeFieldName(map: 'attributes' | 'resource', key: string): string {
  return isRecordField(key) ? `${map}.${key}` : key;
}
