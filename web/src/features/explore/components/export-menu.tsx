/** Everything that matches, as a file: the server streams it, the browser saves it. */
import { Button, Menu } from '@mantine/core';
import { Icon } from '@/components/icon';
import { apiUrl } from '@/lib/api/client';
import { useProject } from '@/lib/project';
import { type ResolvedRange, timeQuery } from '@/lib/time/range';

const FORMATS = [
  { format: 'ndjson', label: 'NDJSON', note: 'one record a line; can be sent back' },
  { format: 'csv', label: 'CSV', note: 'for spreadsheets' },
  { format: 'parquet', label: 'Parquet', note: 'for DuckDB, pandas, Spark' },
] as const;

export function ExportMenu({ query, resolved }: { query: string; resolved: ResolvedRange }) {
  const project = useProject();
  return (
    <Menu position="bottom-end" width={250}>
      <Menu.Target>
        <Button variant="subtle" color="gray" leftSection={<Icon name="download" size={15} />}>
          Export
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>All matches of this search</Menu.Label>
        {FORMATS.map(({ format, label, note }) => (
          <Menu.Item
            key={format}
            component="a"
            href={apiUrl('/api/v1/export', project, { q: query, ...timeQuery(resolved), format })}
            download={`logs.${format}`}
            rightSection={<span style={{ color: 'var(--text-3)', fontSize: 11.5 }}>{note}</span>}
          >
            {label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
