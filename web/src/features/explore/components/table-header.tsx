/** The names of the columns: time turns the order around, others can be taken away. */
import { ActionIcon, UnstyledButton } from '@mantine/core';
import { Icon } from '@/components/icon';
import classes from '@/features/explore/components/results-table.module.css';

interface TableHeaderProps {
  columns: readonly string[];
  order: 'asc' | 'desc';
  onOrder?: () => void;
  onRemoveColumn: (name: string) => void;
}

export function TableHeader({ columns, order, onOrder, onRemoveColumn }: TableHeaderProps) {
  return (
    <div role="row" aria-rowindex={1} className={classes.header}>
      {columns.map((name) => (
        <div
          key={name}
          role="columnheader"
          className={classes.headerCell}
          aria-sort={name === 'timestamp' ? (order === 'asc' ? 'ascending' : 'descending') : undefined}
        >
          {name === 'timestamp' && onOrder ? (
            <UnstyledButton
              className={classes.sort}
              onClick={onOrder}
              title={
                order === 'desc'
                  ? 'Newest first; click for oldest first'
                  : 'Oldest first; click for newest first'
              }
            >
              Time
              <Icon name={order === 'desc' ? 'arrow-down' : 'arrow-up'} size={13} />
            </UnstyledButton>
          ) : (
            <span title={name}>{columnTitle(name)}</span>
          )}
          <ActionIcon
            className={classes.remove}
            size={18}
            aria-label={`Remove column ${name}`}
            onClick={() => onRemoveColumn(name)}
          >
            <Icon name="x" size={12} />
          </ActionIcon>
        </div>
      ))}
      <div role="columnheader" className={classes.headerCell}>
        <span>Message</span>
      </div>
    </div>
  );
}

function columnTitle(name: string): string {
  const titles: Record<string, string> = {
    timestamp: 'Time',
    level: 'Level',
    service: 'Service',
    host: 'Host',
  };
  return titles[name] ?? name;
}
