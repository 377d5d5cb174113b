/** One field of the sidebar. Its counts leave its own filters out, so that alternatives stay in sight. */
import { ActionIcon, Skeleton, Tooltip, UnstyledButton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useId, useState } from 'react';
import { errorText } from '@/components/error-state';
import { Icon } from '@/components/icon';
import { LevelBadge } from '@/components/level-badge';
import { fieldValuesQuery, type ValueCount } from '@/features/explore/api/field-values';
import type { FieldInfo } from '@/features/explore/api/fields';
import classes from '@/features/explore/components/facets.module.css';
import { isStatus } from '@/lib/api/api-error';
import { formatCompact, formatCount } from '@/lib/format';
import { useProject } from '@/lib/project';
import {
  excludeValue,
  filterState,
  includeValue,
  onlyValue,
  removeField,
  removeValue,
} from '@/lib/query/edit';
import { rowText } from '@/lib/text';
import type { ResolvedRange } from '@/lib/time/range';

interface FacetProps {
  field: FieldInfo;
  query: string;
  resolved: ResolvedRange;
  onQuery: (query: string) => void;
  openAtFirst: boolean;
}

const VALUES_SHOWN = 10;

export function Facet({ field, query, resolved, onQuery, openAtFirst }: FacetProps) {
  const [opened, setOpened] = useState(openAtFirst);
  const listId = useId();
  return (
    <div className={classes.facet}>
      <UnstyledButton
        className={classes.toggle}
        aria-expanded={opened}
        aria-controls={listId}
        onClick={() => setOpened(!opened)}
      >
        <Icon name={opened ? 'chevron-down' : 'chevron-right'} size={14} />
        <span className={classes.name} title={field.name}>
          {field.name}
        </span>
        {field.coverage < 0.995 && (
          <span className={classes.coverage} title="Share of the records that have this field">
            {field.coverage < 0.01 ? '<1' : Math.round(field.coverage * 100)}%
          </span>
        )}
      </UnstyledButton>
      <ul className={classes.values} id={listId} hidden={!opened}>
        {opened && <Values field={field.name} query={query} resolved={resolved} onQuery={onQuery} />}
      </ul>
    </div>
  );
}

interface ValuesProps extends Omit<FacetProps, 'field' | 'openAtFirst'> {
  field: string;
}

function Values({ field, query, resolved, onQuery }: ValuesProps) {
  const asked = { name: field, query: removeField(query, field), resolved, limit: VALUES_SHOWN };
  const values = useQuery(fieldValuesQuery(useProject(), asked));
  if (values.isPending) {
    return [80, 60, 70].map((width) => (
      <Skeleton key={width} height={10} my={8} ml={8} width={`${width}%`} />
    ));
  }
  if (values.isError) {
    const unread = isStatus(values.error, 422);
    return (
      <p className={classes.note}>
        {unread ? 'Shown once the search can be read.' : errorText(values.error)}
      </p>
    );
  }
  const named = values.data.filter((item) => item.value !== null);
  if (named.length === 0) return <p className={classes.note}>No values among the matches.</p>;
  const most = Math.max(...named.map((item) => item.count), 1);
  return named.map((item) => (
    <Value key={item.value} item={item} most={most} field={field} query={query} onQuery={onQuery} />
  ));
}

interface ValueProps {
  item: ValueCount;
  /** The count of the most frequent value. */
  most: number;
  field: string;
  query: string;
  onQuery: (query: string) => void;
}

function Value({ item, most, field, query, onQuery }: ValueProps) {
  const value = item.value ?? '';
  const state = filterState(query, field, value);
  const text = value === '' ? '(empty)' : rowText(value);
  const edit = (change: (query: string, field: string, value: string) => string) => () =>
    onQuery(change(query, field, value));
  return (
    <li className={classes.value} data-state={state}>
      <span className={classes.share} style={{ width: `${(item.count / most) * 100}%` }} aria-hidden="true" />
      <UnstyledButton
        role="checkbox"
        aria-checked={state === 'included'}
        aria-label={`${field} ${text}, ${formatCount(item.count)} records${state === 'excluded' ? ', excluded' : ''}`}
        className={classes.include}
        title={value}
        onClick={edit(state === 'none' ? includeValue : removeValue)}
      >
        <span className={classes.box}>
          {state !== 'none' && (
            <Icon name={state === 'included' ? 'check' : 'minus'} size={11} strokeWidth={3} />
          )}
        </span>
        {field === 'level' ? <LevelBadge level={value} /> : <span className={classes.text}>{text}</span>}
        <span className={classes.count}>{formatCompact(item.count)}</span>
      </UnstyledButton>
      <span className={classes.actions}>
        <Tooltip label="Only this">
          <ActionIcon size={20} aria-label={`Only ${field} ${text}`} onClick={edit(onlyValue)}>
            <Icon name="filter" size={13} />
          </ActionIcon>
        </Tooltip>
        <Tooltip label="Exclude">
          <ActionIcon size={20} aria-label={`Exclude ${field} ${text}`} onClick={edit(excludeValue)}>
            <Icon name="minus" size={13} />
          </ActionIcon>
        </Tooltip>
      </span>
    </li>
  );
}
