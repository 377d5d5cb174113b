/** Choosing the columns of the table from the fields that the records have. */
import { Button, Checkbox, ScrollArea, Stack, Text, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Icon } from '@/components/icon';
import { Popup } from '@/components/popup';
import { fieldsQuery } from '@/features/explore/api/fields';
import { COLUMNS_MAX, DEFAULT_COLUMNS } from '@/features/explore/state/url-state';
import { useProject } from '@/lib/project';
import type { ResolvedRange } from '@/lib/time/range';

interface ColumnsMenuProps {
  columns: readonly string[];
  resolved: ResolvedRange;
  onChange: (columns: string[]) => void;
}

const SHOWN_FIELDS_MAX = 200;

export function ColumnsMenu({ columns, resolved, onChange }: ColumnsMenuProps) {
  const [opened, setOpened] = useState(false);
  return (
    <Popup
      opened={opened}
      onOpened={setOpened}
      label="Choose columns"
      width={280}
      target={
        <Button
          variant="subtle"
          color="gray"
          leftSection={<Icon name="columns-3" size={15} />}
          onClick={() => setOpened(!opened)}
        >
          Columns
        </Button>
      }
    >
      {opened && <FieldList columns={columns} resolved={resolved} onChange={onChange} />}
    </Popup>
  );
}

function FieldList({ columns, resolved, onChange }: ColumnsMenuProps) {
  const [filter, setFilter] = useState('');
  const { data: fields = [] } = useQuery(fieldsQuery(useProject(), resolved));
  const known = [...DEFAULT_COLUMNS, ...columns, ...fields.map((field) => field.name)];
  const names = [...new Set(known)].filter(
    (name) => name !== 'message' && name.toLowerCase().includes(filter.toLowerCase()),
  );
  const toggle = (name: string) =>
    onChange(columns.includes(name) ? columns.filter((item) => item !== name) : [...columns, name]);
  return (
    <Stack gap={8}>
      <TextInput
        placeholder="Find a field"
        aria-label="Find a field"
        leftSection={<Icon name="search" size={13} />}
        value={filter}
        onChange={(event) => setFilter(event.currentTarget.value)}
        data-autofocus
      />
      <ScrollArea.Autosize mah={300} type="auto">
        <Stack gap={7} py={2} pr={10}>
          {names.slice(0, SHOWN_FIELDS_MAX).map((name) => (
            <Checkbox
              key={name}
              label={name}
              checked={columns.includes(name)}
              disabled={!columns.includes(name) && columns.length >= COLUMNS_MAX}
              onChange={() => toggle(name)}
            />
          ))}
          {names.length === 0 && (
            <Text size="xs" c="dimmed">
              No field has this name in the chosen time range.
            </Text>
          )}
        </Stack>
      </ScrollArea.Autosize>
      <Button variant="default" onClick={() => onChange([...DEFAULT_COLUMNS])}>
        Back to time, level, service
      </Button>
    </Stack>
  );
}
