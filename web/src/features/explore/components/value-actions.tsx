/** What can be done with one value of a record: filter for it, exclude it, show it as a column, copy it. */
import { ActionIcon, Tooltip } from '@mantine/core';
import { CopyButton } from '@/components/copy-button';
import { Icon, type IconName } from '@/components/icon';
import classes from '@/features/explore/components/record-tree.module.css';
import { valueText } from '@/lib/text';

export interface ValueActionHandlers {
  onInclude: (field: string, value: string) => void;
  onExclude: (field: string, value: string) => void;
  onToggleColumn: (field: string) => void;
  columns: readonly string[];
}

interface ValueActionsProps {
  field: string | undefined;
  value: unknown;
  handlers: ValueActionHandlers;
}

/** Longer texts make no sensible filter. */
const FILTER_CHARS_MAX = 2_000;

export function ValueActions({ field, value, handlers }: ValueActionsProps) {
  const text = valueText(value);
  const isScalar = typeof value !== 'object' && value !== undefined;
  const canFilter = field !== undefined && isScalar && text.length <= FILTER_CHARS_MAX && !isTime(field);
  const isColumn = field !== undefined && handlers.columns.includes(field);
  return (
    <span className={classes.actions}>
      {canFilter && (
        <>
          <Action icon="plus" label={`Filter for ${field}`} onClick={() => handlers.onInclude(field, text)} />
          <Action icon="minus" label={`Exclude ${field}`} onClick={() => handlers.onExclude(field, text)} />
        </>
      )}
      {field !== undefined && (
        <Action
          icon="columns-3"
          label={isColumn ? `Remove column ${field}` : `Add column ${field}`}
          onClick={() => handlers.onToggleColumn(field)}
        />
      )}
      <CopyButton text={text} label={`Copy ${field ?? 'value'}`} />
    </span>
  );
}

function isTime(field: string): boolean {
  return field === 'timestamp' || field === 'observed_timestamp';
}

function Action({ icon, label, onClick }: { icon: IconName; label: string; onClick: () => void }) {
  return (
    <Tooltip label={label}>
      <ActionIcon size={24} aria-label={label} onClick={onClick}>
        <Icon name={icon} size={14} />
      </ActionIcon>
    </Tooltip>
  );
}
