/** A whole record as a tree: record fields, attributes, resource, each value with what can be done with it. */
import { UnstyledButton } from '@mantine/core';
import { useState } from 'react';
import { Icon } from '@/components/icon';
import classes from '@/features/explore/components/record-tree.module.css';
import { type ValueActionHandlers, ValueActions } from '@/features/explore/components/value-actions';
import { isObject, type JsonObject } from '@/lib/narrow';
import { attributeFieldName, type LogRecord, RECORD_FIELDS } from '@/lib/record';
import { DETAIL_CHARS_MAX, visible } from '@/lib/text';

/** Deeper values, which the collector does not let in, are shown as JSON. */
const DEPTH_MAX = 16;
/** Elements of one list that are drawn. */
const ELEMENTS_MAX = 200;

interface RecordTreeProps {
  record: LogRecord;
  handlers: ValueActionHandlers;
}

export function RecordTree({ record, handlers }: RecordTreeProps) {
  const { attributes, resource } = record;
  const names = RECORD_FIELDS.filter((name) => record[name] !== undefined && name !== 'message');
  const fields = names.map((name) => ({ key: name, field: name, value: record[name] }));
  return (
    <>
      <Group title="Attributes" entries={entriesOf(attributes, 'attributes')} handlers={handlers} />
      <Group title="Fields" entries={fields} handlers={handlers} />
      <Group title="Resource" entries={entriesOf(resource, 'resource')} handlers={handlers} />
    </>
  );
}

interface Entry {
  key: string;
  /** The name to query by; undefined inside of lists of objects, which a query can't reach. */
  field: string | undefined;
  value: unknown;
}

function entriesOf(map: JsonObject, name: 'attributes' | 'resource'): Entry[] {
  return Object.keys(map)
    .sort()
    .map((key) => ({ key, field: attributeFieldName(name, key), value: map[key] }));
}

function Group({
  title,
  entries,
  handlers,
}: {
  title: string;
  entries: Entry[];
  handlers: ValueActionHandlers;
}) {
  if (entries.length === 0) return null;
  return (
    <details className={classes.group} open>
      <summary>
        <Icon name="chevron-right" size={13} />
        {title}
        <span className="tabular">({entries.length})</span>
      </summary>
      {entries.map((entry) => (
        <Row key={entry.key} entry={entry} depth={0} handlers={handlers} />
      ))}
    </details>
  );
}

function Row({ entry, depth, handlers }: { entry: Entry; depth: number; handlers: ValueActionHandlers }) {
  const children = depth < DEPTH_MAX ? childrenOf(entry) : undefined;
  return (
    <div className={classes.row}>
      <span className={classes.key}>{visible(entry.key)}</span>
      {children === undefined ? (
        <Scalar value={entry.value} />
      ) : (
        <span className={classes.key}>{Array.isArray(entry.value) ? `[ ${children.length} ]` : '{ … }'}</span>
      )}
      <ValueActions field={entry.field} value={entry.value} handlers={handlers} />
      {children && children.length > 0 && (
        <div className={classes.nested}>
          {children.slice(0, ELEMENTS_MAX).map((child) => (
            <Row key={child.key} entry={child} depth={depth + 1} handlers={handlers} />
          ))}
          {children.length > ELEMENTS_MAX && (
            <span className={classes.key}>
              {children.length - ELEMENTS_MAX} more; copy the value to see all
            </span>
          )}
        </div>
      )}
    </div>
  );
}

/** The elements of a list are reached by the list's own name; members of objects in it are not. */
function childrenOf({ field, value }: Entry): Entry[] | undefined {
  if (Array.isArray(value)) {
    return value.map((item, index) => ({
      key: String(index),
      field: isObject(item) ? undefined : field,
      value: item,
    }));
  }
  if (!isObject(value)) return undefined;
  return Object.entries(value).map(([key, item]) => ({ key, field: undefined, value: item }));
}

function Scalar({ value }: { value: unknown }) {
  const [all, setAll] = useState(false);
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'undefined');
  const cut = !all && text.length > DETAIL_CHARS_MAX;
  return (
    <span className={classes.value} data-type={value === null ? 'null' : typeof value}>
      {text === '' ? (
        <span className={classes.key}>(empty)</span>
      ) : (
        visible(cut ? text.slice(0, DETAIL_CHARS_MAX) : text)
      )}
      {cut && (
        <UnstyledButton className={classes.more} onClick={() => setAll(true)}>
          … show all {text.length.toLocaleString('en-US')} characters
        </UnstyledButton>
      )}
    </span>
  );
}
