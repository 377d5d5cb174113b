/** Fields with their most frequent values: filtering without knowing the query language. */
import { Button, Skeleton, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { ErrorState } from '@/components/error-state';
import { Icon } from '@/components/icon';
import { type FieldInfo, fieldsQuery } from '@/features/explore/api/fields';
import { Facet } from '@/features/explore/components/facet';
import classes from '@/features/explore/components/facets.module.css';
import { useProject } from '@/lib/project';
import type { ResolvedRange } from '@/lib/time/range';

interface FacetsProps {
  query: string;
  resolved: ResolvedRange;
  onQuery: (query: string) => void;
}

const FIRST: readonly string[] = ['level', 'service', 'host'];
/** Different in almost every record, so their values are no help. */
const UNHELPFUL: ReadonlySet<string> = new Set([
  'id',
  'timestamp',
  'observed_timestamp',
  'message',
  'severity_number',
  'trace_id',
  'span_id',
  'project',
]);
const SHOWN_FIELDS = 15;

export function Facets({ query, resolved, onQuery }: FacetsProps) {
  const [find, setFind] = useState('');
  const [all, setAll] = useState(false);
  const fields = useQuery(fieldsQuery(useProject(), resolved));
  const found = useMemo(() => facetFields(fields.data ?? [], find), [fields.data, find]);
  const shown = all || find !== '' ? found : found.slice(0, SHOWN_FIELDS);
  return (
    <div className={classes.root}>
      <div className={classes.find}>
        <TextInput
          placeholder="Find a field"
          aria-label="Find a field to filter by"
          leftSection={<Icon name="search" size={13} />}
          value={find}
          onChange={(event) => setFind(event.currentTarget.value)}
        />
      </div>
      <div className={classes.list}>
        {fields.isPending && <FacetSkeleton />}
        {fields.isError && (
          <ErrorState error={fields.error} title="The fields did not load" onRetry={() => fields.refetch()} />
        )}
        {shown.map((field) => (
          <Facet
            key={field.name}
            field={field}
            query={query}
            resolved={resolved}
            onQuery={onQuery}
            openAtFirst={FIRST.includes(field.name)}
          />
        ))}
        {shown.length < found.length && (
          <Button variant="subtle" color="gray" m={8} onClick={() => setAll(true)}>
            Show {found.length - shown.length} more fields
          </Button>
        )}
        {fields.isSuccess && found.length === 0 && (
          <p className={classes.note}>
            {find === '' ? 'No fields in this time range.' : `No field is named like “${find}”.`}
          </p>
        )}
      </div>
    </div>
  );
}

/** The three that everybody uses come first, then by coverage. */
function facetFields(fields: readonly FieldInfo[], find: string): FieldInfo[] {
  const helpful = fields.filter(
    (field) => !UNHELPFUL.has(field.name) && field.name.toLowerCase().includes(find.toLowerCase()),
  );
  const first = FIRST.flatMap((name) => helpful.filter((field) => field.name === name));
  return [...first, ...helpful.filter((field) => !FIRST.includes(field.name))];
}

function FacetSkeleton() {
  const widths = [70, 55, 62, 40, 75, 50, 66, 45, 58];
  return (
    <div style={{ padding: '8px 14px' }} aria-hidden="true">
      {widths.map((width) => (
        <Skeleton key={width} height={12} my={12} width={`${width}%`} />
      ))}
    </div>
  );
}
